"""What the room ``servers`` adds to an application: servers as conf names them, controllers as it marks them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenimi.dispatch.route import Route, ServerFacts, add_controller, add_mark_layer, check_reachable, must_be_in_controller
from greenimi.errors import ConfigError, ConflictError, StartError
from greenimi.event import Events
from greenimi.hub import Hub
from greenimi.marks import Mark
from greenimi.servers.around import has_sessions
from greenimi.servers.configured import configured_servers
from greenimi.servers.doors import Doors, Plan
from greenimi.servers.guests.wsgi import mount
from greenimi.servers.identity import add_identity
from greenimi.servers.settings import ServerSettings, WorkerSettings
from greenimi.web.forms import Uploads
from greenimi.web.session import Session
from greenimi.web.templates import Templates
from greenimi.web.urls import Urls

if TYPE_CHECKING:
    from greenimi.container.setup import Setup


@dataclass(frozen=True, slots=True)
class _Handler:
    """An ``@on_error`` or ``@on_missing`` function."""

    kind: str
    servers: tuple[str, ...]
    errors: tuple[type[BaseException], ...]
    function: Any


def add_servers(setup: Setup) -> None:
    """Read ``[servers.*]`` and ``[workers]``, take controllers, and add the service that opens the doors."""
    settings = configured_servers(setup.config)
    for name, found in settings.items():
        setup.note("settings", (f"servers.{name}", ServerSettings))
        setup.note("server", _facts(name, found))
    setup.add_directive("mount", mount)
    for name, found in settings.items():
        for prefix, application in found.mount.items():
            setup.mount(name, prefix, application)
    setup.container.get(Hub).servers = list(settings)
    _add_urls(setup, settings)
    _add_views(setup, settings)
    setup.on_mark("controller", add_controller)
    for kind in ("route", "on", "opened", "closed", "layers", "csrf_exempt"):
        setup.on_mark(kind, must_be_in_controller)
    setup.on_mark("error_handler", _note_handler)
    setup.on_mark("missing_handler", _note_handler)
    add_identity(setup)
    workers = setup.settings("workers", WorkerSettings)
    _check_sessions(settings, workers)
    setup.on_commit(lambda: _add_doors(setup, settings, workers), order=100)


def _facts(name: str, settings: ServerSettings) -> ServerFacts:
    routing = settings.routing
    max_body = max(settings.max_body, settings.uploads.max_body)
    return ServerFacts(name, settings.kind, settings.action_field, routing.ignore_case, routing.auto_end_slash, max_body)


def _add_urls(setup: Setup, settings: dict[str, ServerSettings]) -> None:
    """A bean for each HTTP server; the application's own is that of the first."""
    all_urls: dict[str, Urls] = {}
    for name, found in settings.items():
        if found.kind == "http":
            urls = Urls(name, found.routing.base, all_urls)
            setup.server_container(name).add(Urls, urls)
            if len(all_urls) == 1:
                setup.container.add(Urls, urls)


def _add_views(setup: Setup, settings: dict[str, ServerSettings]) -> None:
    """``@view``, and the templates of each server; the application's own are those of the first that has some."""
    debug = bool(setup.config.get("app.debug", False))
    templates: dict[str, Templates] = {}
    for name, found in settings.items():
        if found.kind == "http" and found.templates.folders:
            templates[name] = Templates(name, found.templates, debug=debug)
            setup.server_container(name).add(Templates, templates[name])
            if len(templates) == 1:
                setup.container.add(Templates, templates[name])

    def layer(mark: Mark, route: Route) -> Any:
        from greenimi.web.views import view_layer  # with what renders XML and the like: only where somebody uses it

        return view_layer(mark, templates.get(route.server))

    add_mark_layer(setup, "view", layer)


def _check_sessions(settings: dict[str, ServerSettings], workers: WorkerSettings) -> None:
    """A worker does not know what stands in the memory of another."""
    for name, found in settings.items():
        if found.session.driver == "memory" and workers.count > 1:
            hint = 'driver = "file" and a folder, or one worker'
            raise ConfigError(f"servers.{name}.session.driver: {workers.count} workers cannot share sessions in memory", hint=hint)


def _note_handler(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    function = target
    if owner is not None:

        def function(*args: Any) -> Any:
            return getattr(setup.container.get(owner), name)(*args)

    _check_arguments(owner, name, target, mark)
    setup.note("message handler", _Handler(mark.kind, mark.options["server"], mark.options.get("kinds", ()), function))


def _check_arguments(owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """What is wrong with the one that answers errors should not be found out by an error."""
    given = ("error", "message") if mark.kind == "error_handler" else ("message",)
    label = name if owner is None else f"{owner.__qualname__}.{name}"
    if inspect.iscoroutinefunction(target):
        raise StartError(f"{mark.where}: nobody awaits {label}", hint="write def instead of async def")
    try:
        inspect.signature(target).bind(*(given if owner is None else ("self", *given)))
    except TypeError:
        raise StartError(f"{mark.where}: {label} is called with ({', '.join(given)}), which it does not take") from None


def _check_asked_sessions(routes: Sequence[Route], settings: ServerSettings) -> None:
    """A handler that asks for what its server has not would fail each request."""
    if has_sessions(settings):
        return
    for route in routes:
        for parameter in route.parameters:
            if parameter.annotation is Session or (parameter.source == "session" and parameter.required):
                hint = f"say where they are kept: driver in [servers.{route.server}.session]"
                raise StartError(
                    f"{route.where}: {parameter.name} comes from the session, and the server {route.server} has none", hint=hint
                )


def _check_websocket_paths(routes: Sequence[Route]) -> None:
    """Controllers on one path share its connections, so they must agree on placeholders, payload and subprotocols."""
    first: dict[str, Route] = {}
    for route in routes:
        if route.kind != "websocket" or route.template is None:
            continue
        other = first.setdefault(route.place, route)
        what = "placeholders" if other.placeholders != route.placeholders else ""
        for option in ("payload", "subprotocols"):
            if other.options[option] != route.options[option]:
                what = option
        if what:
            raise ConflictError(
                f"the {what} of the WebSocket {route.template.text}: {other.where} and {route.where}", hint="say the same in both"
            )


def _add_doors(setup: Setup, settings: dict[str, ServerSettings], workers: WorkerSettings) -> None:
    routes = setup.introspect("route")
    check_reachable(routes)
    handlers = setup.introspect("message handler")
    plans = []
    for name, found in settings.items():
        setup.server_container(name).add(Uploads, Uploads(found.uploads))
        mine = [h for h in handlers if not h.servers or name in h.servers]
        errors = [(h.errors, h.function) for h in mine if h.kind == "error_handler"]
        missing = [h.function for h in mine if h.kind == "missing_handler"]
        if len(missing) > 1:
            raise StartError(f"the server {name} has {len(missing)} @on_missing handlers; it can use one")
        own = [route for route in routes if route.server == name]
        _check_websocket_paths(own)
        _check_asked_sessions(own, found)
        mounts = [mounted for mounted in setup.introspect("mount") if mounted.server == name]
        authenticators = [marked.target for marked in setup.introspect("authenticator") if marked.server == name]
        plans.append(Plan(name, found, setup.server_container(name), own, errors, missing[0] if missing else None, mounts, authenticators))
    doors = Doors(
        plans, workers, setup.container.get(Events), debug=bool(setup.config.get("app.debug", False)), hub=setup.container.get(Hub)
    )
    setup.container.add(Doors, doors)
    setup.add_service(doors, "doors")
