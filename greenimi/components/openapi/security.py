"""Who may call, as security requirements: from the guards of routes and the authenticators of servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, get_args

from greenimi.components.openapi.schemas import Schema
from greenimi.dispatch.route import Route
from greenimi.marks import marks_of
from greenimi.message import Identity
from greenimi.servers.around import checks_csrf
from greenimi.servers.settings import ServerSettings
from greenimi.web.authenticators import ApiKey, Basic, Bearer, SessionIdentity
from greenimi.web.guards import Guard, with_guards

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")


class Asked(NamedTuple):
    """What a route asks of its callers: one of ``ways`` (security requirements), or it answers one of ``statuses``; ``roles`` in words."""

    ways: list[dict[str, list[str]]]
    statuses: set[int]
    roles: list[str]


@dataclass(frozen=True, slots=True)
class Security:
    """What guards one server.

    ``schemes``   the security schemes of its authenticators, by name
    ``required``  routes that say nothing about it want a caller who is known
    ``csrf``      requests that pages of other sites make are refused
    """

    schemes: Mapping[str, Schema] = field(default_factory=dict)
    required: bool = False
    csrf: bool = False

    def of(self, route: Route) -> Asked:
        guards = [layer for layer in with_guards(route.layers, required=self.required) if isinstance(layer, Guard)]
        wanted = [parameter.annotation for parameter in route.parameters]
        optional = not guards and Identity not in wanted
        statuses = {403} if guards or (self.csrf and route.method not in _SAFE and not _is_exempt(route)) else set()
        if optional and not any(Identity in get_args(annotation) for annotation in wanted):
            return Asked([], statuses, [])
        ways: list[dict[str, list[str]]] = [{name: []} for name in self.schemes]
        if optional and ways:  # Identity | None: nobody has to say who it is
            ways.insert(0, {})
        return Asked(ways, {401, *statuses}, [words for guard in guards if (words := _words(guard))])


def _is_exempt(route: Route) -> bool:
    return any(marks_of(target, "csrf_exempt") for target in (route.controller, getattr(route.controller, route.function_name)))


def _words(guard: Guard) -> str:
    parts = [", ".join(f"`{role}`" for role in sorted(guard.roles))] if guard.roles else []
    if guard.any_of:
        parts.append("one of " + ", ".join(f"`{role}`" for role in sorted(guard.any_of)))
    return " and ".join(parts)


def security_of(setup: Setup, server: str, settings: ServerSettings) -> Security:
    """What guards a server, from its settings and the classes marked ``@authenticator``."""
    identity = settings.identity
    found = [setup.resolve(name, f"servers.{server}.identity.authenticators") for name in identity.authenticators]
    found += [marked.target for marked in setup.introspect("authenticator") if marked.server == server]
    schemes: dict[str, Schema] = {}
    if identity.session:
        schemes["Session"] = _of_session(settings)
    if identity.keys:
        schemes["ApiKey"] = {"type": "apiKey", "in": "header", "name": identity.key_header}
    if identity.users:
        schemes["Basic"] = {"type": "http", "scheme": "basic"}
    schemes.update({kind.__name__: scheme for kind in found if (scheme := scheme_of(kind, settings))})
    return Security(schemes, identity.default == "required", checks_csrf(settings))


def scheme_of(kind: type, settings: ServerSettings) -> Schema:
    """The security scheme of an authenticator: what its attribute ``scheme`` says, a Security Scheme object of OpenAPI, or what it is.

    Empty for one of its own kind that says nothing.
    """
    told = getattr(kind, "scheme", None)
    if isinstance(told, Mapping):
        return dict(told)
    if issubclass(kind, Bearer):
        return {"type": "http", "scheme": "bearer"}
    if issubclass(kind, Basic):
        return {"type": "http", "scheme": "basic"}
    if issubclass(kind, ApiKey):
        return {"type": "apiKey", "in": "header", "name": kind.header}
    return _of_session(settings) if issubclass(kind, SessionIdentity) else {}


def _of_session(settings: ServerSettings) -> Schema:
    return {"type": "apiKey", "in": "cookie", "name": settings.session.cookie}
