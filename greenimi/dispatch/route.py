"""Route records: what the marks on controllers mean, collected once, listed by ``greenimi routes``, built into pipelines at start."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from greenimi.dispatch.arguments import bind_handler
from greenimi.dispatch.paths import Template, parse_template
from greenimi.errors import StartError
from greenimi.marks import Mark, Where, marks_of

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

HTTP_KINDS = ("http",)
"""Server kinds that HTTP and WebSocket controllers attach to."""

_HOST_KINDS: dict[str, tuple[str, ...]] = {"http": HTTP_KINDS, "websocket": HTTP_KINDS, "tcp": ("tcp",), "udp": ("udp",)}


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What routes need to know about a configured server."""

    name: str
    kind: str
    action_field: str = "action"


@dataclass(frozen=True, slots=True)
class Route:
    """One handler of one controller, on one server.

    ``kind``  http, websocket, tcp or udp.  ``method`` and ``template`` for HTTP (and the handshake path of a WebSocket controller);
    ``action``, ``condition`` or ``default`` for messages; ``event`` is ``opened`` or ``closed`` for life-cycle handlers.
    """

    server: str
    kind: str
    controller: type
    function_name: str
    where: Where
    method: str = ""
    template: Template | None = None
    action: str | None = None
    condition: Mapping[str, Any] | None = None
    default: bool = False
    event: str = ""
    name: str = ""
    layers: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def handler(self) -> str:
        return f"{self.controller.__module__}:{self.controller.__qualname__}.{self.function_name}"

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the values that come from the path."""
        return self.template.names if self.template is not None else ()

    def bind(self, method: Callable[..., Any]) -> Callable[[Any], Any]:
        """``call(message)`` with the arguments that ``method`` asks for.  Raises StartError."""
        handshake = self.kind == "websocket" and self.event == "opened"
        call, _ = bind_handler(method, http=self.kind == "http", handshake=handshake, placeholders=self.placeholders, where=self.where)
        return call

    @property
    def address(self) -> str:
        """How a client names it, for listings."""
        if self.kind == "http":
            return f"{self.method} {self.template.text if self.template else ''}"
        path = f"{self.template.text} " if self.template else ""
        if self.event:
            return f"{path}{self.event}"
        if self.default:
            return f"{path}default"
        return f"{path}{self.action if self.action is not None else dict(self.condition or {})}"


def add_controller(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """Handle a controller mark: every marked method becomes a route on every server the controller is for."""
    kind = mark.options["kind"]
    if not isinstance(target, type):
        raise StartError(f"{mark.where}: @{kind} goes on a class, not on {target!r}")
    servers = _servers_for(setup, kind, target, mark)
    if servers and not marks_of(target, "bean"):  # one object a server, made of what that server's container holds
        setup.add_bean(target, server=tuple(facts.name for facts in servers), where=mark.where)
    path = mark.options["path"]
    handlers = 0
    for function_name, function in _methods(target):
        layers = tuple(layer for m in marks_of(target, "layers") + marks_of(function, "layers") for layer in m.options["layers"])
        for found in marks_of(function):
            for route in _routes(kind, target, function_name, path, found, layers, mark):
                handlers += 1
                _check(function, route)
                for server in servers:
                    _add(setup, server, route)
    if not handlers:
        hint = 'mark its methods with @get("/path") or @on("action")'
        raise StartError(f"{mark.where}: the controller {target.__qualname__} has no handlers", hint=hint)


def _servers_for(setup: Setup, kind: str, target: type, mark: Mark) -> list[ServerFacts]:
    hosts = [facts for facts in setup.introspect("server") if facts.kind in _HOST_KINDS[kind]]
    wanted = mark.options["server"]
    if not wanted:
        return hosts
    by_name = {facts.name: facts for facts in hosts}
    unknown = [name for name in wanted if name not in by_name]
    if unknown:
        known = ", ".join(sorted(by_name)) or "none"
        raise StartError(f"{mark.where}: {target.__qualname__} is for the server {unknown[0]!r}; servers of its kind in conf: {known}")
    return [by_name[name] for name in wanted]


def _methods(target: type) -> list[tuple[str, Callable[..., Any]]]:
    """The functions of a class and its bases, in order of definition, the most derived of each name."""
    found: dict[str, Callable[..., Any]] = {}
    for base in reversed(target.__mro__):
        for name, value in base.__dict__.items():
            if inspect.isfunction(value):
                found[name] = value
    return list(found.items())


def _routes(kind: str, target: type, function_name: str, path: str, mark: Mark, layers: tuple[Any, ...], controller: Mark) -> list[Route]:
    """The routes of one mark on one method (several for several HTTP methods), with the server still open."""

    def make(**facts: Any) -> Route:
        return Route("", kind, target, function_name, mark.where, layers=layers, options=controller.options, **facts)

    if kind == "http":
        if mark.kind != "route":
            return []
        own = mark.options["path"]
        if own and not own.startswith("/"):
            raise StartError(f"{mark.where}: the path {own!r} does not start with /", hint=f'write "/{own}"')
        template = parse_template((path.rstrip("/") + own) or "/")
        return [make(method=method, template=template, name=mark.options["name"]) for method in mark.options["methods"]]
    template = parse_template(path or "/") if kind == "websocket" else None  # type: ignore[assignment]
    if mark.kind == "on":
        return [make(template=template, action=mark.options["action"], condition=mark.options["match"], default=mark.options["default"])]
    if mark.kind in ("opened", "closed"):
        if kind == "udp":
            raise StartError(f"{mark.where}: UDP has no connections, so no @{mark.kind}")
        return [make(template=template, event=mark.kind)]
    if mark.kind == "route":
        raise StartError(f"{mark.where}: {target.__qualname__}.{function_name} is an HTTP route on a {kind} controller")
    return []


def _check(function: Callable[..., Any], route: Route) -> None:
    """Find a signature that cannot be bound before a door opens."""
    standin = object()  # binds the function like a method, without making the controller
    route.bind(function.__get__(standin))


def _add(setup: Setup, server: ServerFacts, route: Route) -> None:
    route = replace(route, server=server.name)
    setup.action(_discriminator(route, server), lambda: setup.note("route", route), where=route.where)


def _discriminator(route: Route, server: ServerFacts) -> tuple[Any, ...] | None:
    """Equal for two routes of which a message could only ever reach one."""
    place = f"on server {server.name}"
    if route.template is not None:
        if route.kind == "http":
            return (route.method, route.template.shape, place)
        place = f"at {route.template.shape} {place}"
    if route.event:
        return None  # several controllers may listen
    if route.default:
        return ("default handler", place)
    if route.condition is not None:
        return (f"messages where {dict(route.condition)!r}", place)
    return (f"message {route.action!r}", place)
