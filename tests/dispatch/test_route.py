"""From marks on controllers to routes on servers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from greenimi import (
    IConnection,
    Message,
    Request,
    bean,
    closed,
    get,
    http,
    inherit,
    layers,
    on,
    opened,
    post,
    put,
    resource,
    route,
    tcp,
    udp,
    websocket,
)
from greenimi.app import App
from greenimi.dispatch.route import Route, add_mark_layer
from greenimi.errors import ConflictError, StartError
from greenimi.marks import Mark, marker
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


def test_udp_has_messages_and_remembers_who_sent_them() -> None:
    @udp
    class Beacon:
        @opened
        def enter(self) -> None: ...

        @on("ping")
        def ping(self) -> None: ...

    assert addresses(Beacon) == ["beacon: opened", "beacon: ping"]


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


# -- what a route knows --------------------------------------------------------------------------------------------


def test_a_route_knows_what_its_handler_asks_for_and_returns() -> None:
    @http("/orders", server="web")
    class Orders:
        @get("/{number:int}")
        def show(self, number: int, request: Request, limit: int = 10) -> Annotated[str, "a text"]:
            return ""

        @post()
        def store(self, payload: dict[str, int]) -> None: ...

        @put("/{number:int}")
        def change(self, number: int):  # type: ignore[no-untyped-def]
            ...

    show, store, change = routes(Orders)
    assert [(each.name, each.source) for each in show.parameters] == [
        ("number", "path"),
        ("request", "framework"),
        ("limit", "query-or-body"),
    ]
    assert show.returns == Annotated[str, "a text"]
    assert (store.parameters[0].annotation, store.returns) == (dict[str, int], type(None))
    assert change.returns is None


def test_options_of_a_route_and_of_its_controller() -> None:
    @http("/a", server="web", max_body=10, tags=("shop",), deprecated=True)
    class Api:
        @get(max_body=5, summary="All", max_time=2.5)
        def index(self) -> None: ...

        @post(include_in_docs=False)
        def store(self) -> None: ...

    index, store = routes(Api)
    assert index.options == {"max_body": 5, "tags": ("shop",), "deprecated": True, "summary": "All", "max_time": 2.5}
    assert store.options == {"max_body": 10, "tags": ("shop",), "deprecated": True, "include_in_docs": False}


@pytest.mark.parametrize("limit", [-1, 101])
def test_a_route_cannot_take_more_than_its_server(limit: int) -> None:
    @http("/a", server="web")
    class Api:
        @post(max_body=limit)
        def store(self) -> None: ...

    conf = {"servers": {"web": {"kind": "http", "max_body": 100, "uploads": {"max_body": 50}}}}
    with pytest.raises(StartError, match=r"test_route\.py:\d+: max_body = -?\d+, but the server web takes 100 bytes at most"):
        make_app(conf, [Api]).commit()


def noted(name: str) -> Callable[[Any], Any]:
    return marker("noted", name=name)


def test_marks_of_a_kind_become_layers() -> None:
    asked: list[tuple[str, str]] = []

    def make(mark: Mark, route: Route) -> Any:
        asked.append((mark.options["name"], route.server))
        assert route.layers == (outer, inner)
        return None if mark.options["name"] == "none" else f"layer {mark.options['name']}"

    def outer(message: Any, proceed: Any) -> Any: ...
    def inner(message: Any, proceed: Any) -> Any: ...

    @noted("above")
    @http
    @layers(outer)
    @noted("below")
    class Api:
        @noted("first")
        @layers(inner)
        @noted("none")
        @get()
        @noted("last")
        def show(self) -> None: ...

    app = make_app(CONF, [lambda setup: add_mark_layer(setup, "noted", make), Api])
    found: list[Route] = app.commit().setup.introspect("route")
    app.stop()
    wanted = [f"layer {name}" for name in ("above", "below", "first", "last")]
    assert [route.layers for route in found] == [(outer, inner, *wanted)] * 2
    assert asked[:5] == [(name, "web") for name in ("above", "below", "first", "none", "last")]
    assert {server for _, server in asked} == {"web", "admin"}


def test_layer_marks_belong_into_controllers_too() -> None:
    @noted("stray")
    def stray() -> None: ...

    with pytest.raises(StartError, match=r"test_route\.py:\d+: @noted on .*stray, which is not a method of a controller"):
        make_app(CONF, [lambda setup: add_mark_layer(setup, "noted", lambda mark, route: None), stray]).commit()


def test_of_several_layers_marks_the_upper_is_the_outer() -> None:
    @layers("one", "two")
    @layers("three")
    @http(server="web")
    class Api:
        @layers("four")
        @layers("five")
        @get()
        def show(self) -> None: ...

    assert [found.layers for found in routes(Api)] == [("one", "two", "three", "four", "five")]


# -- paths and names -----------------------------------------------------------------------------------------------


def test_a_handler_may_answer_at_several_paths() -> None:
    @http("/a", server="web")
    class Api:
        @get("/two", name="two")
        @get("/one")
        @post("/one")
        @get("/alone", prefix=False)
        def show(self) -> None: ...

    assert addresses(Api) == ["web: GET /alone", "web: POST /a/one", "web: GET /a/one", "web: GET /a/two"]
    assert [found.name for found in routes(Api)] == ["", "", "", "two"]


def test_a_resource_has_handlers_by_name() -> None:
    @resource("/shop/orders/", item="/{order_id:int}", server=("web", "admin"))
    class Orders:
        def index(self) -> None: ...
        def create(self) -> None: ...
        def show(self, order_id: int) -> None: ...
        def update(self, order_id: int) -> None: ...
        def replace(self, order_id: int) -> None: ...
        def destroy(self, order_id: int) -> None: ...
        def helper(self) -> None: ...

        @post("/{order_id:int}/cancel")
        def cancel(self, order_id: int) -> None: ...

    found = [route for route in routes(Orders) if route.server == "web"]
    assert [(route.address, route.name) for route in found] == [
        ("GET /shop/orders", "orders.index"),
        ("POST /shop/orders", "orders.create"),
        ("GET /shop/orders/{order_id:int}", "orders.show"),
        ("PATCH /shop/orders/{order_id:int}", "orders.update"),
        ("PUT /shop/orders/{order_id:int}", "orders.replace"),
        ("DELETE /shop/orders/{order_id:int}", "orders.destroy"),
        ("POST /shop/orders/{order_id:int}/cancel", "orders.cancel"),
    ]
    line = Orders.show.__code__.co_firstlineno
    assert str(found[2].where) == f"test_route.py:{line}"
    assert len(routes(Orders)) == 14


def test_a_mark_of_its_own_goes_before_the_name_of_a_method() -> None:
    @resource("/orders", name="purchases", server="web")
    class Orders:
        @get("/all")
        def index(self) -> None: ...

        def show(self, id: str) -> None: ...

        @get("/{id}/lines", name="lines")
        def lines(self, id: str) -> None: ...

    found = [(route.address, route.name) for route in routes(Orders)]
    assert found == [("GET /orders/all", "purchases.index"), ("GET /orders/{id}", "purchases.show"), ("GET /orders/{id}/lines", "lines")]


def test_a_handler_of_a_resource_takes_its_placeholder() -> None:
    @resource("/orders")
    class Orders:
        def show(self, number: int) -> None: ...

    with pytest.raises(StartError, match=r"no parameter takes the placeholder \{id\}"):
        routes(Orders)


def test_one_name_is_one_address() -> None:
    @http("/a", name="a", server="web")
    class Fine:
        @get("/x")
        @post("/x")
        def both(self) -> None: ...

        @route("/y", methods=("GET", "PUT"))
        def several(self) -> None: ...

        @get("/z", name="z", query="a")
        def one(self) -> None: ...

        @get("/z", name="z", query="!a")
        def other(self) -> None: ...

    assert [route.name for route in routes(Fine)] == ["a.both", "a.both", "a.several", "a.several", "z", "z"]

    @http("/b", server=("web", "admin"))
    class Second:
        @get("/x", name="a.both")
        def show(self) -> None: ...

    pattern = r"the route name 'a.both' on server web: test_route\.py:\d+ and test_route\.py:\d+$"
    with pytest.raises(ConflictError) as caught:
        routes(Fine, Second)
    assert re.match(pattern, caught.value.text)

    @http("/b", server="admin")
    class Elsewhere:
        @get("/x", name="a.both")
        def show(self) -> None: ...

    assert len(routes(Fine, Elsewhere)) == 7


def test_one_name_on_two_hosts_is_a_conflict() -> None:
    @http(server="web")
    class Api:
        @get("/x", name="x", domain="a.org")
        def a(self) -> None: ...

        @get("/x", name="x", domain="b.org")
        def b(self) -> None: ...

    with pytest.raises(ConflictError, match="the route name 'x'"):
        routes(Api)


# -- routes that are never reached ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({}, {"query": "id"}),
        ({"query": "id"}, {"query": "id"}),
        ({"query": ["a", "b"]}, {"query": ["b", "a"]}),
        ({"query": "a"}, {"query": "a", "header": "x"}),
        ({"domain": "{a}.org"}, {"domain": "{b}.org"}),
        ({"consumes": "text/*"}, {"consumes": "text/plain"}),
        ({"ignore_case": True}, {"ignore_case": True, "query": "a"}),
    ],
)
def test_a_route_that_is_never_reached_is_a_mistake(one: dict[str, Any], two: dict[str, Any]) -> None:
    @http(server="web")
    class First:
        @get("/x/{n}", **one)
        def show(self, n: str) -> None: ...

    @http(server="web")
    class Second:
        @get("/x/{m}", **two)
        def show(self, m: str) -> None: ...

    first, second = place(First, "show"), place(Second, "show")
    assert conflict(First, Second) == f"GET /x/{{m}} on server web: {second} is never reached, {first} takes all its requests"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"query": "id"}, {}),
        ({"query": "id"}, {"query": "id=1"}),
        ({"ignore_case": True}, {}),
        ({"domain": "a.org"}, {"domain": "b.org"}),
        ({}, {"server": "admin"}),
    ],
)
def test_routes_that_share_a_path(one: dict[str, Any], two: dict[str, Any]) -> None:
    server = two.pop("server", "web")

    @http(server="web")
    class First:
        @get("/x", **one)
        def show(self) -> None: ...

    @http(server=server)
    class Second:
        @get("/x", **two)
        def show(self) -> None: ...

    assert len(routes(First, Second)) == 2
    two["server"] = server


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"query": "a b"}, "the query rule 'a b' cannot be read"),
        ({"domain": "a.org:80"}, "the domain 'a.org:80' is none"),
        ({"domain": "{n}.org"}, "path and domain of '/x/{n}' both use the placeholder 'n'"),
        ({"consumes": "json"}, "'json' is no media type"),
    ],
)
def test_conditions_that_cannot_be_read_name_their_place(options: dict[str, Any], text: str) -> None:
    @http
    class Api:
        @get("/x/{n}", **options)
        def show(self, n: str) -> None: ...

    with pytest.raises(StartError) as caught:
        routes(Api)
    assert caught.value.text.startswith(f"{place(Api, 'show')}: {text}")
