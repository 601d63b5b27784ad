"""What a decorator leaves on a class or function, nothing more.

"Decorators mark, scanning acts": a decorator here appends a :class:`Mark` to its target and returns the target unchanged.  It touches no
registry and imports no driver, so importing a module of an application has no effect until ``setup.scan`` reads the marks and hands each to
the component that knows its kind.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, Unpack, overload

from greenimi.route_options import AddressOptions, ControllerOptions, RouteOptions, check_brackets, check_options

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

ATTRIBUTE = "__greenimi_marks__"


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a source file, for error messages and listings."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file.rsplit('/', 1)[-1]}:{self.line}"


@dataclass(frozen=True, slots=True)
class Mark:
    """One use of a decorator: its kind, its options and where it stands."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    where: Where = Where("?", 0)


def here(depth: int = 2) -> Where:
    """The place ``depth`` frames up: the line that uses a decorator."""
    frame = sys._getframe(depth)
    return Where(frame.f_code.co_filename, frame.f_lineno)


def add_mark(target: T, kind: str, options: Mapping[str, Any], where: Where) -> T:
    """Append a mark to ``target``'s own marks (never to those of a base class)."""
    own = target.__dict__.get(ATTRIBUTE, ()) if isinstance(target, type) else getattr(target, ATTRIBUTE, ())
    setattr(target, ATTRIBUTE, (*own, Mark(kind, options, where)))  # never changed in place: functools.wraps shares it
    return target


def marks_of(target: Any, kind: str | None = None) -> list[Mark]:
    """The marks ``target`` itself carries, in the order they were applied.  A class also shows those it inherits with ``@inherit``."""
    if isinstance(target, type):
        own = list(target.__dict__.get(ATTRIBUTE, ()))
        for mark in [m for m in own if m.kind == "inherit"]:
            wanted = mark.options["kinds"]
            for base in target.__mro__[1:]:
                own += [m for m in base.__dict__.get(ATTRIBUTE, ()) if m.kind != "inherit" and (not wanted or m.kind in wanted)]
    else:
        own = list(getattr(target, ATTRIBUTE, ()))
    return [m for m in own if kind is None or m.kind == kind]


def marker(kind: str, *, depth: int = 2, **options: Any) -> Callable[[T], T]:
    """A decorator that leaves one mark.  Third parties build their own decorators from it."""
    where = here(depth + 1)

    def decorate(target: T) -> T:
        return add_mark(target, kind, options, where)

    return decorate


def _bare(kind: str, target: Any, options: Mapping[str, Any]) -> Any:
    """Support both ``@deco`` and ``@deco(...)``: with a target mark it, without one return the decorator."""
    where = here(3)
    if target is not None:
        return add_mark(target, kind, options, where)

    def decorate(found: Any) -> Any:
        return add_mark(found, kind, options, where)

    return decorate


# -- beans ---------------------------------------------------------------------------------------------------------


@overload
def bean(target: T, /) -> T: ...
@overload
def bean(
    *,
    name: str = "",
    lifetime: str = "app",
    provides: Any = None,
    server: str | tuple[str, ...] = (),
    driver: str = "",
    env: str | tuple[str, ...] = (),
) -> Callable[[T], T]: ...
def bean(
    target: Any = None,
    /,
    *,
    name: str = "",
    lifetime: str = "app",
    provides: Any = None,
    server: str | tuple[str, ...] = (),
    driver: str = "",
    env: str | tuple[str, ...] = (),
) -> Any:
    """The class (or factory function) is a bean.

    ``name``      tells several beans of one type apart, and is how conf overrides or fills it.
    ``lifetime``  ``"app"``: one for the application; ``"message"``: one for each message, on demand.
    ``provides``  what it is found by, where the class (or the function's return annotation) does not say enough.
    ``server``    only in the containers of these servers.
    ``driver``    a named factory for ``provides``, chosen in conf.
    ``env``       only in these environments (``development``, ``test``, ``production``, ...).

    A generator function is a factory whose rest runs when the lifetime ends.
    """
    return _bare(
        "bean",
        target,
        {
            "name": name,
            "lifetime": lifetime,
            "provides": provides,
            "server": (server,) if isinstance(server, str) else tuple(server),
            "driver": driver,
            "env": (env,) if isinstance(env, str) else tuple(env),
        },
    )


def partial(target_class: type) -> Callable[[C], C]:
    """The decorated class is a part of the bean ``target_class``: its methods and attributes are mixed in when the bean is made."""
    return marker("partial", target=target_class)


def inherit(*kinds: str) -> Callable[[C], C]:
    """Let a class take over its base classes' marks: all of them, or only those of ``kinds``."""
    check_brackets("inherit", kinds, example="")
    return marker("inherit", kinds=frozenset(kinds))


# -- doors: controllers --------------------------------------------------------------------------------------------


def _controller(kind: str, target: Any, options: Mapping[str, Any], where: Where) -> Any:
    options = {"kind": kind, **options}
    if isinstance(target, type):
        return add_mark(target, "controller", options, where)

    def decorate(found: Any) -> Any:
        return add_mark(found, "controller", options, where)

    return decorate


@overload
def http(prefix: C, /) -> C: ...
@overload
def http(prefix: str = "", *, server: str | tuple[str, ...] = (), **options: Unpack[ControllerOptions]) -> Callable[[C], C]: ...
def http(prefix: Any = "", *, server: str | tuple[str, ...] = (), **options: Any) -> Any:
    """An HTTP controller: a class whose routes start with ``prefix``."""
    check_options("http", options, ControllerOptions.__annotations__)
    path = "" if isinstance(prefix, type) else prefix
    return _controller("http", prefix, {"path": path, "server": _names(server), **options}, here(2))


def resource(
    prefix: str, *, item: str = "/{id}", server: str | tuple[str, ...] = (), **options: Unpack[ControllerOptions]
) -> Callable[[C], C]:
    """An HTTP controller of things of one kind.  Methods of these names are its handlers without a mark of their own: at ``prefix``
    ``index`` (GET) and ``create`` (POST); at ``prefix`` + ``item`` ``show`` (GET), ``update`` (PATCH), ``replace`` (PUT), ``destroy``
    (DELETE).

    Their names for ``url_for`` begin with ``name``, by default the last word of ``prefix``: ``orders.show``.
    """
    check_options("resource", options, ControllerOptions.__annotations__)
    if not isinstance(prefix, str):
        raise TypeError('@resource needs its prefix: @resource("/orders")')
    return _controller("http", prefix, {"path": prefix, "item": item, "server": _names(server), **options}, here(2))  # type: ignore[no-any-return]


@overload
def websocket(path: C, /) -> C: ...
@overload
def websocket(
    path: str = "",
    *,
    server: str | tuple[str, ...] = (),
    payload: str = "",
    subprotocols: tuple[str, ...] = (),
    **options: Unpack[AddressOptions],
) -> Callable[[C], C]: ...
def websocket(
    path: Any = "", *, server: str | tuple[str, ...] = (), payload: str = "", subprotocols: tuple[str, ...] = (), **options: Any
) -> Any:
    """A WebSocket controller: connections that shook hands on ``path``.  ``payload`` overrides the server's payload codec for them."""
    check_options("websocket", options, AddressOptions.__annotations__)
    found = "" if isinstance(path, type) else path
    options = {"path": found, "server": _names(server), "payload": payload, "subprotocols": tuple(subprotocols), **options}
    return _controller("websocket", path, options, here(2))


@overload
def tcp(target: C, /) -> C: ...
@overload
def tcp(*, server: str | tuple[str, ...] = ()) -> Callable[[C], C]: ...
def tcp(target: Any = None, *, server: str | tuple[str, ...] = ()) -> Any:
    """A TCP controller, for the named TCP servers or, without a name, for all of them."""
    return _controller("tcp", target, {"path": "", "server": _names(server)}, here(2))


@overload
def udp(target: C, /) -> C: ...
@overload
def udp(*, server: str | tuple[str, ...] = ()) -> Callable[[C], C]: ...
def udp(target: Any = None, *, server: str | tuple[str, ...] = ()) -> Any:
    """A UDP controller, for the named UDP servers or, without a name, for all of them."""
    return _controller("udp", target, {"path": "", "server": _names(server)}, here(2))


def _names(server: str | tuple[str, ...]) -> tuple[str, ...]:
    return (server,) if isinstance(server, str) else tuple(server)


# -- doors: handlers -----------------------------------------------------------------------------------------------


def _route(decorator: str, path: str, methods: tuple[str, ...], options: Mapping[str, Any]) -> Callable[[F], F]:
    check_options(decorator, options, RouteOptions.__annotations__)
    check_brackets(decorator, [path], example='"/path"')
    return marker("route", depth=3, path=path, methods=methods, **{"name": "", **options})


def route(path: str = "", *, methods: tuple[str, ...] = ("GET",), **options: Unpack[RouteOptions]) -> Callable[[F], F]:
    """An HTTP handler for ``path``: a leading ``/`` is appended to the controller's prefix.  Repeated, it answers at several paths.

    Placeholders: ``{name}``, ``{name:int}`` (int, float, uuid, path), ``{name:[a-z]+}`` (a regular expression), several in one segment.
    """
    return _route("route", path, tuple(m.upper() for m in methods), options)


def get(path: str = "", **options: Unpack[RouteOptions]) -> Callable[[F], F]:
    return _route("get", path, ("GET",), options)


def post(path: str = "", **options: Unpack[RouteOptions]) -> Callable[[F], F]:
    return _route("post", path, ("POST",), options)


def put(path: str = "", **options: Unpack[RouteOptions]) -> Callable[[F], F]:
    return _route("put", path, ("PUT",), options)


def patch(path: str = "", **options: Unpack[RouteOptions]) -> Callable[[F], F]:
    return _route("patch", path, ("PATCH",), options)


def delete(path: str = "", **options: Unpack[RouteOptions]) -> Callable[[F], F]:
    return _route("delete", path, ("DELETE",), options)


class _On:
    """``@on("say")``, ``@on(where={"data.op": "x"})``, ``@on.default``."""

    def __call__(self, action: str | None = None, *, where: Mapping[str, Any] | None = None) -> Callable[[F], F]:
        """Handle messages whose action field is ``action``, or whose payload holds every value of ``where`` (dotted keys)."""
        if (action is None) == (where is None):
            raise TypeError('say @on("action") or @on(where={"dotted.key": value}), one of the two')
        return marker("on", action=action, match=dict(where) if where is not None else None, default=False)

    def default(self, function: F) -> F:
        """Handle every message that no other handler of this controller takes."""
        return add_mark(function, "on", {"action": None, "match": None, "default": True}, here(2))


on = _On()


def opened(function: F) -> F:
    """Run when a connection opened, before any of its messages; on UDP at the first datagram of somebody who is not remembered.

    An error closes the connection.
    """
    return add_mark(function, "opened", {}, here(2))


def closed(function: F) -> F:
    """Run once when a connection closed, after the last of its messages."""
    return add_mark(function, "closed", {}, here(2))


def layers(*found: Any) -> Callable[[T], T]:
    """Wrap a controller or one handler in layers: callables ``(message, proceed) -> result``, classes (made as beans), or ``"@group"``."""
    return marker("layers", layers=tuple(found))


def view(*kinds: str, template: str = "", indent: int = 0, sort: bool = False, root: str = "response") -> Callable[[T], T]:
    """What the values of a controller's handlers, or of one handler, become.  Of several kinds the client chooses one (Accept).

    ``kinds``     json, xml, html, text, msgpack; or events: a generator's values, sent one by one (server-sent events)
    ``template``  of html, rendered with the entries of the value
    ``indent``    spaces a level of json; ``sort``: its fields by name
    ``root``      the outermost element of xml

    A Response that a handler returns is left as it is.
    """
    check_brackets("view", kinds, example='"html"')
    return marker("view", kinds=kinds, template=template, indent=indent, sort=sort, root=root)


def on_error(*kinds: type[BaseException], server: str | tuple[str, ...] = ()) -> Callable[[F], F]:
    """The function answers errors of these kinds: ``(error, message) -> value or None`` (None: the next handler, then the default)."""
    check_brackets("on_error", kinds, type, "KeyError")
    return marker("error_handler", kinds=kinds or (Exception,), server=_names(server))


def on_missing(server: str | tuple[str, ...] = ()) -> Callable[[F], F]:
    """The function answers messages that no route takes: ``(message) -> value``."""
    check_brackets("on_missing", [server], (str, tuple), "")
    return marker("missing_handler", server=_names(server))


# -- who is calling ------------------------------------------------------------------------------------------------


@overload
def authenticator(target: C, /) -> C: ...
@overload
def authenticator(*, server: str | tuple[str, ...] = ()) -> Callable[[C], C]: ...
def authenticator(target: Any = None, /, *, server: str | tuple[str, ...] = ()) -> Any:
    """The class finds out who is calling (see IAuthenticator): on the named servers or, without a name, on all HTTP servers.

    On a named TCP server the first message says who its client is, on a named UDP server each datagram who sent it.
    """
    return _bare("authenticator", target, {"server": _names(server)})


def requires(*roles: str, any_of: str | tuple[str, ...] = (), check: Callable[[Any, Any], object] | None = None) -> Callable[[T], T]:
    """Only callers with an identity get through: with all of ``roles``, with one of ``any_of`` at least, and whom ``check`` lets pass.

    ``check(identity, message)`` says so by something true.  Others are answered 401 (nobody said who it is) or 403.
    """
    check_brackets("requires", roles, example='"role"')
    return marker("requires", roles=roles, any_of=_names(any_of), check=check)


def public(target: T) -> T:
    """Anybody may call it, also on a server where ``identity.default`` is ``required``."""
    return add_mark(target, "public", {}, here(2))


# -- events --------------------------------------------------------------------------------------------------------


@overload
def listener(target: F, /) -> F: ...
@overload
def listener(*, name: str = "", priority: int = 0, once: bool = False) -> Callable[[F], F]: ...
def listener(target: Any = None, /, *, name: str = "", priority: int = 0, once: bool = False) -> Any:
    """The function hears events: of the type its first parameter is annotated with, or called ``name``.  Higher priority first."""
    return _bare("listener", target, {"name": name, "priority": priority, "once": once})


def health_check(name: str, *, every: float = 5.0, limit: float = 2.0) -> Callable[[F], F]:
    """The function says whether something that the application needs is well: it raises, or returns False, when it is not.

    It runs in the background ``every`` so many seconds, and may take ``limit`` seconds.
    """
    check_brackets("health_check", [name], example='"database"')
    return marker("health_check", name=name, every=every, limit=limit)


# -- requests of other sites' pages --------------------------------------------------------------------------------


def csrf_exempt(target: T) -> T:
    """Pages of other sites may make requests to this handler, or to all of a controller, in the name of their visitors."""
    return add_mark(target, "csrf_exempt", {}, here(2))


# -- advice --------------------------------------------------------------------------------------------------------


def _advice(kind: str, where: Any, options: Mapping[str, Any]) -> Callable[[F], F]:
    if not where:
        raise TypeError(f'@{kind} needs to be told where: @{kind}(Shop.place) or @{kind}("shop:Shop.*")')
    if len(where) == 1 and callable(where[0]) and "." not in where[0].__qualname__:
        raise TypeError(f"@{kind} was put on {where[0].__qualname__} without saying where: @{kind}(Shop.place)")
    return marker("advice", depth=3, advice=kind, where=where, **options)


def around(*where: Any, deny: tuple[str, ...] = (), priority: int = 0) -> Callable[[F], F]:
    """``(call, proceed) -> result`` around every method that ``where`` names.

    ``where``: a method (``Shop.place``), a pattern (``"shop:Shop.*"``, wildcards on both sides of the dot) or a decorator's mark kind
    (``"@cacheable"``).  ``deny`` takes patterns back out.  Higher ``priority`` is further out.
    """
    return _advice("around", where, {"deny": deny, "priority": priority})


def before(*where: Any, deny: tuple[str, ...] = (), priority: int = 0) -> Callable[[F], F]:
    """``(call) -> None`` before the method; may change ``call.args`` and ``call.kwargs``."""
    return _advice("before", where, {"deny": deny, "priority": priority})


def after(*where: Any, deny: tuple[str, ...] = (), priority: int = 0) -> Callable[[F], F]:
    """``(call) -> None`` after the method returned."""
    return _advice("after", where, {"deny": deny, "priority": priority})


def after_returning(*where: Any, deny: tuple[str, ...] = (), priority: int = 0) -> Callable[[F], F]:
    """``(call) -> None`` after the method returned and ``after`` ran; may replace ``call.result``."""
    return _advice("after_returning", where, {"deny": deny, "priority": priority})


def after_throwing(
    *where: Any,
    errors: tuple[type[BaseException], ...] = (Exception,),
    deny_errors: tuple[type[BaseException], ...] = (),
    deny: tuple[str, ...] = (),
    priority: int = 0,
) -> Callable[[F], F]:
    """``(call) -> None`` when the method raised one of ``errors`` and none of ``deny_errors``; ``call.suppress(result)`` swallows it."""
    return _advice("after_throwing", where, {"deny": deny, "priority": priority, "errors": errors, "deny_errors": deny_errors})


# -- commands and components ---------------------------------------------------------------------------------------


@overload
def command(target: F, /) -> F: ...
@overload
def command(name: str = "", *, help: str = "", start: bool = True) -> Callable[[F], F]: ...
def command(name: Any = "", *, help: str = "", start: bool = True) -> Any:
    """A command of ``greenimi``; its parameters are arguments and options.  ``start=False``: services are not started, and may need it."""
    if callable(name):
        return add_mark(name, "command", {"name": "", "help": help, "start": start}, here(2))
    return marker("command", name=name, help=help, start=start)
