"""``environ["wsgi.websocket"]``: what applications written for gevent-websocket find, and the faults they do not find any more."""

from __future__ import annotations

import gc
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.resource import Resource, WebSocketApplication
from geventwebsocket.websocket import WebSocket

from greenimi import green
from greenimi.app import App
from greenimi.codec.websocket_frames import CONTINUATION, PING, TEXT, frame, masked_frame
from greenimi.errors import ConnectionClosed
from greenimi.interfaces import IConnection
from greenimi.message import Reply
from greenimi.testing.clients import NotUpgraded, WebSocketClient
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.conftest import Link
from tests.servers.guests.test_wsgi import PLAIN, mount

Links = Callable[..., Link]
Environ = dict[str, Any]
Talk = Callable[[Any], object]


def guest(talk: Talk) -> Callable[[Environ, Any], list[bytes]]:
    """An application that does this with every WebSocket."""

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        talk(environ["wsgi.websocket"])
        return []

    return application


def echo(ws: Any) -> None:
    while (message := ws.receive()) is not None:
        ws.send(message)


@pytest.fixture
def shake(app: App) -> Iterator[Callable[..., WebSocketClient]]:
    """``shake(application)``: mount it and open a WebSocket; ``shake()`` opens another.  ``on``: of another App."""
    clients = []

    def make(application: Any = None, path: str = "/guest", on: App = app, **options: Any) -> WebSocketClient:
        if application is not None:
            mount(on, application)
        client = WebSocketClient(on, path, **options)
        clients.append(client)
        client._payload, client._codec.text_default = Plain(), False
        return client

    yield make
    for client in clients:
        client._sock.close()


class Plain:
    """Messages as they are."""

    name = "plain"
    text = True

    def encode(self, value: Any) -> Any:
        return value

    def decode(self, raw: bytes | str) -> bytes | str:
        return raw


Shake = Callable[..., WebSocketClient]


def everything(client: WebSocketClient) -> list[Any]:
    """The messages that come until the end."""
    received = []
    while True:
        try:
            received.append(client.receive())
        except ConnectionClosed:
            return received


# -- the object ----------------------------------------------------------------------------------------------------


def test_text_and_binary_there_and_back(shake: Shake) -> None:
    client = shake(guest(echo))
    for message in ("hello", "", "\u20ac" * 5000, b"bytes", b"", bytes(100_000)):
        client.send_raw(message)
        assert client.receive() == message


def test_what_an_application_sees(shake: Shake, stage: Stage) -> None:
    def look(environ: Environ, start_response: Any) -> list[bytes]:
        ws = environ["wsgi.websocket"]
        assert isinstance(ws, WebSocket)
        stage.log += [ws.path, ws.origin, ws.protocol, ws.version, environ["wsgi.websocket_version"], environ["QUERY_STRING"], ws.closed]
        stage.log += [ws.environ is environ, ws.handler.server.application is look, ws.handler.active_client.ws is ws]
        stage.log += [ws.handler.client_address, ws.handler.active_client.address, ws.logger is ws.handler.server.logger]
        ws.current_app.on_close()
        start_response("200 OK", PLAIN)(b"nobody reads this")
        return [b"nor this"]

    client = shake(look, "/guest/a?b=1", headers={"Origin": "http://localhost"}, subprotocols=["x"])
    client.wait_closed()
    address = ("127.0.0.1", 0)
    assert stage.log == ["/a", "http://localhost", "x", "13", "13", "b=1", False, True, True, True, address, address, True]
    assert "sec-websocket-protocol" not in client.headers
    assert client.close_code == 1000


def test_close_says_code_and_reason(shake: Shake, stage: Stage) -> None:
    def leave(ws: Any) -> None:
        ws.close(4001, b"enough")
        ws.close(4002, "a second time")
        stage.log += [ws.closed, ws.environ["PATH_INFO"]]
        for call in (ws.receive, lambda: ws.send("x"), lambda: ws.send_frame("x", ws.OPCODE_TEXT)):
            with pytest.raises(WebSocketError):
                call()

    client = shake(guest(leave))
    client.wait_closed()
    assert (client.close_code, client.close_reason) == (4001, "enough")
    wait_until(lambda: stage.log == [True, ""])


def test_frames_of_other_kinds(shake: Shake, stage: Stage) -> None:
    def talk(ws: Any) -> None:
        ws.send_frame("beat", ws.OPCODE_PING)
        ws.send_frame(b"beat", ws.OPCODE_PONG)
        ws.handle_ping(None, b"answer")
        ws.send(b"text", binary=False)
        ws.send("binary", binary=True)
        ws.send(bytearray(b"array"))
        for message, opcode in ((b"\xff", TEXT), (b"x" * 126, PING), (b"x", CONTINUATION)):
            with pytest.raises(ValueError):
                ws.send_frame(message, opcode)
        with pytest.raises(ValueError, match="1005"):
            ws.close(1005)
        stage.log.append("refused")
        ws.send_frame(b"\x0f\xa2bye", ws.OPCODE_CLOSE)

    client = shake(guest(talk))
    assert [client.receive() for _ in range(3)] == ["text", b"binary", b"array"]
    client.wait_closed()
    assert (client.close_code, client.close_reason, stage.log) == (4002, "bye", ["refused"])
    assert client._codec.last_pong == b"answer"


def test_the_end_is_told_once(shake: Shake, stage: Stage) -> None:
    def talk(ws: Any) -> None:
        stage.log += [ws.receive(), ws.receive(), ws.closed]
        with pytest.raises(WebSocketError):
            ws.receive()
        stage.log.append(ws.path)

    client = shake(guest(talk))
    client.send_raw("last words")
    client.close(1001)
    wait_until(lambda: stage.log == ["last words", None, True, ""])


def test_answers_go_out_before_the_goodbye(shake: Shake) -> None:
    def slow(ws: Any) -> None:
        while (message := ws.receive()) is not None:
            green.sleep(0.005)
            ws.send(message)

    client = shake(guest(slow))
    client._sock.sendall(b"".join(masked_frame(str(number)) for number in range(10)) + masked_frame(b"\x03\xe8", 8))
    client.wait_closed()
    assert [client.receive() for _ in range(10)] == [str(number) for number in range(10)]
    assert client.close_code == 1000


# -- bad clients ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame("no mask"), 1002),
        (masked_frame(b"\xff\xff", TEXT), 1007),
        (masked_frame(b"x" * 200, 3), 1002),
        (masked_frame(b"x" * 2000), 1009),
    ],
    ids=["mask", "utf-8", "opcode", "size"],
)
def test_a_broken_client_is_told_why(make_echo: Callable[..., App], shake: Shake, data: bytes, code: int) -> None:
    app = make_echo(web={"max_message": 1000})
    stage = app.container.get(Stage)
    client = shake(guest(lambda ws: stage.log.append(ws.receive())), on=app)
    client._sock.sendall(data)
    client.wait_closed()
    assert client.close_code == code
    client.close()
    wait_until(lambda: stage.log == [None])


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Sec-WebSocket-Version": "7"}, 426),
        ({"Sec-WebSocket-Key": "short"}, 400),
        ({"Sec-WebSocket-Key": "*" * 24}, 400),
        ({"Origin": "http://evil.example"}, 403),
    ],
)
def test_bad_handshakes_are_refused(shake: Shake, stage: Stage, fields: dict[str, str], status: int) -> None:
    with pytest.raises(NotUpgraded) as caught:
        shake(guest(lambda ws: stage.log.append("called")), headers=fields)
    assert caught.value.status == status
    assert stage.log == []


def test_origins_are_allowed_by_name(make_echo: Callable[..., App], shake: Shake) -> None:
    app = make_echo(web={"origins": ["http://friend.example"]})
    client = shake(guest(echo), on=app, headers={"Origin": "http://friend.example"})
    client.send_raw("hello")
    assert client.receive() == "hello"


def test_other_upgrades_are_plain_requests(app: App, link: Links) -> None:
    def plain(environ: Environ, start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        return [str("wsgi.websocket" in environ).encode()]

    mount(app, plain)
    web = link(app)
    web.send(b"GET /guest HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert web.response()[2] == b"False"
    web.send(b"POST /guest HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert web.response()[2] == b"False"


# -- the life of a conversation ------------------------------------------------------------------------------------


def test_an_error_of_the_application_closes_with_1011(shake: Shake) -> None:
    client = shake(guest(lambda ws: 1 // 0))
    client.wait_closed()
    assert client.close_code == 1011


def test_many_messages_wait_in_the_socket(app: App, shake: Shake) -> None:
    gate = Event()

    def late(ws: Any) -> None:
        gate.wait()
        echo(ws)

    client = shake(guest(late))
    sender = green.spawn(client._sock.sendall, masked_frame("x" * 1000) * 5000)
    connection: Any
    (connection,) = app.doors.servers["web"].connections
    wait_until(lambda: not connection._read_on)
    assert len(connection._inbox) < 1000
    gate.set()
    for _ in range(5000):
        assert client.receive() == "x" * 1000
    sender.get()


def test_a_slow_client_holds_up_the_application(app: App, shake: Shake, stage: Stage) -> None:
    def pour(ws: Any) -> None:
        for number in range(100):
            ws.send(bytes(100_000))
            stage.log.append(number)

    client = shake(guest(pour))
    wait_until(lambda: stage.log)
    connection: Any
    (connection,) = app.doors.servers["web"].connections
    wait_until(lambda: connection._parked)
    assert len(stage.log) < 90
    assert sum(len(client.receive()) for _ in range(100)) == 10_000_000


def test_others_who_send_to_a_slow_client_never_wait(app: App, shake: Shake, stage: Stage) -> None:
    held: list[Any] = []

    def talk(ws: Any) -> None:
        held.append(ws)
        echo(ws)

    client = shake(guest(talk))
    wait_until(lambda: held)
    sent = 0

    def pour() -> None:
        nonlocal sent
        while sent < 1000:
            held[0].send(bytes(100_000))
            sent += 1

    with pytest.raises(WebSocketError):
        pour()
    assert sent < 200  # outbox and socket
    wait_until(lambda: held[0].closed)
    assert len(everything(client)) < 200


def test_messages_of_several_greenlets_are_whole(shake: Shake) -> None:
    def crowd(ws: Any) -> None:
        senders = [green.spawn(lambda letter=letter: [ws.send(letter * 20_000) for _ in range(10)]) for letter in "abcdefghij"]
        for sender in senders:
            sender.get()
        ws.close()

    client = shake(guest(crowd))
    assert sorted(everything(client)) == sorted(letter * 20_000 for letter in "abcdefghij" for _ in range(10))


def test_a_message_nobody_takes_does_not_hold_the_end(app: App, shake: Shake, stage: Stage) -> None:
    def ticker(ws: Any) -> None:
        try:
            while True:
                ws.send("tick")
                green.sleep(0.005)
        finally:
            stage.log.append("over")

    client = shake(guest(ticker))
    client.send_raw("ignored")
    assert client.receive() == "tick"
    client._sock.close()
    wait_until(lambda: stage.log == ["over"])
    wait_until(lambda: not app.doors.servers["web"].connections)
    wait_until(lambda: not app.doors.runtime.handlers.busy)


def test_an_idle_conversation_takes_no_handler(make_echo: Callable[..., App], shake: Shake) -> None:
    app = make_echo(handlers=2)
    mount(app, guest(echo))
    clients = [shake(on=app) for _ in range(6)]
    for client in clients:
        client.send_raw("x")
        assert client.receive() == "x"
    assert app.doors.runtime.handlers.long_lived == 6
    for client in clients:
        client.close()
    wait_until(lambda: not app.doors.runtime.handlers.busy)


def test_a_silent_client_is_pinged_and_a_dead_one_let_go(make_echo: Callable[..., App], shake: Shake) -> None:
    app = make_echo(web={"ping_interval": 1, "ping_jitter": 0.0})
    stage = app.container.get(Stage)
    client = shake(guest(lambda ws: stage.log.append(ws.receive())), on=app)
    wait_until(lambda: app.doors.runtime.handlers.long_lived)
    server: Any = app.doors.servers["web"]
    server.sweep(server.runtime.now + 10)
    assert client._sock.recv(2) == b"\x89\x00"
    server.sweep(server.runtime.now + 100)
    server.sweep(server.runtime.now + 200)
    wait_until(lambda: stage.log == [None])


def test_the_end_of_the_server_is_the_end_of_the_conversation(make_echo: Callable[..., App], shake: Shake) -> None:
    app = make_echo()
    log: list[Any] = []
    client = shake(guest(lambda ws: log.append(ws.receive())), on=app)
    green.spawn(app.stop)
    client.wait_closed()
    assert client.close_code == 1001
    client.close()
    wait_until(lambda: log == [None])


def test_nothing_is_left_behind(no_leaks: None, app: App) -> None:
    seen: list[weakref.ref[Any]] = []

    def talk(ws: Any) -> None:
        seen.append(weakref.ref(ws))
        echo(ws)

    mount(app, guest(talk))
    for _ in range(5):
        WebSocketClient(app, "/guest").close()
    wait_until(lambda: len(seen) == 5 and not app.doors.runtime.handlers.busy)

    def gone() -> bool:
        gc.collect()
        return not any(ref() for ref in seen)

    wait_until(gone)
    assert not any(ref() for ref in seen)


def test_other_code_may_send_to_the_connection(app: App, shake: Shake) -> None:
    client = shake(guest(echo))
    connection: Any
    (connection,) = app.doors.servers["web"].connections
    assert IConnection.providedBy(connection)  # type: ignore[attr-defined]
    for data in ("text", b"bytes", Reply("raw")):
        assert connection.send(data)
    assert [client.receive() for _ in range(3)] == ["text", b"bytes", "raw"]
    with pytest.raises(TypeError, match="dict"):
        connection.send({})


# -- Resource and WebSocketApplication -----------------------------------------------------------------------------


class Chat(WebSocketApplication):
    """Sends what anybody says to everybody."""

    log: list[Any]

    def on_open(self) -> None:
        self.log.append("open")

    def on_message(self, message: Any) -> None:
        if message == "fail":
            raise ValueError("broken")
        if message == "leave":
            self.ws.close(1000)
            return
        for client in self.ws.handler.server.clients.values():
            client.ws.send(message)

    def on_close(self, reason: Any) -> None:
        self.log.append(("close", reason))

    @classmethod
    def protocol_name(cls) -> str:
        return "chat.v1"


def web_page(environ: Environ, start_response: Any) -> list[bytes]:
    start_response("200 OK", PLAIN)
    return [b"page"]


@pytest.fixture
def chat(app: App, stage: Stage) -> App:
    class Logged(Chat):
        log = stage.log

    mount(app, Resource(OrderedDict([("^/chat", Logged), ("^/", web_page)])))
    return app


def test_a_resource_broadcasts(chat: App, shake: Shake, stage: Stage) -> None:
    clients = [shake(None, "/guest/chat", subprotocols=["chat", "chat.v1"]) for _ in range(3)]
    assert {client.headers["sec-websocket-protocol"] for client in clients} == {"chat.v1"}
    wait_until(lambda: stage.log == ["open"] * 3)
    for number, client in enumerate(clients):
        client.send_raw(f"hello {number}")
        assert [each.receive() for each in clients] == [f"hello {number}"] * 3
    clients[0].close()
    wait_until(lambda: stage.log[3:] == [("close", None)])
    clients[1].send_raw("still here")
    assert [each.receive() for each in clients[1:]] == ["still here"] * 2


def test_a_resource_serves_pages_too(chat: App, link: Links) -> None:
    web = link(chat)
    web.send(b"GET /guest/page HTTP/1.1\r\nHost: x\r\n\r\n")
    assert web.response()[2] == b"page"


@pytest.mark.parametrize(("end", "code"), [("fail", 1011), ("leave", 1000), (None, 1006)])
def test_on_close_is_called_exactly_once(chat: App, shake: Shake, stage: Stage, end: str | None, code: int) -> None:
    client = shake(None, "/guest/chat")
    client.send_raw("hello")
    assert client.receive() == "hello"
    if end is None:
        client._sock.close()
    else:
        client.send_raw(end)
        client.wait_closed()
    wait_until(lambda: stage.log == ["open", ("close", None)])
    wait_until(lambda: not chat.doors.runtime.handlers.busy)
    assert stage.log == ["open", ("close", None)]
    assert client.close_code == code


def test_a_path_that_no_application_of_the_resource_takes(chat: App, shake: Shake) -> None:
    client = shake(None, "/guest/elsewhere")
    client.wait_closed()
    assert client.close_code == 1011
