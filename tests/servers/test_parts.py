"""Messages that are handled while they arrive, and such that are made while they are sent, on real connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import pytest

from greenimi import MessageStream, green, on, tcp, websocket
from greenimi.app import App
from greenimi.codec.base import Codec
from greenimi.codec.websocket_frames import CLOSE, CONTINUATION, PING, PONG, TEXT, fragment, masked_frame
from greenimi.errors import ConnectionClosed, StartError
from greenimi.servers.base import StreamHost
from greenimi.servers.stream import StreamConnection
from greenimi.testing.clients import MessageClient, RequestFailed, WebSocketClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.apps import parts

CONF: dict[str, Any] = {"web": {"kind": "http", "max_message": 1000, "high_water": 100_000}, "till": {"kind": "tcp"}}


@pytest.fixture
def app(app_factory: AppFactory) -> Iterator[App]:
    made = app_factory([parts], {"servers": CONF})
    yield made
    made.container.get(parts.Stage).gate.set()


@pytest.fixture
def stage(app: App) -> parts.Stage:
    return app.container.get(parts.Stage)


Open = Callable[..., WebSocketClient]


@pytest.fixture
def opens(app: App) -> Iterator[Open]:
    clients: list[WebSocketClient] = []

    def make(path: str, **more: Any) -> WebSocketClient:
        client = WebSocketClient(app, path, **more)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client._sock.close()


def host(app: App) -> StreamHost:
    found = app.doors.servers["web"]
    assert isinstance(found, StreamHost)
    return found


def only(app: App) -> StreamConnection:
    (found,) = host(app).connections
    return found


def raw(client: WebSocketClient, *frames: bytes) -> None:
    client._sock.sendall(b"".join(frames))


def piece(data: bytes | str, opcode: int | None = CONTINUATION) -> bytes:
    return fragment(masked_frame(data, opcode))


def next_frame(client: WebSocketClient) -> tuple[bool, int, bytes]:
    """(is it the last of its message, opcode, payload) of the next frame of the server."""

    def take(size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = client._sock.recv(size - len(data))
            assert more, "the server closed"
            data += more
        return data

    first, size = take(2)
    if size == 126:
        size = int.from_bytes(take(2), "big")
    elif size == 127:
        size = int.from_bytes(take(8), "big")
    return first >= 0x80, first & 0x0F, take(size)


def ask(client: WebSocketClient, action: str, **fields: Any) -> None:
    raw(client, masked_frame(json.dumps({"action": action, **fields})))


# -- in ------------------------------------------------------------------------------------------------------------


def test_parts_are_handled_as_they_arrive_beyond_any_limit(opens: Open, stage: parts.Stage) -> None:
    stage.gate.set()
    client = opens("/upload")
    raw(client, piece(b"a" * 900, 2))
    wait_until(lambda: stage.log == ["begun", b"a"])
    raw(client, piece(b"b" * 5000))
    wait_until(lambda: stage.log[-1] == b"b")
    raw(client, masked_frame(b"c", CONTINUATION))
    assert client.receive() == b"5901"


def test_text_comes_as_text(opens: Open) -> None:
    client = opens("/letters")
    data = piece("ä" * 400, TEXT)
    raw(client, data[:301])  # in the middle of a letter
    raw(client, data[301:], masked_frame(b"!", CONTINUATION))
    assert client.receive() == "ä" * 400 + "!"


def test_read_takes_no_more_than_max_message(opens: Open, caplog: pytest.LogCaptureFixture) -> None:
    client = opens("/letters")
    client.send("x" * 1001)
    client.send("next")
    assert client.receive() == "next"


def test_who_does_not_read_stops_the_client(app: App, opens: Open, stage: parts.Stage) -> None:
    client = opens("/upload")
    size = 8_000_000
    sender = green.spawn(raw, client, masked_frame(b"x" * size))
    wait_until(lambda: stage.log == ["begun"])
    connection = only(app)
    wait_until(lambda: not connection._read_on)
    stream = connection.codec._stream  # type: ignore[attr-defined]
    for _ in range(10):
        green.sleep(0.005)
        assert stream.size < 100_000 + 65_536
    stage.gate.set()
    assert client.receive() == b"%d" % size
    sender.get()


def test_what_is_not_read_is_skipped(opens: Open) -> None:
    client = opens("/letters")
    raw(client, piece("skip", TEXT), *[piece("x" * 60_000)] * 20)
    assert client.receive() == "skipped"
    raw(client, masked_frame(b"", CONTINUATION), masked_frame("next"))
    assert client.receive() == "next"


def test_pings_are_answered_in_the_middle(opens: Open, stage: parts.Stage) -> None:
    client = opens("/upload")
    raw(client, piece(b"x", 2))
    wait_until(lambda: stage.log == ["begun"])
    client.ping(b"still there?")
    raw(client, masked_frame(b"y", CONTINUATION))
    stage.gate.set()
    assert client.receive() == b"2"


def test_a_client_that_leaves_in_the_middle_ends_its_handler(app: App, opens: Open, stage: parts.Stage) -> None:
    stage.gate.set()
    for end in (lambda client: client._sock.close(), lambda client: raw(client, masked_frame(b"\x03\xe8", CLOSE))):
        stage.log.clear()
        client = opens("/upload")
        raw(client, piece(b"x", 2))
        wait_until(lambda: stage.log == ["begun", b"x"])
        end(client)
        wait_until(lambda: stage.log[-1] == "ConnectionClosed")
        wait_until(lambda: not host(app).connections)


def test_a_message_that_stops_is_broken_off(app: App, opens: Open, stage: parts.Stage) -> None:
    stage.gate.set()
    client = opens("/upload")
    raw(client, piece(b"x", 2))
    wait_until(lambda: stage.log == ["begun", b"x"])
    host(app).sweep(monotonic() + 100)
    wait_until(lambda: stage.log[-1] == "ProtocolError")
    with pytest.raises(ConnectionClosed, match="1008 the message took too long to arrive"):
        client.receive()


def test_bad_text_is_1007(opens: Open) -> None:
    client = opens("/letters")
    raw(client, piece("good", TEXT), masked_frame(b"\xff", CONTINUATION))
    client.wait_closed()
    assert client.close_code == 1007


class Wrong:
    @on.default
    def take(self, stream: MessageStream) -> None: ...


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (websocket("/wrong"), "a MessageStream is read before anybody could decode it"),
        (websocket("/wrong", payload="msgpack"), "a MessageStream is read before anybody could decode it"),
        (tcp(), "which only handlers of a WebSocket's messages have"),
    ],
)
def test_where_it_cannot_be(app_factory: AppFactory, mark: Any, told: str) -> None:
    controller = mark(type("Wrong", (Wrong,), {"__module__": __name__}))
    with pytest.raises(StartError, match=told):
        app_factory([controller], {"servers": CONF})


# -- out -----------------------------------------------------------------------------------------------------------


def test_a_generator_is_one_message(opens: Open, stage: parts.Stage) -> None:
    client = opens("/made")
    ask(client, "count", number=3)
    assert [next_frame(client) for _ in range(4)] == [
        (False, 1, b"0"),
        (False, 0, b"1"),
        (False, 0, b"2"),
        (True, 0, b""),
    ]
    assert stage.log == [0, 1, 2, "closed"]
    ask(client, "reply", id=1)
    ask(client, "nothing")
    ask(client, "echo", text="x")
    assert [client._next_raw(1e9) for _ in range(3)] == [b"bytes in parts", "", '"x"']


def test_parts_go_out_as_they_are_made_and_others_wait_behind_them(app: App, opens: Open, stage: parts.Stage) -> None:
    client = opens("/made")
    ask(client, "gate")
    assert next_frame(client) == (False, 1, b"before")
    connection = only(app)
    assert connection.send({"from": "elsewhere"})
    assert connection.dialect is not None
    assert connection.push(connection.dialect.frame(b'"pushed"'))
    raw(client, masked_frame(b"alive?", PING))
    assert next_frame(client) == (True, PONG, b"alive?")
    assert connection.probe()
    assert next_frame(client) == (True, PING, b"")
    stage.gate.set()
    assert [next_frame(client) for _ in range(5)] == [
        (False, 0, b"behind"),
        (True, 0, b""),
        (True, 1, b'{"said":"meanwhile"}'),
        (True, 1, b'{"from":"elsewhere"}'),
        (True, 1, b'"pushed"'),
    ]


def test_the_maker_is_not_far_ahead_of_the_client(app: App, opens: Open, stage: parts.Stage) -> None:
    client = opens("/made")
    ask(client, "count", number=20, size=50_000)
    wait_until(lambda: only(app)._parked)
    ahead = len(stage.log)
    assert ahead < 15
    for _ in range(5):
        green.sleep(0.005)
        assert len(stage.log) == ahead
    message = client._next_raw(1e9)
    assert len(message) == 20 * 50_000
    assert stage.log[-1] == "closed"


def test_what_is_pushed_meanwhile_is_bounded(app: App, opens: Open) -> None:
    client = opens("/made")
    ask(client, "gate")
    assert next_frame(client) == (False, 1, b"before")
    connection = only(app)
    host(app).outbox_limit = 200_000
    assert connection.push(b"x" * 100_000)
    assert connection.push(b"x" * 90_000)
    assert not connection.push(b"x" * 90_000)
    assert not connection.is_open
    assert host(app).cut_count == 1


def test_a_client_that_leaves_ends_the_maker(app: App, opens: Open, stage: parts.Stage) -> None:
    client = opens("/made")
    ask(client, "count", number=10_000, size=50_000)
    wait_until(lambda: only(app)._parked)
    client._sock.close()
    wait_until(lambda: bool(stage.log) and stage.log[-1] == "closed")
    wait_until(lambda: not app.doors.runtime.handlers.busy)


def test_an_error_before_the_first_part_is_answered(opens: Open) -> None:
    client = opens("/made")
    with pytest.raises(RequestFailed) as caught:
        client.request("early")
    assert caught.value.status == 500
    assert client.request("echo", text="x") == "x"


@pytest.mark.parametrize(("action", "text"), [("late", b"begun"), ("mixed", b"text")])
def test_an_error_in_the_middle_closes_with_1011(opens: Open, action: str, text: bytes) -> None:
    client = opens("/made")
    ask(client, action)
    assert next_frame(client) == (False, 1, text)
    final, opcode, payload = next_frame(client)
    assert (final, opcode, payload[:2]) == (True, CLOSE, b"\x03\xf3")


def test_a_handler_may_close_in_the_middle(opens: Open, stage: parts.Stage) -> None:
    client = opens("/made")
    ask(client, "stop")
    assert next_frame(client) == (False, 1, b"begun")
    assert next_frame(client) == (True, CLOSE, b"\x0f\xa1enough")
    wait_until(lambda: "closed by itself" in stage.log)
    assert "never" not in stage.log


def test_in_parts_and_out_in_parts(opens: Open) -> None:
    client = opens("/letters")
    raw(client, piece("loud ", TEXT))
    assert next_frame(client) == (False, 1, b"LOUD ")
    raw(client, piece(b"and "), masked_frame(b"clear", CONTINUATION))
    frames: list[tuple[bool, int, bytes]] = []
    while not frames or not frames[-1][0]:
        frames.append(next_frame(client))
    assert b"".join(data for *_, data in frames) == b"AND CLEAR"


def test_other_protocols_send_in_one_piece(app: App) -> None:
    with MessageClient(app, "till") as till, pytest.raises(RequestFailed) as caught:
        till.request("parts")
    assert caught.value.status == 500


def test_only_the_handler_sends_in_parts(app: App, opens: Open) -> None:
    opens("/made")
    wait_until(lambda: bool(host(app).connections) and only(app).codec.pings)
    with pytest.raises(RuntimeError, match="only the handler"):
        only(app).send_parts(["x"])
    assert not Codec.pings


def test_the_subprotocol_is_told(opens: Open) -> None:
    assert opens("/made", subprotocols=["v0", "v1", "v2"]).request("protocol") == "v1"
    assert opens("/made").request("protocol") == ""


def test_messages_that_wait_to_be_read_are_bounded_in_bytes(app_factory: AppFactory) -> None:
    gate = green.Event()

    @websocket("/gated", payload="text")
    class Gated:
        @on.default
        def take(self, stream: MessageStream) -> str:
            gate.wait()
            return str(len(stream.read(1 << 20)))

    app = app_factory([Gated], {"servers": {"web": {"kind": "http", "max_message": 20_000}}})
    with WebSocketClient(app, "/gated") as client:
        (connection,) = host(app).connections
        sending = green.spawn(client._sock.sendall, b"".join(masked_frame(b"x" * 100_000, TEXT) for _ in range(40)))
        wait_until(lambda: not connection._read_on)
        assert sum(message.stream.size for message in (*connection._inbox, *connection._front)) < 500_000
        gate.set()
        assert [client._next_raw(monotonic() + 10) for _ in range(40)] == ["100000"] * 40
        sending.get()
