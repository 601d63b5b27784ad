"""The clients reach every door of an application that opened no address, and of one that did."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi import on, tcp, websocket
from greenimi.errors import ConnectionClosed
from greenimi.testing.clients import (
    DatagramClient,
    HttpClient,
    MessageClient,
    NotUpgraded,
    RequestFailed,
    WebSocketClient,
)
from greenimi.testing.plugin import AppFactory, Serve
from tests.apps import echo


@websocket("/packed", payload="msgpack")
class Packed:
    @on("echo")
    def echo(self, data: Any) -> Any:
        return {"data": data}


@tcp
class Framed:
    @on("echo")
    def echo(self, data: Any) -> Any:
        return {"data": data}


def test_http(app_factory: AppFactory) -> None:
    with HttpClient(app_factory([echo], echo.CONF)) as client:
        answer = client.get("/echo/hello")
        assert (answer.status, answer.json(), answer.text) == (200, {"text": "hello"}, '{"text":"hello"}')
        assert answer.headers["content-TYPE"] == "application/json"
        assert client.post("/echo", json=[1, None]).json() == [1, None]
        assert client.post("/echo", body="äh", headers={"Content-Type": "text/plain"}).text == "äh"
        assert client.request("DELETE", "/item/5").status == 204


def test_http_bodies_in_pieces(app_factory: AppFactory) -> None:
    with HttpClient(app_factory([echo], echo.CONF)) as client:
        assert client.post("/echo", body=iter([b"one ", b"two"])).body == b"one two"
        answer = client.stream("GET", "/count/3")
        assert answer.status == 200
        assert answer.read(7) == b"000000\n"
        assert sum(map(len, answer)) == 3 * 7000 - 7
        assert client.get("/echo/next").status == 200


def test_http_opens_a_new_connection_after_the_server_closed(app_factory: AppFactory) -> None:
    with HttpClient(app_factory([echo], echo.CONF)) as client:
        assert client.get("/echo/a", headers={"Connection": "close"}).headers["connection"] == "close"
        assert client.get("/echo/b").json() == {"text": "b"}


def test_http_body_that_is_cut_short(app_factory: AppFactory) -> None:
    with HttpClient(app_factory([echo], echo.CONF)) as client:
        answer = client.stream("GET", "/broken")
        with pytest.raises(ConnectionClosed):
            answer.read()


def test_websocket(app_factory: AppFactory) -> None:
    app = app_factory([echo], echo.CONF)
    with WebSocketClient(app, "/chat") as chat:
        chat.send({"action": "echo", "text": "x"})
        assert chat.receive() == {"text": "x"}
        chat.ping(b"are you there")
        assert chat.request("echo", text="y") == {"text": "y"}
        with pytest.raises(RequestFailed) as caught:
            chat.request("refuse")
        assert caught.value.status == 403
        chat.send({"action": "leave"})
        with pytest.raises(ConnectionClosed, match="4001 gone"):
            chat.receive()
        assert (chat.close_code, chat.close_reason) == (4001, "gone")


def test_websocket_that_does_not_open(app_factory: AppFactory) -> None:
    app = app_factory([echo], echo.CONF)
    with pytest.raises(NotUpgraded) as caught:
        WebSocketClient(app, "/nowhere")
    assert (caught.value.status, caught.value.response.json()["status"]) == (404, 404)


def test_websocket_speaks_the_payload_of_its_controller(app_factory: AppFactory) -> None:
    app = app_factory([Packed])
    with WebSocketClient(app, "/packed") as chat:
        assert chat.request("echo", data=b"\xff") == {"data": b"\xff"}


def test_messages_keep_what_comes_before_an_answer(app_factory: AppFactory) -> None:
    app = app_factory([echo], echo.CONF)
    with MessageClient(app, "till") as till:
        till.send({"action": "tell", "text": "first"})
        assert till.request("echo", text="x") == {"text": "x"}
        assert till.receive() == {"told": "first"}
        till.send({"action": "leave"})
        till.wait_closed()
        assert till.receive() == "bye"
        with pytest.raises(ConnectionClosed):
            till.receive()


def test_messages_are_framed_as_the_server_says(app_factory: AppFactory) -> None:
    names = {"action_field": "do", "id_field": "nr"}
    settings = {"kind": "tcp", "framing": "length", "framing_options": {"bits": 16}, "payload": "msgpack", **names}
    app = app_factory([Framed], {"servers": {"framed": settings}})
    with MessageClient(app, "framed") as client:
        assert client.request("echo", data=b"\n") == {"data": b"\n"}


def test_datagrams(app_factory: AppFactory) -> None:
    app = app_factory([echo], echo.CONF)
    with DatagramClient(app, "beacon") as one, DatagramClient(app, "beacon") as two:
        assert one.request("echo", text="1") == {"text": "1"}
        assert two.request("echo", text="2") == {"text": "2"}
        one.send({"action": "tell", "text": "x"})
        assert one.receive() == {"told": "x"}


def test_patience_ends(app_factory: AppFactory) -> None:
    app = app_factory([echo], echo.CONF)
    with MessageClient(app, "till") as till, pytest.raises(TimeoutError):
        till.receive(timeout=0.01)
    with DatagramClient(app, "beacon") as beacon, pytest.raises(TimeoutError):
        beacon.receive(timeout=0.01)
    with WebSocketClient(app, "/chat") as chat, pytest.raises(TimeoutError):
        chat.receive(timeout=0.01)
    with HttpClient(app, timeout=0.01) as web, pytest.raises(TimeoutError):
        web.get("/wait")
    app.container.get(echo.Stage).gate.set()


def test_addresses_of_a_real_server(serve: Serve) -> None:
    served = serve([echo], echo.CONF)
    with HttpClient(served.addresses["web"]) as web:
        assert web.get("/echo/x").json() == {"text": "x"}
    with WebSocketClient(served.addresses["web"], "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
    with MessageClient(served.addresses["till"]) as till:
        assert till.request("echo", text="x") == {"text": "x"}
    with DatagramClient(served.addresses["beacon"]) as beacon:
        assert beacon.request("echo", text="x") == {"text": "x"}
