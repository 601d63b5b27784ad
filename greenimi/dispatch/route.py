"""Route records: what the marks on controllers mean, collected once, listed by ``greenimi routes``, built into pipelines at start."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from greenimi.dispatch.arguments import Parameter, bind_handler
from greenimi.dispatch.conditions import NO_CONDITIONS, Conditions, conditions_from
from greenimi.dispatch.paths import Template, parse_template
from greenimi.errors import ConflictError, StartError
from greenimi.marks import Mark, Where, marks_of
from greenimi.web.urls import Urls

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
    ignore_case: bool = False  # of paths, where a controller or route does not say
    auto_end_slash: bool = False  # likewise
    max_body: int | None = None  # bytes of the largest body that its codec lets pass


@dataclass(frozen=True, slots=True)
class Route:
    """One handler of one controller, on one server.

    ``kind``  http, websocket, tcp or udp.  ``method`` and ``template`` for HTTP (and the handshake path of a WebSocket controller);
    ``action``, ``condition`` or ``default`` for messages; ``event`` is ``opened`` or ``closed`` for life-cycle handlers.

    ``layers`` from the outside in: those of ``@layers`` on the controller, of ``@layers`` on the method, then what the layer marks (see
    :func:`add_mark_layer`) on the controller became, then those on the method.  ``parameters`` is what the handler asks for, in order;
    ``returns`` its declared return annotation, ``NoneType`` for ``-> None`` and None when it declares none.

    ``conditions``  what it asks of a request besides method and path.  ``auto_end_slash``: the path also counts with the other end.
    ``name``        what ``url_for`` knows it by, "" for nothing; several routes at one address may share it
    ``options``     what was said of it, or else of its controller, and only that: ``max_body`` (bytes), ``max_time`` (seconds),
                    ``summary``, ``description``, ``tags``, ``deprecated``, ``include_in_docs``.  Of a WebSocket controller always
                    ``payload`` and ``subprotocols``.
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
    parameters: tuple[Parameter, ...] = ()
    returns: Any = None
    conditions: Conditions = NO_CONDITIONS
    auto_end_slash: bool = False

    @property
    def handler(self) -> str:
        return f"{self.controller.__module__}:{self.controller.__qualname__}.{self.function_name}"

    @property
    def placeholders(self) -> tuple[str, ...]:
        """Names of the values that come from the path, then of those that come from the host."""
        host = self.conditions.host
        return (*(self.template.names if self.template is not None else ()), *(host.names if host is not None else ()))

    @property
    def place(self) -> str:
        """Where a WebSocket is: its routes, of whatever controller, share the connections of one place."""
        assert self.template is not None
        host = self.conditions.host
        return f"{self.template.shape}{f' of {host.segment.shape}' if host is not None else ''}"

    def bind(self, method: Callable[..., Any]) -> Callable[[Any], Any]:
        """``call(message)`` with the arguments that ``method`` asks for.  Raises StartError."""
        return self._bound(method)[0]

    def described(self, function: Callable[..., Any]) -> Route:
        """This route with the ``parameters`` and ``returns`` of its function.  StartError for a signature that cannot be bound."""
        standin = object()  # binds the function like a method, without making the controller
        _, parameters = self._bound(function.__get__(standin))
        returns = typing.get_type_hints(function, include_extras=True).get("return")
        return replace(self, parameters=tuple(parameters), returns=returns)

    def _bound(self, method: Callable[..., Any]) -> tuple[Callable[[Any], Any], list[Parameter]]:
        handshake = self.kind == "websocket" and self.event == "opened"
        path = self.template.names if self.template is not None else ()
        wanted = inspect.signature(method).parameters  # nobody has to take what comes from the host
        placeholders = (*path, *(name for name in self.placeholders if name not in path and name in wanted))
        streams = self.kind == "websocket" and not self.event
        return bind_handler(
            method, http=self.kind == "http", handshake=handshake, streams=streams, placeholders=placeholders, where=self.where
        )

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


@dataclass(frozen=True, slots=True)
class MarkLayer:
    """Marks of this kind on controllers and their handlers become layers: ``make(mark, route)`` gives one, or None for none.

    ``make`` is called at commit, for each server of a route, with the route's facts complete but for the layers of marks.  What it gives
    is what ``@layers`` takes: a callable ``(message, proceed) -> result``, a class that the server's container makes, or a dotted name.
    """

    kind: str
    make: Callable[[Mark, Route], Any]


def add_mark_layer(setup: Setup, kind: str, make: Callable[[Mark, Route], Any]) -> None:
    """Have marks of ``kind`` become layers of routes, by :class:`MarkLayer`.

    They stand inside of ``@layers``: the controller's marks first (outermost), then the method's, so that a method's mark has the last word
    on the way in and the first on the way out.  On one target they stand as written, the uppermost outermost.
    """
    setup.on_mark(kind, must_be_in_controller)
    setup.note("mark layer", MarkLayer(kind, make))


def must_be_in_controller(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """Handle marks that are read by the controller that holds them; elsewhere they would silently do nothing."""
    holder = owner if owner is not None else target
    if not isinstance(holder, type) or not any(issubclass(found.target, holder) for found in setup.marked("controller")):
        hint = "mark its class with @http, @websocket, @tcp or @udp"
        label = name if owner is None else f"{owner.__qualname__}.{name}"
        raise StartError(f"{mark.where}: @{mark.kind} on {label}, which is not a method of a controller", hint=hint)


_RESOURCE = {
    "index": ("GET", False),
    "create": ("POST", False),
    "show": ("GET", True),
    "update": ("PATCH", True),
    "replace": ("PUT", True),
    "destroy": ("DELETE", True),
}
"""What the methods of a ``@resource`` are: the HTTP method, and whether it is for one item."""

_OPTIONS = (
    "max_body",
    "max_time",
    "summary",
    "description",
    "tags",
    "deprecated",
    "include_in_docs",
    "payload",
    "subprotocols",
)


def add_controller(setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """Handle a controller mark: every marked method becomes a route on every server the controller is for."""
    kind = mark.options["kind"]
    if not isinstance(target, type):
        raise StartError(f"{mark.where}: @{kind} goes on a class, not on {target!r}")
    servers = _servers_for(setup, kind, target, mark)
    if servers and not marks_of(target, "bean"):  # one object a server, made of what that server's container holds
        setup.add_bean(target, server=tuple(facts.name for facts in servers), where=mark.where)
    handlers = 0
    for function_name, function in _methods(target):
        layers = tuple(layer for m in _from_above(target) + _from_above(function) if m.kind == "layers" for layer in m.options["layers"])
        for found in _marks(function_name, function, mark):
            try:
                routes = _routes(kind, target, function_name, found, layers, mark)
            except StartError as error:
                raise _at(found.where, error) from None
            for route in routes:
                handlers += 1
                described = route.described(function)
                for server in servers:
                    _add(setup, server, described, function, {**mark.options, **found.options})
    if not handlers:
        hint = 'mark its methods with @get("/path") or @on("action")'
        raise StartError(f"{mark.where}: the controller {target.__qualname__} has no handlers", hint=hint)


def _at(where: Where, error: StartError) -> StartError:
    """The same, beginning with the place."""
    return error if error.text.startswith(f"{where}: ") else StartError(f"{where}: {error.text}", hint=error.hint)


def _marks(name: str, function: Callable[..., Any], controller: Mark) -> list[Mark]:
    """The marks of a method, those that the name of a method of a ``@resource`` stands for included."""
    marks = marks_of(function)
    if "item" not in controller.options or name not in _RESOURCE or any(mark.kind == "route" for mark in marks):
        return marks
    method, one = _RESOURCE[name]
    options = {"path": controller.options["item"] if one else "", "methods": (method,), "name": ""}
    code = function.__code__
    return [*marks, Mark("route", options, Where(code.co_filename, code.co_firstlineno))]


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


def _routes(kind: str, target: type, function_name: str, mark: Mark, layers: tuple[Any, ...], controller: Mark) -> list[Route]:
    """The routes of one mark on one method (several for several HTTP methods), with the server still open."""
    path = controller.options["path"]
    said = {**controller.options, **mark.options}
    options = {name: said[name] for name in _OPTIONS if name in said}

    def make(**facts: Any) -> Route:
        return Route("", kind, target, function_name, mark.where, layers=layers, options=options, **facts)

    if kind == "http":
        return _http_routes(make, function_name, mark, controller) if mark.kind == "route" else []
    if kind == "websocket":
        make = partial(make, **_address(path or "/", controller.options))
    if mark.kind == "on":
        return [make(action=mark.options["action"], condition=mark.options["match"], default=mark.options["default"])]
    if mark.kind in ("opened", "closed"):
        return [make(event=mark.kind)]
    if mark.kind == "route":
        raise StartError(f"{mark.where}: {target.__qualname__}.{function_name} is an HTTP route on a {kind} controller")
    return []


def _http_routes(make: Callable[..., Route], function_name: str, mark: Mark, controller: Mark) -> list[Route]:
    own = mark.options["path"]
    if own and not own.startswith("/"):
        raise StartError(f"the path {own!r} does not start with /", hint=f'write "/{own}"')
    prefix = controller.options["path"].rstrip("/") if mark.options.get("prefix", True) else ""
    said = {**controller.options, **mark.options}
    if "header" in controller.options and "header" in mark.options:
        said["header"] = [controller.options["header"], mark.options["header"]]
    address = _address((prefix + own) or "/", said)
    family = controller.options.get("name", "")
    if "item" in controller.options and not family:
        family = next((segment.literal for segment in reversed(parse_template(controller.options["path"]).segments) if segment.literal), "")
    name = mark.options["name"] or (f"{family}.{function_name}" if family else "")
    return [make(method=method, name=name, **address) for method in mark.options["methods"]]


def _address(path: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Template and conditions.  Raises StartError."""
    template, conditions = parse_template(path), conditions_from(said)
    doubled = set(template.names) & set(conditions.host.names if conditions.host is not None else ())
    if doubled:
        raise StartError(f"path and domain of {path!r} both use the placeholder {sorted(doubled)[0]!r}")
    return {"template": template, "conditions": conditions}


def _add(setup: Setup, server: ServerFacts, route: Route, function: Callable[..., Any], said: Mapping[str, Any]) -> None:
    """``said``: the options of its marks, for what the server decides where they are silent."""
    template = route.template
    if template is not None and said.get("ignore_case", server.ignore_case):
        template = parse_template(template.text, ignore_case=True)
    _check_max_body(route, server)
    auto_end_slash = said.get("auto_end_slash", server.auto_end_slash)
    route = replace(route, server=server.name, template=template, auto_end_slash=auto_end_slash)
    route = replace(route, layers=(*route.layers, *_mark_layers(setup, route, function)))
    setup.action(_discriminator(route, server), lambda: _register(setup, route), where=route.where)


def _check_max_body(route: Route, server: ServerFacts) -> None:
    limit = route.options.get("max_body")
    if limit is None or server.max_body is None or 0 <= limit <= server.max_body:
        return
    hint = f"servers.{server.name}.max_body in conf is the limit of all; a route may lower it"
    raise StartError(f"{route.where}: max_body = {limit}, but the server {server.name} takes {server.max_body} bytes at most", hint=hint)


def _register(setup: Setup, route: Route) -> None:
    setup.note("route", route)
    if route.name and route.template is not None:
        setup.server_container(route.server).get(Urls).add(route.name, route.template, route.conditions.host, route.where)


def _from_above(target: Any) -> list[Mark]:
    """The marks of a target as they are read, those of base classes first: from the outside in."""
    return marks_of(target)[::-1]


def _mark_layers(setup: Setup, route: Route, function: Callable[..., Any]) -> list[Any]:
    makers = {found.kind: found.make for found in setup.introspect("mark layer")}
    marks = [mark for mark in _from_above(route.controller) + _from_above(function) if mark.kind in makers]
    return [layer for mark in marks if (layer := makers[mark.kind](mark, route)) is not None]


def _discriminator(route: Route, server: ServerFacts) -> tuple[Any, ...] | None:
    """Equal for two routes of which a message could only ever reach one."""
    place = f"on server {server.name}"
    if route.template is not None:
        if route.kind == "http":  # with conditions see check_reachable
            return None if route.conditions else (route.method, route.template.shape, place)
        place = f"at {route.place} {place}"
    if route.event:
        return None  # several controllers may listen
    if route.default:
        return ("default handler", place)
    if route.condition is not None:
        return (f"messages where {dict(route.condition)!r}", place)
    return (f"message {route.action!r}", place)


def check_reachable(routes: Iterable[Route]) -> None:
    """ConflictError for an HTTP route that can never be taken: one of the same method and shape before it takes all that it could.

    Of different shapes the more literal one is asked first whatever the order, and what patterns have in common is not looked into.
    """
    before: dict[tuple[str, str, str], list[Route]] = {}
    for route in routes:
        if route.kind != "http" or route.template is None:
            continue
        known = before.setdefault((route.server, route.method, route.template.shape), [])
        for other in known:
            if other.conditions.covers(route.conditions):
                text = f"{route.address} on server {route.server}: {route.where} is never reached, {other.where} takes all its requests"
                raise ConflictError(text, hint="declare it first, or ask for something that the other does not")
        known.append(route)
