"""From a message to its answer, through whole applications."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from greenimi import Message, Reply, bean, get, green, http, on, post, tcp, websocket
from greenimi.app import App
from greenimi.container import Connection, Request, Scope, facade
from greenimi.container.facade import Message as CurrentMessage
from greenimi.errors import ConflictError, NoScope, NotFound, StartError
from greenimi.testing.clients import HttpClient, MessageClient, NotUpgraded, WebSocketClient
from greenimi.testing.links import connect
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.apps import echo, layered


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    return app_factory([echo], echo.CONF)


@pytest.fixture
def web(app: App) -> Iterator[HttpClient]:
    with HttpClient(app) as client:
        yield client


# -- methods -------------------------------------------------------------------------------------------------------


def test_a_method_that_is_not_there_is_told_from_a_path_that_is_not(web: HttpClient) -> None:
    answer = web.post("/item/5")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS")
    assert answer.json()["allow"] == ["DELETE", "GET", "HEAD", "OPTIONS"]
    assert web.get("/item/five").status == 404
    assert web.request("PUT", "/echo").headers["allow"] == "OPTIONS, POST"


def test_options_are_answered(web: HttpClient) -> None:
    answer = web.request("OPTIONS", "/both")
    assert (answer.status, answer.headers["allow"], answer.body) == (204, "GET, HEAD, OPTIONS, POST", b"")
    assert web.request("OPTIONS", "/nothing").status == 404


def test_options_of_the_server_itself(web: HttpClient) -> None:
    assert web.request("OPTIONS", "*").status in (200, 204)


def test_several_methods_share_a_handler(web: HttpClient) -> None:
    assert [web.get("/both").text, web.post("/both").text, web.request("HEAD", "/both").status] == ["GET", "POST", 200]


def test_websocket_paths_over_plain_http(app: App, web: HttpClient) -> None:
    answer = web.get("/chat")
    assert (answer.status, answer.headers["upgrade"], answer.headers["connection"].lower()) == (426, "websocket", "upgrade")
    assert web.post("/chat").status == 405
    assert "WEBSOCKET" not in web.post("/chat").headers["allow"]
    assert web.request("OPTIONS", "/chat").status == 204


def test_the_internal_method_of_websockets_cannot_be_asked_for(app: App) -> None:
    with connect(app) as link:
        link.sendall(b"WEBSOCKET /chat HTTP/1.1\r\nHost: x\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.1 501 ")


# -- arguments through the doors -----------------------------------------------------------------------------------


def test_a_field_called_connection_never_reaches_a_connection_parameter(app: App) -> None:
    with WebSocketClient(app, "/chat") as chat:
        found = chat.request("whoami", connection={"id": "forged", "server": {"name": "forged"}})
        assert found["server"] == "web"
        assert found["id"] != "forged"


def test_arguments_that_cannot_be_bound_are_answered_422(app_factory: AppFactory) -> None:
    @http("/sum")
    class Sum:
        @post("/{first:int}")
        def add(self, first: int, second: int, third: int = 0) -> int:
            return first + second + third

    with HttpClient(app_factory([Sum])) as web:
        assert web.post("/sum/1?second=2", json={"third": 3}).json() == 6
        answer = web.post("/sum/1")
        assert (answer.status, answer.json()["detail"]) == (422, "second: is missing")
        assert answer.headers["content-type"] == "application/problem+json"
        answer = web.post("/sum/1?second=x", json={"third": "3"})
        assert answer.json()["errors"] == [
            {"field": "second", "source": "query", "text": "Expected `int`, got `str`", "code": "type"},
            {"field": "third", "source": "body", "text": "Expected `int`, got `str`", "code": "type"},
        ]
        assert web.post("/sum/1", json={"second": "2"}).json()["errors"][0]["source"] == "body"
        assert web.post("/sum/1", body=b"{", headers={"Content-Type": "application/json"}).status == 400
        assert web.post("/sum/1?second=%FF").status == 400


# -- values --------------------------------------------------------------------------------------------------------


def test_an_error_before_the_first_part_is_answered_like_any_other(app_factory: AppFactory) -> None:
    made: list[str] = []

    @http
    class Parts:
        @get("/broken")
        def broken(self) -> Iterator[str]:
            if not made:
                raise NotFound("no such list")
            yield ""

        @get("/parts")
        def parts(self) -> Iterator[str]:
            made.append("begun")
            try:
                yield "one "
                yield "two"
            finally:
                made.append("ended")

        @get("/none")
        def none(self) -> Iterator[str]:
            yield from ()

    with HttpClient(app_factory([Parts])) as web:
        answer = web.get("/broken")
        assert (answer.status, answer.json()["detail"]) == (404, "no such list")
        assert web.get("/parts").body == b"one two"
        assert web.request("HEAD", "/parts").status == 200
        assert made == ["begun", "ended"]
        assert web.get("/none").body == b""


def test_values_become_responses(app_factory: AppFactory) -> None:
    values: dict[str, Any] = {"text": "ä", "bytes": b"\x00", "none": None, "number": 0, "list": [], "false": False, "unencodable": object()}

    @http
    class Values:
        @get("/{name}")
        def value(self, name: str) -> Any:
            return values[name]

    with HttpClient(app_factory([Values])) as web:
        found = {name: web.get(f"/{name}") for name in values}
    assert {name: (answer.status, answer.body) for name, answer in found.items() if name != "unencodable"} == {
        "text": (200, "ä".encode()),
        "bytes": (200, b"\x00"),
        "none": (204, b""),
        "number": (200, b"0"),
        "list": (200, b"[]"),
        "false": (200, b"false"),
    }
    assert found["unencodable"].status == 500
    assert found["text"].headers["content-type"] == "text/plain; charset=utf-8"


# -- messages ------------------------------------------------------------------------------------------------------


@tcp
class Actions:
    @on("nothing")
    def nothing(self) -> None: ...

    @on("reply")
    def reply(self) -> Reply:
        return Reply(b'"raw"')

    @on("strange")
    def strange(self) -> Any:
        return object()

    @on(where={"op.kind": "special"})
    def special(self, op: dict[str, Any]) -> str:
        return "special"

    @on.default
    def rest(self, message: Message) -> Any:
        return {"default": message.data}


@pytest.fixture
def actions(app_factory: AppFactory) -> Iterator[MessageClient]:
    with MessageClient(app_factory([Actions], {"servers": {"tcp": {"kind": "tcp"}}})) as client:
        yield client


def test_routes_of_messages(actions: MessageClient) -> None:
    actions.send({"op": {"kind": "special"}})
    assert actions.receive() == "special"
    actions.send([1])
    assert actions.receive() == {"default": [1]}
    actions.send("text")
    assert actions.receive() == {"default": "text"}


def test_silence_and_ids(actions: MessageClient) -> None:
    actions.send({"action": "nothing"})
    actions.send({"action": "nothing", "id": "a"})
    assert actions.receive() == {"id": "a", "result": None}


def test_replies_that_are_encoded_already(actions: MessageClient) -> None:
    actions.send({"action": "reply"})
    assert actions.receive() == "raw"


def test_a_reply_that_is_asked_for_with_an_id(actions: MessageClient) -> None:
    """What is encoded already cannot be put beside an id; it must not fail for that."""
    actions.send({"action": "reply", "id": 1})
    answer = actions.receive()
    assert answer in ("raw", {"id": 1, "result": "raw"})


def test_values_that_cannot_be_encoded_are_the_servers_fault(actions: MessageClient) -> None:
    actions.send({"action": "strange", "id": 1})
    assert actions.receive() == {"id": 1, "error": {"code": 500, "message": "the server failed"}}
    actions.send({"action": "nothing", "id": 2})
    assert actions.receive() == {"id": 2, "result": None}


def test_other_field_names(app_factory: AppFactory) -> None:
    conf = {"servers": {"tcp": {"kind": "tcp", "action_field": "do", "id_field": "nr"}}}
    with MessageClient(app_factory([Actions], conf)) as client:
        client.send({"do": "nothing", "nr": 5, "action": "x", "id": 1})
        assert client.receive() == {"nr": 5, "result": None}


@tcp
class Words:
    @on.default
    def shout(self, payload: Any) -> Any:
        if payload in ("fail", b"fail"):
            raise RuntimeError("no place for this")
        return payload.upper()


@pytest.mark.parametrize(("payload", "sent", "received"), [("text", "hello", "HELLO"), ("raw", b"hello", b"HELLO")])
def test_payloads_without_structure(app_factory: AppFactory, payload: str, sent: Any, received: Any) -> None:
    with MessageClient(app_factory([Words], {"servers": {"tcp": {"kind": "tcp", "payload": payload}}})) as client:
        client.send("fail" if payload == "text" else b"fail")  # such payloads have no place for an error
        client.send(sent)
        assert client.receive() == received


# -- contexts ------------------------------------------------------------------------------------------------------


@bean(lifetime="message")
class Notebook:
    """One for each message."""

    def __init__(self) -> None:
        self.lines: list[str] = []


@bean
@dataclass
class Scribe:
    """A service that knows no request, only the proxies."""

    stage: echo.Stage

    def describe(self) -> dict[str, Any]:
        before = Request.path
        facade(Notebook).lines.append(before)
        self.stage.wait()
        return {"path": [before, Request.path], "query": Request.query["n"], "id": Connection.id, "lines": facade(Notebook).lines}


@http("/scribe")
@dataclass
class ScribeApi:
    scribe: Scribe

    @get("/{number}")
    def show(self, number: str) -> dict[str, Any]:
        return self.scribe.describe()


def test_a_hundred_requests_at_once_see_their_own(app_factory: AppFactory) -> None:
    app = app_factory([ScribeApi, Scribe, Notebook, echo.Stage])
    stage = app.container.get(echo.Stage)

    def ask(number: int) -> Any:
        with HttpClient(app) as web:
            return web.get(f"/scribe/{number}?n={number}").json()

    asking = [green.spawn(ask, number) for number in range(100)]
    wait_until(lambda: stage.waiting == 100)
    stage.gate.set()
    found = [one.get() for one in asking]
    for number, answer in enumerate(found):
        path = f"/scribe/{number}"
        assert answer["path"] == [path, path]
        assert answer["query"] == [str(number)]
        assert answer["lines"] == [path]
    assert len({answer["id"] for answer in found}) == 100


def test_nothing_is_current_outside_of_a_message(app: App) -> None:
    proxies: list[tuple[Any, str]] = [(Request, "path"), (Connection, "id"), (CurrentMessage, "raw")]
    for proxy, name in proxies:
        with pytest.raises(NoScope):
            getattr(proxy, name)


def test_the_current_message_of_a_websocket_is_no_request(app_factory: AppFactory) -> None:
    @websocket("/who")
    class Who:
        @on("me")
        def me(self) -> Any:
            try:
                return Request.path
            except NoScope:
                return CurrentMessage.data

    with WebSocketClient(app_factory([Who]), "/who") as client:
        assert client.request("me") == {"action": "me", "id": 1}


def test_deferred_calls_run_last_in_first_out(app_factory: AppFactory) -> None:
    app = app_factory([layered], layered.CONF)
    with HttpClient(app) as web:
        for kind in ("none", "unlucky", "hopeless", "refused"):
            layered.trace.clear()
            web.get(f"/misfortune/{kind}")
            wait_until(lambda: "first deferred" in layered.trace)
            assert [line for line in layered.trace if "deferred" in line] == ["second deferred", "first deferred"]


def test_a_deferred_call_that_fails_does_not_hide_the_answer(app_factory: AppFactory) -> None:
    ran: list[str] = []

    def fail() -> None:
        raise OSError("clean-up failed")

    @http
    class Careless:
        @get("/{how}")
        def show(self, how: str, scope: Scope) -> str:
            scope.defer(ran.append, "first")
            scope.defer(fail)
            scope.defer(ran.append, "last")
            if how == "badly":
                raise RuntimeError("the handler failed")
            return "fine"

    with HttpClient(app_factory([Careless])) as web:
        answers = [web.get("/well"), web.get("/badly"), web.get("/well")]
    assert ran == ["last", "first"] * 3
    assert [answer.status for answer in answers] == [200, 500, 200]


def test_a_deferred_call_that_fails_does_not_lose_the_reply(app_factory: AppFactory) -> None:
    def fail() -> None:
        raise OSError("clean-up failed")

    @tcp
    class Careless:
        @on("do")
        def do(self, scope: Scope) -> str:
            scope.defer(fail)
            return "fine"

    with MessageClient(app_factory([Careless], {"servers": {"tcp": {"kind": "tcp"}}})) as client:
        assert client.request("do") == "fine"
        assert client.request("do") == "fine"


# -- servers of their own ------------------------------------------------------------------------------------------


def test_each_server_has_its_own_beans(app_factory: AppFactory) -> None:
    app = app_factory([layered], layered.CONF)
    with HttpClient(app, "web") as web, HttpClient(app, "admin") as admin:
        assert (web.get("/greet").text, admin.get("/greet").text) == ("hello web", "hello admin")


def test_controllers_of_one_server_are_not_on_another(app_factory: AppFactory) -> None:
    @http("/only", server="admin")
    class Only:
        @get("/here")
        def here(self) -> str:
            return "here"

    conf = {"servers": {"web": {"kind": "http"}, "admin": {"kind": "http"}}}
    app = app_factory([Only], conf)
    with HttpClient(app, "web") as web, HttpClient(app, "admin") as admin:
        assert (web.get("/only/here").status, admin.get("/only/here").status) == (404, 200)


def test_two_handlers_of_one_path_are_a_conflict(app_factory: AppFactory) -> None:
    @http
    class One:
        @get("/{a}")
        def show(self, a: str) -> None: ...

    @http
    class Two:
        @get("/{b}")
        def show(self, b: str) -> None: ...

    with pytest.raises(ConflictError, match=r"test_pipeline\.py:\d+ and test_pipeline\.py:\d+"):
        app_factory([One, Two])


def test_two_handlers_of_one_action_are_a_conflict(app_factory: AppFactory) -> None:
    @tcp
    class One:
        @on("say")
        def say(self) -> None: ...

        @on("say")
        def also(self) -> None: ...

    with pytest.raises(ConflictError, match="message 'say'"):
        app_factory([One], {"servers": {"tcp": {"kind": "tcp"}}})


def test_mistakes_are_found_before_a_door_opens(app_factory: AppFactory) -> None:
    @http
    class Empty:
        """No handlers."""

    @tcp
    class Wrong:
        @get("/x")
        def show(self) -> None: ...

    @http(server="nowhere")
    class Lost:
        @get("/x")
        def show(self) -> None: ...

    tcp_conf = {"servers": {"tcp": {"kind": "tcp"}}}
    for controller, conf, said in (
        (Empty, {}, "has no handlers"),
        (Wrong, tcp_conf, "is an HTTP route on a tcp controller"),
        (Lost, {"servers": {"web": {"kind": "http"}}}, "is for the server 'nowhere'"),
    ):
        with pytest.raises(StartError, match=said):
            app_factory([controller], conf)


def test_websocket_paths_with_placeholders(app_factory: AppFactory) -> None:
    @websocket("/rooms/{room:int}")
    class Room:
        @on("where")
        def where(self, room: int, message: Message) -> Any:
            return [room, dict(message.params)]

    app = app_factory([Room])
    with WebSocketClient(app, "/rooms/7") as client:
        assert client.request("where", room=8) == [7, {"room": 7}]
    with pytest.raises(NotUpgraded):
        WebSocketClient(app, "/rooms/seven")


def test_json_of_an_error_is_json(web: HttpClient) -> None:
    assert json.loads(web.get("/nothing").body)["status"] == 404
