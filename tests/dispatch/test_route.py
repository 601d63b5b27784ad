"""From marks on controllers to routes on servers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from greenimi import IConnection, Message, bean, closed, get, http, inherit, layers, on, opened, post, route, tcp, udp, websocket
from greenimi.app import App
from greenimi.dispatch.route import Route
from greenimi.errors import ConflictError, StartError
from greenimi.testing.clients import HttpClient, MessageClient, WebSocketClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import make_app

CONF: dict[str, Any] = {
    "servers": {
        "web": {"kind": "http"},
        "admin": {"kind": "http"},
        "till": {"kind": "tcp"},
        "scale": {"kind": "tcp"},
        "beacon": {"kind": "udp"},
    }
}


def routes(*controllers: Any) -> list[Route]:
    app = make_app(CONF, controllers)
    try:
        found: list[Route] = app.commit().setup.introspect("route")
    finally:
        app.stop()
    return found


def addresses(*controllers: Any) -> list[str]:
    return [f"{found.server}: {found.address}" for found in routes(*controllers)]


# -- what becomes a route ------------------------------------------------------------------------------------------


def test_http_routes_of_every_server_of_the_kind() -> None:
    @http("/orders/")
    class Orders:
        @get("")
        def all(self) -> None: ...

        @route("/{number:int}", methods=("put", "patch"), name="order")
        def store(self, number: int) -> None: ...

        def helper(self) -> None: ...

    assert addresses(Orders) == [
        f"{server}: {place}"
        for place in ("GET /orders", "PUT /orders/{number:int}", "PATCH /orders/{number:int}")
        for server in ("web", "admin")
    ]
    found = routes(Orders)[-1]
    assert (found.name, found.handler, found.kind) == ("order", f"{__name__}:{Orders.__qualname__}.store", "http")
    assert str(found.where).startswith("test_route.py:")


def test_an_empty_path_is_the_root() -> None:
    @http(server="web")
    class Root:
        @get()
        def show(self) -> None: ...

    assert addresses(Root) == ["web: GET /"]


@pytest.mark.parametrize(
    ("mark", "path", "servers"),
    [(websocket("/chat"), "/chat ", ["web", "admin"]), (websocket(), "/ ", ["web", "admin"]), (tcp, "", ["till", "scale"])],
)
def test_kinds_of_messages(mark: Callable[[type], type], path: str, servers: list[str]) -> None:
    @mark
    class Talk:
        @opened
        def enter(self, connection: IConnection) -> None: ...

        @on("say")
        def say(self) -> None: ...

        @on(where={"a.b": 1})
        def special(self) -> None: ...

        @on.default
        def rest(self, message: Message) -> None: ...

        @closed
        def leave(self) -> None: ...

    kinds = ["opened", "say", "{'a.b': 1}", "default", "closed"]
    assert addresses(Talk) == [f"{server}: {path}{kind}" for kind in kinds for server in servers]


def test_udp_has_messages_but_no_connections() -> None:
    @udp
    class Beacon:
        @on("ping")
        def ping(self) -> None: ...

    assert addresses(Beacon) == ["beacon: ping"]

    @udp
    class Wrong:
        @opened
        def enter(self) -> None: ...

    with pytest.raises(StartError, match=r"test_route\.py:\d+: UDP has no connections, so no @opened"):
        routes(Wrong)


def test_only_the_servers_that_are_named() -> None:
    @tcp(server=("scale", "till"))
    class Both:
        @on("a")
        def a(self) -> None: ...

    @tcp(server="till")
    class One:
        @on("b")
        def b(self) -> None: ...

    assert addresses(Both, One) == ["scale: a", "till: a", "till: b"]


def test_handlers_of_a_base_class_come_first_and_may_be_replaced() -> None:
    class Base:
        @get("/one")
        def one(self) -> None: ...

        @get("/two")
        def two(self) -> None: ...

    @http(server="web")
    class Child(Base):
        @get("/other")
        def one(self) -> None: ...

    assert addresses(Child) == ["web: GET /other", "web: GET /two"]


def test_layers_of_the_class_stand_outside_of_the_methods() -> None:
    def outer(message: Any, proceed: Any) -> Any: ...
    def inner(message: Any, proceed: Any) -> Any: ...

    @layers(outer, "@house")
    @http(server="web")
    class Layered:
        @layers(inner)
        @get()
        def show(self) -> None: ...

        @post()
        def plain(self) -> None: ...

    assert [found.layers for found in routes(Layered)] == [(outer, "@house", inner), (outer, "@house")]


# -- conflicts -----------------------------------------------------------------------------------------------------


def conflict(*controllers: Any) -> str:
    with pytest.raises(ConflictError) as caught:
        routes(*controllers)
    return caught.value.text


def place(controller: type, name: str) -> str:
    line = getattr(controller, name).__code__.co_firstlineno
    return f"test_route.py:{line}"


@pytest.mark.parametrize(("one", "two"), [("/{a}/x", "/{b}/x"), ("/{a:int}", "/{b:int}"), ("/{a:path}", "/{rest:path}"), ("/x", "/x")])
def test_paths_of_one_shape_are_a_conflict_that_names_both_places(one: str, two: str) -> None:
    @http(server="web")
    class First:
        @get(one)
        def show(self, a: str = "", b: str = "", rest: str = "") -> None: ...

    @http(server="web")
    class Second:
        @get(two)
        def show(self, a: str = "", b: str = "", rest: str = "") -> None: ...

    text = conflict(First, Second)
    assert text.startswith("GET /")
    assert re.search(r" on server web: test_route\.py:\d+ and test_route\.py:\d+$", text)


def test_the_two_places_are_those_of_the_decorators() -> None:
    @http(server="web")
    class First:
        @get("/{a}")
        def show(self, a: str) -> None: ...

    @http(server="web")
    class Second:
        @get("/{b}")
        def show(self, b: str) -> None: ...

    assert conflict(First, Second) == f"GET /{{}} on server web: {place(First, 'show')} and {place(Second, 'show')}"


def test_what_is_no_conflict() -> None:
    @http
    class One:
        @get("/{a:int}")
        def number(self, a: int) -> None: ...

        @get("/{a}")
        def text(self, a: str) -> None: ...

        @post("/{a}")
        def store(self, a: str) -> None: ...

    @tcp(server="till")
    class Till:
        @on("say")
        def say(self) -> None: ...

        @opened
        def enter(self) -> None: ...

    @tcp(server="scale")
    class Scale:
        @on("say")
        def say(self) -> None: ...

    @tcp
    class Both:
        @opened
        def enter(self) -> None: ...

    assert len(addresses(One, Till, Scale, Both)) == 6 + 2 + 1 + 2


def talkers(mark: Callable[[type], type], handler: Callable[[Any], Any]) -> list[type]:
    class One:
        @handler
        def take(self, message: Message) -> None: ...

    class Two:
        @handler
        def take(self, message: Message) -> None: ...

    return [mark(One), mark(Two)]


@pytest.mark.parametrize(
    ("handler", "text"),
    [(on("say"), "message 'say' "), (on.default, "default handler "), (on(where={"a": 1}), "messages where {'a': 1} ")],
)
def test_two_takers_of_one_message_are_a_conflict(handler: Callable[[Any], Any], text: str) -> None:
    for mark, door in (
        (tcp(server="till"), "on server till"),
        (udp(), "on server beacon"),
        (websocket("/chat", server="web"), "at /chat on server web"),
    ):
        assert conflict(*talkers(mark, handler)).startswith(f"{text}{door}: test_route.py:")


@pytest.mark.parametrize(
    ("one", "two", "what"),
    [
        ({"path": "/rooms/{room}"}, {"path": "/rooms/{name}"}, "placeholders"),
        ({"path": "/chat"}, {"path": "/chat", "payload": "msgpack"}, "payload"),
        ({"path": "/chat", "subprotocols": ("a",)}, {"path": "/chat", "subprotocols": ("b",)}, "subprotocols"),
    ],
)
def test_controllers_of_one_websocket_path_must_agree(one: dict[str, Any], two: dict[str, Any], what: str) -> None:
    """They share its connections, which have one set of placeholders and one payload."""

    @websocket(server="web", **one)
    class One:
        @on("one")
        def one(self) -> None: ...

    @websocket(server="web", **two)
    class Two:
        @on("two")
        def two(self) -> None: ...

    text = conflict(One, Two)
    assert what in text
    assert text.endswith(f"{place(One, 'one')} and {place(Two, 'two')}")


def test_controllers_of_one_websocket_path_that_agree(app_factory: AppFactory) -> None:
    @websocket("/rooms/{room}", server="web")
    class One:
        @on("one")
        def one(self, room: str) -> str:
            return room

    @websocket("/rooms/{room}", server="web")
    class Two:
        @on("two")
        def two(self, room: str) -> str:
            return room

    with WebSocketClient(app_factory([One, Two], CONF), "/rooms/7") as client:
        assert [client.request("one"), client.request("two")] == ["7", "7"]


# -- mistakes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "kind", "known"),
    [
        (http(server="wbe"), get(), "admin, web"),
        (websocket("/x", server="till"), on("a"), "admin, web"),
        (tcp(server="web"), on("a"), "scale, till"),
        (udp(server=("beacon", "x")), on("a"), "beacon"),
    ],
)
def test_a_server_of_another_name_or_kind_lists_the_known(mark: Callable[[type], type], kind: Callable[[Any], Any], known: str) -> None:
    @mark
    class Lost:
        @kind
        def take(self) -> None: ...

    with pytest.raises(StartError, match=rf"test_route\.py:\d+: .*Lost is for the server '\w+'; servers of its kind in conf: {known}$"):
        routes(Lost)


@pytest.mark.parametrize("mark", [get("/x"), on("say"), opened, closed, layers("@x"), on.default])
def test_marks_on_functions_belong_into_controllers(mark: Callable[[Any], Any]) -> None:
    def lonely() -> None: ...

    with pytest.raises(StartError, match=r"test_route\.py:\d+: @\w+ on .*lonely, which is not a method of a controller") as caught:
        routes(mark(lonely))
    assert "@http, @websocket, @tcp or @udp" in caught.value.hint


def test_a_class_with_handlers_that_is_no_controller_is_a_mistake() -> None:
    """Somebody forgot @http; without a word nothing would answer."""

    class Forgotten:
        @get("/x")
        def show(self) -> None: ...

    @http(server="web")
    class Other:
        @get("/y")
        def show(self) -> None: ...

    module = type(pytest)("forgotten")
    for each in (Forgotten, Other):
        each.__module__ = module.__name__
        setattr(module, each.__name__, each)
    with pytest.raises(StartError, match="Forgotten"):
        routes(module)


def test_a_controller_is_a_class() -> None:
    @http(server="web")
    class Fine:
        @get("/x")
        def show(self) -> None: ...

    def function() -> None: ...

    mark: Any = tcp()
    with pytest.raises(StartError, match=r"test_route\.py:\d+: @tcp goes on a class, not on <function"):
        routes(Fine, mark(function))
    with pytest.raises(StartError, match=r"test_route\.py:\d+: @tcp goes on a class, not on <function"):
        routes(mark(function), Fine)


def test_an_http_route_on_another_controller() -> None:
    @tcp
    class Wrong:
        @on("a")
        def a(self) -> None: ...

        @get("/x")
        def show(self) -> None: ...

    with pytest.raises(StartError, match=r"test_route\.py:\d+: .*Wrong.show is an HTTP route on a tcp controller"):
        routes(Wrong)


def test_signatures_are_checked_where_the_server_is_none() -> None:
    @http
    class Wrong:
        @get("/{a}")
        def show(self) -> None: ...

    app = make_app({}, [Wrong])
    with pytest.raises(StartError, match=r"test_route\.py:\d+.*no parameter takes the placeholder \{a\}"):
        app.commit()


# -- controllers as beans ------------------------------------------------------------------------------------------


class Badge:
    name = ""


@bean(server="till")
class TillBadge(Badge):
    name = "till"


@bean(server="scale")
class ScaleBadge(Badge):
    name = "scale"


@tcp
@dataclass
class Counter:
    badge: Badge
    count: int = 0

    @on("next")
    def next(self) -> list[Any]:
        self.count += 1
        return [self.badge.name, self.count]


def test_a_controller_of_several_servers_is_an_object_for_each_with_its_beans(app_factory: AppFactory) -> None:
    app: App = app_factory([TillBadge, ScaleBadge, Counter], CONF)
    with MessageClient(app, "till") as till, MessageClient(app, "scale") as scale:
        assert [till.request("next"), till.request("next"), scale.request("next")] == [["till", 1], ["till", 2], ["scale", 1]]


def test_a_controller_that_is_marked_as_a_bean_is_one_object(app_factory: AppFactory) -> None:
    @bean
    @http
    class Shared:
        def __init__(self) -> None:
            self.count = 0

        @get("/next")
        def next(self) -> int:
            self.count += 1
            return self.count

    app = app_factory([Shared], CONF)
    with HttpClient(app, "web") as web, HttpClient(app, "admin") as admin:
        assert [web.get("/next").json(), admin.get("/next").json()] == [1, 2]


def test_an_inherited_controller_mark(app_factory: AppFactory) -> None:
    @http("/base", server="web")
    class Base:
        @get("/x")
        def show(self) -> str:
            return "base"

    @inherit()
    class Child(Base):
        def show(self) -> str:
            return "child"

    class Plain(Base): ...

    assert addresses(Plain, Base) == ["web: GET /base/x"]
    with pytest.raises(StartError, match="has no handlers"):
        routes(Child)
