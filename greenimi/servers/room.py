"""What the room ``servers`` adds to an application: servers as conf names them, controllers as it marks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenimi.dispatch.route import Route, ServerFacts, add_controller
from greenimi.errors import ConflictError, StartError
from greenimi.event import Events
from greenimi.marks import Mark
from greenimi.servers.configured import configured_servers
from greenimi.servers.doors import Doors, Plan
from greenimi.servers.guests.wsgi import mount
from greenimi.servers.settings import ServerSettings, WorkerSettings

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
        setup.note("server", ServerFacts(name, found.kind, found.action_field))
    setup.add_directive("mount", mount)
    for name, found in settings.items():
        for prefix, application in found.mount.items():
            setup.mount(name, prefix, application)
    setup.on_mark("controller", add_controller)
    for kind in ("route", "on", "opened", "closed", "layers"):
        setup.on_mark(kind, _must_be_in_controller)
    setup.on_mark("error_handler", _note_handler)
    setup.on_mark("missing_handler", _note_handler)
    workers = setup.settings("workers", WorkerSettings)
    setup.on_commit(lambda: _add_doors(setup, settings, workers), order=100)


def _must_be_in_controller(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """These marks are read by the controller that holds them; elsewhere they would silently do nothing."""
    holder = owner if owner is not None else target
    if not isinstance(holder, type) or not any(issubclass(found.target, holder) for found in setup.marked("controller")):
        hint = "mark its class with @http, @websocket, @tcp or @udp"
        label = name if owner is None else f"{owner.__qualname__}.{name}"
        raise StartError(f"{mark.where}: @{mark.kind} on {label}, which is not a method of a controller", hint=hint)


def _note_handler(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    function = target
    if owner is not None:

        def function(*args: Any) -> Any:
            return getattr(setup.container.get(owner), name)(*args)

    setup.note("message handler", _Handler(mark.kind, mark.options["server"], mark.options.get("kinds", ()), function))


def _check_websocket_paths(routes: Sequence[Route]) -> None:
    """Controllers on one path share its connections, so they must agree on placeholders, payload and subprotocols."""
    first: dict[str, Route] = {}
    for route in routes:
        if route.kind != "websocket" or route.template is None:
            continue
        other = first.setdefault(route.template.shape, route)
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
    handlers = setup.introspect("message handler")
    plans = []
    for name, found in settings.items():
        mine = [h for h in handlers if not h.servers or name in h.servers]
        errors = [(h.errors, h.function) for h in mine if h.kind == "error_handler"]
        missing = [h.function for h in mine if h.kind == "missing_handler"]
        if len(missing) > 1:
            raise StartError(f"the server {name} has {len(missing)} @on_missing handlers; it can use one")
        own = [route for route in routes if route.server == name]
        _check_websocket_paths(own)
        mounts = [mounted for mounted in setup.introspect("mount") if mounted.server == name]
        plans.append(Plan(name, found, setup.server_container(name), own, errors, missing[0] if missing else None, mounts))
    doors = Doors(plans, workers, setup.container.get(Events), debug=bool(setup.config.get("app.debug", False)))
    setup.container.add(Doors, doors)
    setup.add_service(doors, "doors")
