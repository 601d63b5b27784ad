"""What the component adds to an application."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from greenimi.components.openapi.document import Facts
from greenimi.components.openapi.documents import Documents
from greenimi.components.openapi.parts import KIND
from greenimi.components.openapi.security import security_of
from greenimi.components.openapi.serving import controller
from greenimi.components.openapi.settings import OpenApiSettings
from greenimi.dispatch.route import HTTP_KINDS, must_be_in_controller
from greenimi.errors import ConfigError
from greenimi.servers.settings import ServerSettings

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

_LATE = 90
"""Of the commit: when all routes are known."""


def include(setup: Setup) -> None:
    """Read ``[openapi]`` and add all there is.  Raises ConfigError naming the key and its place."""
    settings = setup.settings("openapi", OpenApiSettings)
    servers = [facts.name for facts in setup.introspect("server") if facts.kind in HTTP_KINDS]
    _check(setup, settings, servers)
    documents = Documents()
    setup.container.add(Documents, documents)
    setup.on_mark(KIND, must_be_in_controller)
    setup.include("greenimi.components.openapi.writing:openapi")
    served = [name for name in servers if not settings.servers or name in settings.servers]
    if not {"*", setup.environment} & set(settings.environments):
        served = []
    for name in served:
        setup.include(controller(name, settings, _title(setup, settings)))

    def fill() -> None:
        documents.fill(_facts(setup, settings, servers))
        for name in served:
            documents.of(name)  # a mistake in a hand-written part is found now, not by the first who asks

    setup.on_commit(fill, order=_LATE)


def _check(setup: Setup, settings: OpenApiSettings, servers: list[str]) -> None:
    for key in ("document", "yaml", "page"):
        path = getattr(settings, key)
        if path and not path.startswith("/"):
            raise ConfigError(f"{_place(setup, key)}the path {path!r} does not begin with /", hint=f'write "/{path}"')
    for key, names in (("servers", settings.servers), ("files", settings.files)):
        for name in names:
            if name not in servers:
                close = difflib.get_close_matches(name, servers, 1)
                hint = f"did you mean {close[0]}?" if close else f"HTTP servers in conf: {', '.join(servers) or 'none'}"
                raise ConfigError(f"{_place(setup, key)}there is no HTTP server {name!r}", hint=hint)


def _place(setup: Setup, key: str) -> str:
    place = setup.config.place(f"openapi.{key}")
    return f"{f'{place}: ' if place else ''}openapi.{key}: "


def _title(setup: Setup, settings: OpenApiSettings) -> str:
    return settings.title or str(setup.config.get("app.name", "greenimi"))


def _facts(setup: Setup, settings: OpenApiSettings, servers: list[str]) -> Iterator[Facts]:
    routes = setup.introspect("route")
    info = {"title": _title(setup, settings), "version": settings.version}
    if settings.description:
        info["description"] = settings.description
    for name in servers:
        own = [route for route in routes if route.server == name]
        file = Path(settings.files[name]) if name in settings.files else None
        server = setup.config.settings(f"servers.{name}", ServerSettings)
        yield Facts(name, own, info, settings.addresses, security_of(setup, name, server), server.views.kinds, file)
