"""From what conf and marks say about identity to what servers do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenimi.codec.base import load_class
from greenimi.container.beans import make_for
from greenimi.container.onion import Proceed
from greenimi.container.registry import Container
from greenimi.dispatch.route import Route, add_mark_layer
from greenimi.errors import ConfigError, Refusal, StartError
from greenimi.hub.client_actions import ACTIONS
from greenimi.interfaces import IAuthenticator
from greenimi.marks import Mark, marks_of
from greenimi.message import Message, Reply
from greenimi.servers.messages import MessageEndpoint
from greenimi.servers.settings import ServerSettings
from greenimi.web.guards import PUBLIC, Guard, guard_of, guards_of_handshake
from greenimi.web.identity import Authenticators
from greenimi.web.settings import IdentitySettings

if TYPE_CHECKING:
    from greenimi.container.setup import Setup


@dataclass(frozen=True, slots=True)
class Marked:
    """A class marked ``@authenticator``, for one server."""

    server: str
    target: type


def add_identity(setup: Setup) -> None:
    """Take ``@authenticator``, ``@requires`` and ``@public``."""
    setup.on_mark("authenticator", _note)
    setup.on_mark("requires", _check_heirs)
    add_mark_layer(setup, "requires", _guard)
    add_mark_layer(setup, "public", _public)


def _note(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    if not isinstance(target, type) or not callable(getattr(target, "authenticate", None)):
        raise StartError(f"{mark.where}: @authenticator goes on a class that has authenticate(message)")
    kinds = {facts.name: facts.kind for facts in setup.introspect("server")}
    servers = mark.options["server"] or tuple(server for server, kind in kinds.items() if kind == "http")
    for server in servers:
        if server not in kinds:
            known = ", ".join(kinds) or "none"
            raise StartError(f"{mark.where}: {target.__qualname__} is for the server {server!r}; servers in conf: {known}")
        setup.note("authenticator", Marked(server, target))
    if servers and not marks_of(target, "bean"):
        setup.add_bean(target, server=servers, where=mark.where)


def authenticators_for(settings: ServerSettings, container: Container, marked: Sequence[type]) -> Authenticators | None:
    """Those of a server, in the order they are asked; None when it has none.  ``marked``: those with the mark.  Raises StartError."""
    identity = settings.identity
    found: list[IAuthenticator] = [_listed(container, dotted) for dotted in identity.authenticators]
    if identity.session and not settings.session.driver:
        raise ConfigError("identity.session: the server keeps no sessions", hint='say where: driver = "memory" in its table session')
    if identity.session or identity.keys or identity.users:
        found += _configured(identity)
    listed = {type(each) for each in found}  # one that conf lists as well is asked once, in the place that conf gives it
    beans: list[IAuthenticator] = [container.get(target) for target in marked]
    found += [bean for bean in beans if type(bean) not in listed]
    return Authenticators(found) if found else None


def _configured(settings: IdentitySettings) -> list[IAuthenticator]:
    """The session, keys and users of conf."""
    from greenimi.web.authenticators import ConfiguredKeys, ConfiguredUsers, SessionIdentity

    found: list[IAuthenticator] = [SessionIdentity()] if settings.session else []
    if settings.keys:
        found.append(ConfiguredKeys(settings))
    if settings.users:
        found.append(ConfiguredUsers(settings))
    return found


def handshake_guards(routes: Sequence[Route], settings: ServerSettings) -> list[Guard]:
    """Those of the controllers on a WebSocket's path: whoever opens one has to pass them all."""
    controllers = list(dict.fromkeys(route.controller for route in routes))
    return guards_of_handshake(controllers, required=settings.identity.default == "required")


def _listed(container: Container, dotted: str) -> Any:
    made = make_for(container, load_class(dotted, "the authenticator"))
    if not callable(getattr(made, "authenticate", None)):
        raise ConfigError(f"the authenticator {dotted!r} has no method authenticate(message)")
    return made


def _check_heirs(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """A class does not take over the marks of its bases, but nobody who reads a guarded base expects a controller that is open."""
    if not isinstance(target, type):
        return
    for found in setup.marked("controller"):
        heir = found.target
        if heir is not target and issubclass(heir, target) and not marks_of(heir, "requires") and not marks_of(heir, "public"):
            hint = "say @inherit() on it, or what it requires itself, or @public"
            raise StartError(f"{mark.where}: @requires on {target.__qualname__} does not hold for its heir {heir.__qualname__}", hint=hint)


def _guard(mark: Mark, route: Route) -> Any:
    """The layer of a ``@requires``.  Those of a class are not for its life-cycle handlers: the handshake was guarded already."""
    function = getattr(route.controller, route.function_name)
    of_class = mark in marks_of(route.controller)
    holder = route.controller if of_class else function
    if marks_of(holder, "public"):
        raise StartError(f"{mark.where}: @requires and @public on {holder.__qualname__}")
    if route.event and not of_class:
        hint = "put it on the controller, or on its messages"
        raise StartError(f"{mark.where}: @requires on the @{route.event} of a connection", hint=hint)
    return None if route.event or marks_of(function, "public") else guard_of(mark)


def _public(mark: Mark, route: Route) -> Any:
    return None if route.event else PUBLIC


class FirstMessage:
    """The layer of TCP: until somebody knows who the client is, its messages are shown to the authenticators.

    The one that says it is answered ``{"identity": id}`` (where the payload has tables) and goes no further.  Wrong credentials end
    the connection behind their answer; what says nothing goes on to its handler, and to its guard.  So does what is asked of the Hub: the
    token in a ``$hello`` is the Hub's.
    """

    def __init__(self, authenticators: Authenticators, action_field: str = "action") -> None:
        self._identify = authenticators.identify
        self._action = action_field
        self.failed: Callable[[Exception, Message], bytes | Reply | None] = _unanswered  # set once there is a pipeline

    def __call__(self, message: Message, proceed: Proceed) -> Any:
        connection = message.connection
        if connection.identity is not None or (type(message.data) is dict and message.data.get(self._action) in ACTIONS):
            return proceed(message)
        try:
            identity = self._identify(message)
        except Refusal as error:
            MessageEndpoint.reply(connection, self.failed(error, message))  # now, because behind the goodbye nothing is sent
            connection.close()
            return None
        if identity is None:
            return proceed(message)
        connection.identity = identity
        return {"identity": identity.id} if isinstance(message.data, dict) else None


def _unanswered(error: Exception, message: Message) -> None:
    """No pipeline is there to make an answer."""
