"""Requests from the server to its clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

import pytest
from websockets.sync.client import connect as connect_websocket

from greenimi import IConnection, green, on, tcp, websocket
from greenimi.app import App
from greenimi.errors import ConnectionClosed, NoReply, Overloaded, PeerFailed
from greenimi.message_stream import MessageStream
from greenimi.servers.base import StreamHost
from greenimi.servers.stream import StreamConnection
from greenimi.testing.clients import HttpClient, MessageClient, RequestFailed, WebSocketClient
from greenimi.testing.messages import Messages
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.testing.support import wait_until
from tests.apps import echo


class _Asking:
    @on("ask")
    def ask(self, connection: IConnection, timeout: float = 5.0) -> Any:
        return connection.request({"action": "measure", "channel": 2}, timeout=timeout)

    @on("echo")
    def echo(self, text: str) -> str:
        return text

    @on.default
    def other(self, payload: Any) -> Any:
        return {"not mine": payload}


@tcp
class Device(_Asking): ...


@websocket("/device")
class Page(_Asking): ...


@websocket("/packed", payload="msgpack")
class Packed(_Asking): ...


CONF: dict[str, Any] = {"servers": {"tcp": {"kind": "tcp"}, "web": {"kind": "http"}}}
CLIENTS: dict[str, Callable[[App], Messages]] = {
    "line": MessageClient,
    "websocket": lambda app: WebSocketClient(app, "/device"),
    "msgpack": lambda app: WebSocketClient(app, "/packed"),
}


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    return app_factory([Device, Page, Packed], CONF)


def only(app: App, server: str = "tcp") -> StreamConnection:
    """The only connection of a server."""
    host = app.doors.servers[server]
    assert isinstance(host, StreamHost)
    wait_until(lambda: len(host.connections) == 1)
    (connection,) = host.connections
    return connection


def asking(connection: IConnection, timeout: float = 5.0, **more: Any) -> Any:
    """A greenlet that asks the client."""
    return green.spawn(connection.request, {"action": "measure", **more}, timeout)


@pytest.mark.parametrize("dial", CLIENTS.values(), ids=CLIENTS)
def test_a_handler_asks_the_client_that_it_handles_a_message_of(app: App, dial: Callable[[App], Messages]) -> None:
    with dial(app) as client:
        client.answer("measure", lambda message: {"volts": 12 + message["channel"]})
        assert client.request("ask") == {"volts": 14}
        connection = only(app, "tcp" if isinstance(client, MessageClient) else "web")
        assert connection._calls is None, "nothing is looked through any more"
        assert client.request("echo", text="x") == "x"


def test_replies_come_in_any_order_and_any_number(app: App) -> None:
    with MessageClient(app) as device:
        connection = only(app)
        greenlets = [asking(connection, number=number) for number in range(5)]
        asked = [device.asked("measure") for _ in range(5)]
        assert len({each.data["id"] for each in asked}) == 5
        for each in reversed(asked):
            each.reply(each.data["number"] * 10)
        assert [greenlet.get(timeout=5) for greenlet in greenlets] == [0, 10, 20, 30, 40]
        assert connection._calls is None


def test_a_reply_may_be_nothing_or_an_error(app: App) -> None:
    with MessageClient(app) as device:
        connection = only(app)
        nothing = asking(connection)
        device.asked("measure").reply()
        assert nothing.get(timeout=5) is None
        failing = asking(connection)
        device.asked("measure").fail({"code": 418, "message": "no sensor"})
        with pytest.raises(PeerFailed, match="no sensor") as caught:
            failing.get(timeout=5)
        assert caught.value.error == {"code": 418, "message": "no sensor"}
        both = asking(connection)
        asked = device.asked("measure")
        device.send({"id": asked.data["id"], "result": 7, "error": None})
        assert both.get(timeout=5) == 7


def test_an_error_of_the_client_is_a_failure_of_the_server(app: App) -> None:
    with MessageClient(app) as device:
        device.send({"action": "ask", "id": "a"})
        device.asked("measure").fail("broken")
        answer = device.receive()
        assert (answer["id"], answer["error"]["code"]) == ("a", 502)


def test_who_waits_too_long_gets_no_reply_and_a_late_one_is_dropped(app: App) -> None:
    with MessageClient(app) as device:
        connection = only(app)
        waiting = asking(connection, 0.01)
        asked = device.asked("measure")
        with pytest.raises(NoReply) as caught:
            waiting.get(timeout=5)
        assert isinstance(caught.value, TimeoutError)
        asked.reply(5)
        assert device.request("echo", text="x") == "x"
        server = app.doors.servers["tcp"]
        assert isinstance(server, StreamHost)
        assert server.late_replies == 1
        assert connection._calls is None
        asked.reply(5)  # once more: it is nobody's now, a message like any other
        assert device.receive()["result"] == {"not mine": {"id": asked.data["id"], "result": 5}}


def test_a_reply_that_nobody_asked_for_is_not_answered(app_factory: AppFactory) -> None:
    """Two servers would answer each other's answers for ever."""
    with MessageClient(app_factory([echo], echo.CONF), "till") as device:
        device.send({"id": "somebody", "result": 5})
        device.send({"id": "somebody", "error": 5})
        device.send({"id": "me", "action": "submit", "result": 5})
        answer = device.receive()
        assert (answer["id"], answer["error"]["code"]) == ("me", 404)


def test_late_replies_are_known_for_a_minute(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenimi.servers.calls._LATE", 0.0)
    with MessageClient(app) as device:
        connection = only(app)
        with pytest.raises(NoReply):
            connection.request({"action": "measure"}, timeout=0.001)
        assert connection._calls is not None
        assert device.request("echo", text="x") == "x"
        assert connection._calls is None


def test_a_handler_that_gets_no_reply_is_answered_504(app: App) -> None:
    with MessageClient(app) as device, pytest.raises(RequestFailed) as caught:
        device.request("ask", timeout=0.01)
    assert caught.value.status == 504


@pytest.mark.parametrize("leave", ["close", "end", "shut", "goodbye"])
def test_nobody_waits_for_a_client_that_left(app: App, leave: str) -> None:
    with MessageClient(app) as device:
        connection = only(app)
        waiting = asking(connection, 60)
        device.asked("measure")
        if leave == "shut":
            connection.shut()
        elif leave == "goodbye":
            connection.close()
        else:
            getattr(device, leave)()
        with pytest.raises(ConnectionClosed):
            waiting.get(timeout=5)
        with pytest.raises(ConnectionClosed):
            connection.request({"action": "measure"})
    server = app.doors.servers["tcp"]
    assert isinstance(server, StreamHost)
    wait_until(lambda: not server.connections)


def test_the_requests_under_way_are_bounded(app_factory: AppFactory) -> None:
    app = app_factory([Device], {"servers": {"tcp": {"kind": "tcp", "requests": 2}}})
    with MessageClient(app) as device:
        connection = only(app)
        waiting = [asking(connection, 60) for _ in range(2)]
        asked = [device.asked("measure") for _ in range(2)]
        with pytest.raises(Overloaded, match="2 requests to this client wait"):
            connection.request({"action": "measure"})
        for each in asked:
            each.reply()
        for greenlet in waiting:
            greenlet.get(timeout=5)
        for _ in range(5):  # nor do those that were given up grow without end
            with pytest.raises(NoReply):
                connection.request({"action": "measure"}, timeout=0.001)
        assert connection._calls is not None
        assert len(connection._calls._given_up) == 2


def test_messages_beside_a_reply_keep_their_order(app: App) -> None:
    """A reply in the middle of one segment, and messages that only look like one."""
    with MessageClient(app) as device:
        connection = only(app)
        waiting = asking(connection, 60)
        number = device.asked("measure").data["id"]
        lines = [
            b'{"action":"echo","text":"1","id":1}',
            b'{"id":"somebody","result":2}',
            b'{"id":["a list"],"result":2}',
            b'["no table"]',
            b'{"id":"%b"}' % number.encode(),
            b'{"id":"%b","result":"it is"}' % number.encode(),
            b'{"action":"echo","text":"3","id":3}',
        ]
        device._sock.sendall(b"\n".join(lines) + b"\n")
        assert waiting.get(timeout=5) == "it is"
        found = [device.receive() for _ in range(6)]
        assert [each.get("id") if isinstance(each, Mapping) else each for each in found[:2]] == [1, "somebody"]
        assert found[-1] == {"id": 3, "result": "3"}


def test_what_cannot_be_read_is_told_by_its_handler(app: App) -> None:
    with MessageClient(app) as device:
        waiting = asking(only(app), 60)
        asked = device.asked("measure")
        device.send_raw(b"{")
        asked.reply(1)
        assert waiting.get(timeout=5) == 1
        assert device.receive()["error"]["code"] == 400


def test_a_reply_is_found_behind_more_messages_than_the_inbox_holds(app_factory: AppFactory) -> None:
    """Reading had stopped when the handler began to wait; the reply is among what was not read."""
    app = app_factory([Device], {"servers": {"tcp": {"kind": "tcp", "inbox": 10}}})
    with MessageClient(app) as device:
        connection = only(app)
        device._sock.sendall(b'{"action":"ask","id":0}\n' + b"".join(b'{"action":"echo","text":"x","id":%d}\n' % n for n in range(1, 60)))
        asked = device.asked("measure")
        wait_until(lambda: len(connection._inbox) + len(connection._front) > 10)
        asked.reply("found")
        assert device.receive() == {"id": 0, "result": "found"}
        assert [device.receive()["id"] for _ in range(59)] == list(range(1, 60))


@pytest.mark.parametrize(
    ("settings", "most"), [({"inbox": 10}, 200), ({"inbox": 2000, "max_message": 9000}, 100)], ids=["messages", "bytes"]
)
def test_what_is_read_ahead_for_a_reply_is_bounded(app_factory: AppFactory, settings: dict[str, Any], most: int) -> None:
    app = app_factory([Device], {"servers": {"tcp": {"kind": "tcp", **settings}}})
    with MessageClient(app) as device:
        connection = only(app)
        device.send({"action": "ask", "id": 0, "timeout": 60})
        asked = device.asked("measure")
        flood = green.spawn(device._sock.sendall, b'{"action":"echo","text":"%b","id":1}\n' % (b"x" * 8000) * 2000)
        wait_until(lambda: not connection._read_on)
        assert len(connection._inbox) < most
        connection._calls.lose()  # type: ignore[union-attr]
        assert device.receive()["error"]["code"] == 500
        for _ in range(2000):
            assert device.receive()["id"] == 1
        flood.get(timeout=5)
        assert asked.data["action"] == "measure"


def test_the_time_of_the_client_is_not_that_of_the_handler(app: App) -> None:
    with MessageClient(app) as device:
        connection = only(app)
        device.send({"action": "ask", "id": 0, "timeout": 60})
        asked = device.asked("measure")
        assert connection.began == inf
        asked.reply(1)
        assert device.receive() == {"id": 0, "result": 1}
        assert connection.began < inf


def test_only_who_speaks_in_messages_can_be_asked(app_factory: AppFactory) -> None:
    app = app_factory([echo], echo.CONF)
    with HttpClient(app) as client:
        client.get("/echo/x")
        connection = only(app, "web")
        with pytest.raises(TypeError, match="does not speak in messages"):
            connection.request({"action": "measure"})
        with pytest.raises(TypeError, match="does not speak in messages"):
            connection.payload = "msgpack"


def test_what_cannot_be_sent_is_the_askers_mistake(app: App) -> None:
    with MessageClient(app) as device:
        connection = only(app)
        with pytest.raises(TypeError, match="cannot encode"):
            connection.request({"action": object()})
        with pytest.raises(ValueError, match="over the limit"):
            connection.request({"action": "x" * (1 << 20)})
        assert connection._calls is None
        assert device.request("echo", text="x") == "x"


def test_a_device_on_the_network(serve: Serve) -> None:
    served = serve([Device], {"servers": {"tcp": {"kind": "tcp", "framing": "length16", "payload": "msgpack", "id_field": "nr"}}})
    with MessageClient(served.addresses["tcp"], framing="length16", payload="msgpack") as device:
        device._id = "nr"
        waiting = asking(only(served.app))
        device.asked("measure").reply(b"\x00\xff")
        assert waiting.get(timeout=5) == b"\x00\xff"


def test_replies_are_found_among_compressed_messages(serve: Serve) -> None:
    """What waits was compressed before them, and each looks back at the ones before it."""
    served = serve([Page], {"servers": {"web": {"kind": "http", "deflate": {"enabled": True, "context": True}}}})
    host, port = served.addresses["web"]
    texts = [f"{number} " + "all alike " * 20 for number in range(20)]
    with connect_websocket(f"ws://{host}:{port}/device") as page:
        assert "permessage-deflate" in page.response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]
        page.send(json.dumps({"action": "ask", "id": 0, "timeout": 60}))
        for text in texts:
            page.send(json.dumps({"action": "echo", "text": text, "id": text}))
        asked = json.loads(page.recv())
        page.send(json.dumps({"id": asked["id"], "result": "all alike " * 50}))
        assert json.loads(page.recv()) == {"id": 0, "result": "all alike " * 50}
        assert [json.loads(page.recv())["result"] for _ in texts] == texts


def test_a_client_whose_messages_are_handled_while_they_arrive_cannot_be_asked(app_factory: AppFactory) -> None:
    @websocket("/long")
    class Long:
        @on.default
        def take(self, message: MessageStream) -> None: ...

    app = app_factory([Long], {"servers": {"web": {"kind": "http", "payload": "raw"}}})
    with WebSocketClient(app, "/long"), pytest.raises(TypeError, match="handled while they arrive"):
        only(app, "web").request({"action": "measure"})
