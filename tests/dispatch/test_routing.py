"""Which route answers: conditions, hosts, ends, cases, limits and mounted applications, through whole applications."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenimi import Body, Request, Response, delete, get, http, on, on_missing, post, put, route, websocket
from greenimi.dispatch.routing import limit_body
from greenimi.errors import ConflictError, TooLarge
from greenimi.message import Body as Stream
from greenimi.testing.clients import HttpClient, NotUpgraded, TestResponse, WebSocketClient
from greenimi.testing.links import connect
from greenimi.testing.plugin import AppFactory

Ask = Callable[..., TestResponse]


@pytest.fixture
def ask(app_factory: AppFactory) -> Iterator[Callable[..., Ask]]:
    """``ask(controller, ...)`` serves them; what it gives is ``(method, path, host=..., json=..., ...) -> answer``."""
    clients: list[HttpClient] = []

    def serve(*controllers: Any, routing: dict[str, Any] | None = None, **settings: Any) -> Ask:
        app = app_factory(list(controllers), {"servers": {"web": {"kind": "http", "routing": routing or {}, **settings}}})
        clients.append(HttpClient(app))
        client = clients[-1]

        def request(method: str, path: str, *, host: str = "localhost", headers: dict[str, str] | None = None, **more: Any) -> TestResponse:
            return client.request(method, path, headers={"Host": host, **(headers or {})}, **more)

        return request

    yield serve
    for client in clients:
        client.close()


def texts(ask: Ask, *lines: str) -> list[str | int]:
    """The text of each answer, its status when it is an error."""
    answers = [ask(*line.split(" ")) for line in lines]
    return [answer.text if answer.status < 300 else answer.status for answer in answers]


# -- which one -----------------------------------------------------------------------------------------------------


@http("/q")
class Query:
    @get(query="id=100")
    def hundred(self) -> str:
        return "hundred"

    @get(query={"id": "[0-9]+"})
    def number(self) -> str:
        return "number"

    @get(query=["id!=0x", "id"])
    def other(self) -> str:
        return "other"

    @get()
    def rest(self) -> str:
        return "rest"

    @get("/{name}", query="draft")
    def draft(self, name: str) -> str:
        return f"draft {name}"

    @get("/fixed", query="fixed")
    def fixed(self) -> str:
        return "fixed"

    @get("/{word}")
    def word(self, word: str) -> str:
        return f"word {word}"

    @get("/{number:int}", query="odd")
    def odd(self, number: int) -> str:
        return f"odd {number}"

    @get("/{rest:path}", query="deep")
    def deep(self, rest: str) -> str:
        return f"deep {rest}"


def test_the_first_declared_whose_conditions_hold_wins(ask: Callable[..., Ask]) -> None:
    web = ask(Query)
    found = texts(web, "GET /q?id=100", "GET /q?id=7", "GET /q?id=x", "GET /q?id=0x", "GET /q")
    assert found == ["hundred", "number", "other", "rest", "rest"]


def test_what_does_not_hold_falls_through_to_less_literal_paths(ask: Callable[..., Ask]) -> None:
    web = ask(Query)
    assert texts(web, "GET /q/fixed?fixed", "GET /q/fixed?draft", "GET /q/fixed") == ["fixed", "draft fixed", "word fixed"]
    assert texts(web, "GET /q/7?odd", "GET /q/7?draft", "GET /q/7", "HEAD /q/7") == ["odd 7", "draft 7", "word 7", ""]
    assert texts(web, "GET /q/7/x?deep", "GET /q/7/x", "GET /q/7?deep") == ["deep 7/x", 404, "word 7"]


def test_a_handler_of_head_goes_before_get(ask: Callable[..., Ask]) -> None:
    @http
    class Api:
        @route("/x", methods=("HEAD",), query="own")
        def own(self) -> Response:
            return Response(b"", 202)

        @get("/x", query="other")
        def other(self) -> str:
            return "other"

    web = ask(Api)
    assert [web("HEAD", f"/x{query}").status for query in ("?own", "?other", "?own&other", "")] == [202, 200, 202, 404]


def test_header_form_and_body(ask: Callable[..., Ask]) -> None:
    @http("/api", header="x-api=1")
    class Api:
        @get(header={"x-version": "2|3"})
        def new(self) -> str:
            return "new"

        @get()
        def old(self) -> str:
            return "old"

        @post(form="kind=tea")
        def form(self, kind: str) -> str:
            return f"form {kind}"

        @post(body="order.kind=tea")
        def body(self, payload: dict[str, Any]) -> Any:
            return payload

        @post(body=["order", "!order.kind"])
        def stream(self, body: Body) -> str:
            return f"stream {body.read().decode()}"

    web = ask(Api)
    own = {"X-Api": "1"}
    versions = [web("GET", "/api", headers=fields) for fields in ({**own, "X-Version": "3"}, own, {"X-Version": "3"})]
    assert [(answer.status, answer.text[:4]) for answer in versions] == [(200, "new"), (200, "old"), (404, '{"ty')]
    typed = {**own, "Content-Type": "application/x-www-form-urlencoded"}
    assert web("POST", "/api", headers=typed, body=b"kind=tea").text == "form tea"
    assert web("POST", "/api", headers=own, json={"order": {"kind": "tea"}}).json() == {"order": {"kind": "tea"}}
    assert web("POST", "/api", headers=own, json={"order": {}}).text == 'stream {"order": {}}'
    assert web("POST", "/api", headers={**own, "Content-Type": "application/json"}, body=b"{").status == 400
    assert web("POST", "/api", headers=own).status == 404


# -- what is wrong -------------------------------------------------------------------------------------------------


@http("/w")
class Wrong:
    @post("/typed", consumes=("application/json", "text/*"))
    def typed(self, request: Request) -> str:
        return request.headers["content-type"]

    @put("/typed", consumes="image/*", query="id")
    def image(self) -> str:
        return "image"

    @get("/asked", query="id")
    def asked(self) -> str:
        return "asked"

    @delete("/asked")
    def remove(self) -> str:
        return "removed"

    @get("/here", domain="here.example.org")
    def here(self) -> str:
        return "here"

    @post("/here")
    def store(self) -> str:
        return "stored"


def test_404_405_and_415(ask: Callable[..., Ask]) -> None:
    web = ask(Wrong)
    assert web("POST", "/w/typed", headers={"Content-Type": "text/csv"}, body=b"x").text == "text/csv"
    answer = web("POST", "/w/typed", headers={"Content-Type": "image/png"}, body=b"x")
    assert (answer.status, answer.headers["accept"]) == (415, "application/json, text/*")
    assert web("POST", "/w/typed").status == 415
    assert web("PUT", "/w/typed?id=1").status == 415
    assert web("PUT", "/w/typed").status == 404  # something else is wrong as well
    answer = web("GET", "/w/asked")
    assert (answer.status, answer.json()["detail"]) == (404, "nothing at /w/asked for such a request")
    answer = web("POST", "/w/asked")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")
    answer = web("OPTIONS", "/w/typed")
    assert (answer.status, answer.headers["allow"]) == (204, "OPTIONS, POST, PUT")


def test_routes_of_another_host_do_not_exist(ask: Callable[..., Ask]) -> None:
    web = ask(Wrong)
    assert web("GET", "/w/here", host="here.example.org").text == "here"
    answer = web("GET", "/w/here")
    assert (answer.status, answer.headers["allow"]) == (405, "OPTIONS, POST")
    answer = web("DELETE", "/w/here", host="HERE.example.org:80")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert web("GET", "/w/here", host="not a host").status == 400


def test_what_no_route_takes_goes_to_the_handler_of_what_is_missing(ask: Callable[..., Ask]) -> None:
    @on_missing()
    def missing(request: Request) -> str:
        return f"missing {request.path}"

    web = ask(Wrong, missing)
    assert texts(web, "GET /w/asked", "GET /none", "GET /w/here") == ["missing /w/asked", "missing /none", 405]
    assert web("POST", "/w/typed").status == 415


# -- hosts ---------------------------------------------------------------------------------------------------------


def test_values_of_the_host_are_arguments(ask: Callable[..., Ask]) -> None:
    @http("/t", domain="{tenant}.example.org")
    class Api:
        @get("/{item:int}")
        def show(self, item: int, tenant: str) -> str:
            return f"{tenant} {item}"

        @get("/plain")
        def plain(self) -> str:
            return "plain"

        @get("/{item:int}/shard", domain="s{shard:int}.example.net")
        def shard(self, item: int, shard: int) -> str:
            return f"{shard} {item}"

    web = ask(Api)
    assert web("GET", "/t/7", host="shop.example.org:8000").text == "shop 7"
    assert web("GET", "/t/plain", host="shop.example.org").text == "plain"
    assert web("GET", "/t/7", host="shop.example.com").status == 404
    assert web("GET", "/t/7/shard", host="s3.example.net").text == "3 7"
    assert web("GET", "/t/7/shard", host="shop.example.org").status == 404


def test_one_path_on_several_hosts(ask: Callable[..., Ask]) -> None:
    @http
    class Api:
        @get("/", domain="a.example.org")
        def a(self) -> str:
            return "a"

        @get("/", domain="b.example.org")
        def b(self) -> str:
            return "b"

        @get("/")
        def rest(self) -> str:
            return "rest"

    web = ask(Api)
    assert [web("GET", "/", host=host).text for host in ("b.example.org", "a.example.org", "c.example.org")] == ["b", "a", "rest"]


def test_the_host_of_an_absolute_target_outweighs_the_field(ask: Callable[..., Ask], app_factory: AppFactory) -> None:
    with connect(app_factory([Wrong])) as link:
        link.sendall(b"GET http://here.example.org/w/here HTTP/1.1\r\nHost: other\r\n\r\n")
        assert link.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_websockets_by_host(app_factory: AppFactory) -> None:
    @websocket("/talk/", domain="talk.example.org", auto_end_slash=True, ignore_case=True)
    class Talk:
        @on("where")
        def where(self) -> str:
            return "example.org"

    @websocket("/talk/", domain="{room}.example.net", auto_end_slash=True, ignore_case=True)
    class Other:
        @on("where")
        def where(self, room: str) -> str:
            return f"{room} of example.net"

    app = app_factory([Talk, Other])
    for path in ("/talk/", "/TALK"):
        with WebSocketClient(app, path, headers={"Host": "a.example.net"}) as chat:
            assert chat.request("where") == "a of example.net"
    with WebSocketClient(app, "/talk", headers={"Host": "talk.example.org"}) as chat:
        assert chat.request("where") == "example.org"
    with pytest.raises(NotUpgraded) as caught:
        WebSocketClient(app, "/talk", headers={"Host": "elsewhere"})
    assert caught.value.response.status == 404


# -- ends and cases ------------------------------------------------------------------------------------------------


@http("/Orders")
class Ends:
    @get()
    def index(self) -> str:
        return "index"

    @get("/{name}/{kind:tea|coffee}")
    def show(self, name: str, kind: str) -> str:
        return f"{name} {kind}"

    @get("/end/")
    def end(self) -> str:
        return "end"

    @get("/both")
    def both(self) -> str:
        return "both"

    @get("/both/")
    def slash(self) -> str:
        return "both/"

    @get("/strict", ignore_case=False, auto_end_slash=False)
    def strict(self) -> str:
        return "strict"

    @get("/files/{rest:path}")
    def files(self, rest: str) -> str:
        return f"files {rest}"


LINES = [
    "GET /Orders",
    "GET /orders",
    "GET /Orders/",
    "GET /Orders/Anna/tea",
    "GET /ORDERS/Anna/TEA/",
    "GET /Orders/end/",
    "GET /Orders/end",
    "GET /Orders/both",
    "GET /Orders/both/",
    "GET /Orders/strict",
    "GET /Orders/Strict",
    "GET /Orders/strict/",
    "GET /orders/files/",
    "GET /Orders/files/",
    "GET /Orders/files",
]


@pytest.mark.parametrize(
    ("routing", "expected"),
    [
        (
            {},
            ["index", 404, 404, "Anna tea", 404, "end", 404, "both", "both/", "strict", 404, 404, 404, "files ", 404],
        ),
        (
            {"ignore_case": True},
            ["index", "index", 404, "Anna tea", 404, "end", 404, "both", "both/", "strict", 404, 404, "files ", "files ", 404],
        ),
        (
            {"auto_end_slash": True},
            ["index", 404, "index", "Anna tea", 404, "end", "end", "both", "both/", "strict", 404, 404, 404, "files ", 404],
        ),
        (
            {"ignore_case": True, "auto_end_slash": True},
            ["index", "index", "index", "Anna tea", "Anna TEA", "end", "end", "both", "both/", "strict", 404, 404, "files ", "files ", 404],
        ),
    ],
)
def test_the_server_decides_where_a_route_does_not(ask: Callable[..., Ask], routing: dict[str, Any], expected: list[str | int]) -> None:
    assert texts(ask(Ends, routing=routing), *LINES) == expected


def test_a_route_decides_for_itself(ask: Callable[..., Ask]) -> None:
    @http("/a", auto_end_slash=True)
    class Api:
        @get("/plain")
        def plain(self) -> str:
            return "plain"

        @get("/Free", ignore_case=True, auto_end_slash=False)
        def free(self) -> str:
            return "free"

        @get("/FREE")
        def exact(self) -> str:
            return "exact"

        @get("/cond", query="id")
        def cond(self) -> str:
            return "id"

        @get("/cond/", query="!id")
        def end(self) -> str:
            return "no id"

    web = ask(Api)
    assert texts(web, "GET /a/plain/", "GET /A/plain") == ["plain", 404]
    assert texts(web, "GET /A/fREE", "GET /a/free", "GET /a/free/", "GET /a/FREE", "GET /a/FREE/") == [
        "free",
        "free",
        404,
        "exact",
        "exact",
    ]
    assert texts(web, "GET /a/cond?id", "GET /a/cond/?id", "GET /a/cond", "GET /a/cond/") == ["id", "id", "no id", "no id"]
    assert web("POST", "/a/plain/").headers["allow"] == "GET, HEAD, OPTIONS"


def test_paths_are_taken_as_they_were_decoded(ask: Callable[..., Ask]) -> None:
    @http
    class Api:
        @get("/a/{x}")
        def one(self, x: str) -> str:
            return f"one {x}"

        @get("/a/{x}/{y}")
        def two(self, x: str, y: str) -> str:
            return f"two {x} {y}"

        @get("/größe/{x}", ignore_case=True)
        def size(self, x: str) -> str:
            return f"size {x}"

        @get("/a")
        def bare(self) -> str:
            return "bare"

    web = ask(Api)
    assert texts(web, "GET /a/b%2Fc", "GET /a/%62", "GET /%61/b", "GET /a/b%252Fc") == ["two b c", "one b", "one b", "one b%2Fc"]
    assert texts(web, "GET /a/%C3%A4", "GET /gr%C3%B6%C3%9Fe/1", "GET /GR%C3%96SSE/%C3%84") == ["one ä", "size 1", "size Ä"]
    assert texts(web, "GET /a/", "GET /a//", "GET //a", "GET /a//b", "GET /a/./b", "GET /a/%2E%2E") == [
        404,
        404,
        404,
        404,
        "two . b",
        "one ..",
    ]
    assert texts(web, "GET /a?x", "GET /a;v=1", "GET /a/b%00", "GET /a/%FF") == ["bare", 404, "one b\x00", 400]


# -- how much ------------------------------------------------------------------------------------------------------


@http("/up", max_body=10)
class Uploads:
    @post("/ten")
    def ten(self, request: Request) -> int:
        return len(request.body())

    @post("/four", max_body=4)
    def four(self, body: Body) -> int:
        return sum(len(part) for part in body)

    @post("/unread", max_body=4)
    def unread(self) -> str:
        return "unread"

    @post("/asked", max_body=20, body="kind=tea")
    def tea(self, request: Request) -> int:
        return len(request.body())


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [("/up/ten", 10, 200), ("/up/ten", 11, 413), ("/up/four", 4, 200), ("/up/four", 5, 413), ("/up/unread", 5, 413)],
)
def test_a_route_takes_only_so_much(ask: Callable[..., Ask], path: str, size: int, status: int) -> None:
    web = ask(Uploads)
    assert web("POST", path, body=b"x" * size).status == status
    if path != "/up/unread":  # nobody counts what nobody reads
        assert web("POST", path, body=iter([b"x"] * size)).status == status


def test_conditions_of_the_body_keep_the_limit_too(ask: Callable[..., Ask]) -> None:
    web = ask(Uploads)
    assert web("POST", "/up/asked", json={"kind": "tea"}).text == "15"
    assert web("POST", "/up/asked", json={"kind": "coffee or tea"}).status == 413


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(app_factory: AppFactory) -> None:
    with connect(app_factory([Uploads])) as link:
        link.sendall(b"POST /up/ten HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        answer = link.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413 ")
    with connect(app_factory([Uploads])) as link:
        link.sendall(b"POST /up/ten HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
        assert link.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(b"0123456789")
        assert link.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_no_more_than_the_limit_is_read_of_a_body_of_unknown_length() -> None:
    stream = Stream()
    request = Request("POST", "/", "/", "", "POST / HTTP/1.1\r\n\r\n", stream=stream)
    pieces = iter([b"abc", b"def", b"ghi"])
    stream.pull = lambda: stream.feed(next(pieces))
    limit_body(request, 5)
    assert stream.read_chunk() == b"abc"
    with pytest.raises(TooLarge, match="over 5 bytes"):
        stream.read_chunk()
    assert next(pieces) == b"ghi"
    with pytest.raises(TooLarge):
        limit_body(request, 5)  # so much has come already


# -- mounted applications ------------------------------------------------------------------------------------------


def guest(name: str) -> Callable[[dict[str, Any], Any], list[bytes]]:
    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [f"{name} {environ['PATH_INFO']}".encode()]

    return application


ROOT = guest("root")
SHOP = guest("shop")


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ({}, [404, 404, 404, 404, 404]),
        ({"/": f"{__name__}:ROOT"}, ["root /", "root /w", "root /w/asked/x", "root /shop/x", "root /w/none"]),
        ({"/shop": f"{__name__}:SHOP"}, [404, 404, 404, "shop /x", 404]),
        ({"/": f"{__name__}:ROOT", "/shop": f"{__name__}:SHOP"}, ["root /", "root /w", "root /w/asked/x", "shop /x", "root /w/none"]),
    ],
)
@pytest.mark.parametrize("more", [[], [Query]])
def test_applications_get_what_no_route_takes(
    ask: Callable[..., Ask], mount: dict[str, str], expected: list[str | int], more: list[Any]
) -> None:
    web = ask(Wrong, *more, mount=mount)
    assert texts(web, "GET /", "GET /w", "GET /w/asked/x", "GET /shop/x", "GET /w/none") == expected
    assert texts(web, "GET /w/asked?id", "DELETE /w/asked", "PUT /w/asked") == ["asked", "removed", 405]
    taken = "root /w/asked" if "/" in mount else 404
    assert texts(web, "GET /w/asked") == [taken]  # its conditions do not hold
    assert web("OPTIONS", "*").status == 204


def test_an_application_at_the_root_gets_everything_when_there_is_nothing_else(ask: Callable[..., Ask]) -> None:
    web = ask(mount={"/": f"{__name__}:ROOT"})
    assert texts(web, "GET /", "PUT /a/b", "DELETE /livez/x") == ["root /", "root /a/b", "root /livez/x"]


def test_two_applications_cannot_stand_at_one_place(ask: Callable[..., Ask]) -> None:
    with pytest.raises(ConflictError):
        ask(mount={"/shop": f"{__name__}:SHOP", "/shop/": f"{__name__}:SHOP"})
