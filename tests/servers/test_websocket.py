"""WebSockets on a path of an HTTP server: the handshake, order, and the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest
import websocket
from websockets.sync.client import connect as connect_websockets

from greenimi import green
from greenimi.app import App
from greenimi.codec.deflate import ContextPacker, DeflateRules, PackedMessage, Packer, Unpacker
from greenimi.codec.websocket import ClientCodec
from greenimi.codec.websocket_frames import COMPRESSED, TEXT, fragment, frame, masked_frame
from greenimi.errors import ConnectionClosed
from greenimi.servers.base import StreamHost
from greenimi.servers.stream import StreamConnection
from greenimi.testing.clients import HttpClient, NotUpgraded, RequestFailed, WebSocketClient
from greenimi.testing.plugin import Serve
from greenimi.testing.support import wait_until
from tests.apps import echo
from tests.apps.echo import Stage
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]
SHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def host(app: App) -> StreamHost:
    found = app.doors.servers["web"]
    assert isinstance(found, StreamHost)
    return found


def note(number: int) -> bytes:
    return masked_frame(f'{{"action":"note","number":{number}}}')


# -- the handshake -------------------------------------------------------------------------------------------------


def test_plain_http_is_told_to_upgrade(app: App) -> None:
    with HttpClient(app) as client:
        answer = client.get("/chat")
        assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
        assert client.get("/echo/x").status == 200


def test_an_upgrade_where_there_is_no_websocket_is_answered_as_plain_http(app: App, link: Links) -> None:
    web = link(app)
    web.send(SHAKE.replace(b"/chat", b"/item/1") + b"\r\n" + b"GET /item/2 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert web.response()[2] == b"1"
    assert web.response()[2] == b"2"


def test_a_refused_upgrade_goes_on_as_http(app: App, link: Links) -> None:
    web = link(app)
    web.send(SHAKE.replace(b"/chat", b"/nowhere") + b"\r\nGET /item/2 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert web.response()[0] == 404
    assert web.response()[2] == b"2"


@pytest.mark.parametrize(
    ("field", "status"),
    [({"Sec-WebSocket-Version": "8"}, 426), ({"Sec-WebSocket-Key": "short"}, 400), ({"Upgrade": "h3c"}, 426)],
)
def test_handshakes_that_are_none(app: App, field: dict[str, str], status: int) -> None:
    with pytest.raises(NotUpgraded) as caught:
        WebSocketClient(app, "/chat", headers=field)
    assert caught.value.status == status


def test_a_foreign_origin_is_refused(app: App) -> None:
    with pytest.raises(NotUpgraded) as caught:
        WebSocketClient(app, "/chat", headers={"Origin": "https://evil.example"})
    assert caught.value.status == 403
    for own in ("http://localhost", "https://LOCALHOST"):
        with WebSocketClient(app, "/chat", headers={"Origin": own}) as chat:
            assert chat.request("echo", text="x") == {"text": "x"}


@pytest.mark.parametrize(
    "origin", ["null", "localhost", "http://localhost.evil.example", "http://localhost:1", "http://user@localhost", "http://[", ""]
)
def test_origins_that_only_look_like_ours(app: App, origin: str) -> None:
    with pytest.raises(NotUpgraded) as caught:
        WebSocketClient(app, "/chat", headers={"Origin": origin})
    assert caught.value.status == 403


def test_origins_can_be_allowed(make_echo: Make) -> None:
    app = make_echo(web={"origins": ["https://friend.example"]})
    with WebSocketClient(app, "/chat", headers={"Origin": "https://friend.example"}) as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
    with pytest.raises(NotUpgraded):
        WebSocketClient(app, "/chat", headers={"Origin": "https://evil.example"})
    app = make_echo(web={"origins": ["*"]})
    with WebSocketClient(app, "/chat", headers={"Origin": "https://anybody.example"}) as chat:
        assert chat.request("echo", text="x") == {"text": "x"}


def test_messages_that_come_with_the_handshake_are_not_lost(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(SHAKE + b"\r\n" + note(1) + note(2))
    assert web.line() == b"HTTP/1.1 101 Switching Protocols\r\n"
    wait_until(lambda: len(stage.log) == 4)
    assert stage.log == ["opening", "opened", 1, 2]


# -- order ---------------------------------------------------------------------------------------------------------


def test_opened_ends_before_the_first_message(app: App, stage: Stage) -> None:
    stage.opening.clear()
    with WebSocketClient(app, "/chat") as chat:
        for number in range(3):
            chat.send({"action": "note", "number": number})
        chat.ping()  # answered without a handler, so the messages before it have arrived
        assert stage.log == ["opening"]
        stage.opening.set()
        wait_until(lambda: len(stage.log) == 5)
    assert stage.log[:5] == ["opening", "opened", 0, 1, 2]


def test_opened_ends_before_messages_that_come_with_the_handshake(app: App, stage: Stage, link: Links) -> None:
    stage.opening.clear()
    web = link(app)
    web.send(SHAKE + b"\r\n" + note(1))
    wait_until(lambda: stage.log == ["opening"])
    stage.opening.set()
    wait_until(lambda: len(stage.log) == 3)
    assert stage.log == ["opening", "opened", 1]


def test_messages_are_handled_in_order_also_behind_a_blocked_one(app: App, stage: Stage) -> None:
    with WebSocketClient(app, "/chat") as chat:
        chat.send({"action": "wait"})
        for number in range(100):
            chat.send({"action": "note", "number": number})
        chat.ping()
        assert stage.log == ["opening", "opened", "waiting"]
        stage.gate.set()
        assert chat.receive() == "waited"
        assert chat.request("echo", text="x") == {"text": "x"}
    assert stage.log[3:103] == list(range(100))


def test_a_full_inbox_stops_reading_and_loses_nothing(make_echo: Make) -> None:
    app = make_echo(web={"inbox": 16})
    stage = app.container.get(Stage)
    with WebSocketClient(app, "/chat", timeout=10) as chat:
        chat.send({"action": "wait"})
        wait_until(lambda: stage.waiting)
        (connection,) = host(app).connections
        chat._sock.sendall(b"".join(map(note, range(3000))))
        wait_until(lambda: not connection._read_on)
        stage.gate.set()
        assert chat.receive() == "waited"
        wait_until(lambda: len(stage.log) == 3003)
        assert connection._read_on
        assert chat.request("echo", text="x") == {"text": "x"}
    assert stage.log[3:3003] == list(range(3000))


# -- answers -------------------------------------------------------------------------------------------------------


def test_nothing_is_answered_with_silence(app: App) -> None:
    with WebSocketClient(app, "/chat") as chat:
        chat.send({"action": "note", "number": 1})
        chat.send({"action": "echo", "text": "x"})
        assert chat.receive() == {"text": "x"}
        assert chat.request("note", number=2) is None


def test_text_and_binary(app: App) -> None:
    with WebSocketClient(app, "/chat") as chat:
        chat.send_raw(b'{"action":"echo","text":"x"}')
        assert chat.receive() == {"text": "x"}
        chat.send({"action": "raw"})
        assert chat._next_raw(1e9) == b"\x00\xff"


def test_a_failing_handler_is_answered_and_the_connection_goes_on(app: App) -> None:
    with WebSocketClient(app, "/chat") as chat:
        chat.send({"action": "fail"})
        assert chat.receive() == {"error": {"code": 500, "message": "the server failed"}}
        chat.send({"action": "refuse", "id": "a"})
        assert chat.receive() == {"id": "a", "error": {"code": 403, "message": "not today"}}
        chat.send({"action": "nothing"})
        assert chat.receive()["error"]["code"] == 404
        chat.send_raw("{")
        assert chat.receive()["error"]["code"] == 400


def test_ids_are_unique_and_name_their_server(app: App) -> None:
    with WebSocketClient(app, "/chat") as one, WebSocketClient(app, "/chat") as two:
        first, second = one.request("whoami"), two.request("whoami")
        assert (first["server"], second["server"]) == ("web", "web")
        assert first["id"] != second["id"]


# -- the end -------------------------------------------------------------------------------------------------------


def test_closed_runs_once_after_a_goodbye(app: App, stage: Stage) -> None:
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("note", number=1) is None
    assert chat.close_code == 1000
    wait_until(lambda: stage.log[-1] == "closed")
    assert stage.log == ["opening", "opened", 1, "closed"]


def test_closed_runs_once_when_the_client_vanishes(app: App, stage: Stage) -> None:
    chat = WebSocketClient(app, "/chat")
    chat.send({"action": "note", "number": 1})
    chat._sock.close()
    wait_until(lambda: "closed" in stage.log)
    wait_until(lambda: not host(app).connections)
    assert stage.log == ["opening", "opened", 1, "closed"]


def test_closed_waits_for_the_handler_at_work(app: App, stage: Stage) -> None:
    chat = WebSocketClient(app, "/chat")
    chat.send({"action": "wait"})
    wait_until(lambda: stage.waiting)
    chat._sock.close()
    (connection,) = host(app).connections
    wait_until(lambda: connection.codec.ended)
    assert "closed" not in stage.log
    stage.gate.set()
    wait_until(lambda: "closed" in stage.log)
    assert stage.log == ["opening", "opened", "waiting", "closed"]


def test_closed_runs_when_the_server_closes(app: App, stage: Stage) -> None:
    with WebSocketClient(app, "/chat") as chat:
        chat.send({"action": "leave"})
        with pytest.raises(ConnectionClosed):
            chat.receive()
        assert (chat.close_code, chat.close_reason) == (4001, "gone")
    wait_until(lambda: stage.log[-1] == "closed")
    assert stage.log.count("closed") == 1


def test_messages_before_a_goodbye_are_handled_and_answered(app: App) -> None:
    chat = WebSocketClient(app, "/chat")
    chat._codec.send('{"action":"echo","text":"last"}')
    chat._codec.close(1000, "")
    chat._flush()
    assert chat.receive() == {"text": "last"}
    with pytest.raises(ConnectionClosed):
        chat.receive()
    assert chat.close_code == 1000
    chat.close()


def test_a_broken_frame_is_told_after_the_messages_before_it(app: App) -> None:
    with WebSocketClient(app, "/chat") as chat:
        chat._sock.sendall(masked_frame('{"action":"echo","text":"x"}') + b"\x81\x01x")
        assert chat.receive() == {"text": "x"}
        with pytest.raises(ConnectionClosed):
            chat.receive()
        assert chat.close_code == 1002


def test_a_message_over_the_limit_closes_with_1009(make_echo: Make) -> None:
    with WebSocketClient(make_echo(web={"max_message": 100}), "/chat") as chat:
        chat.send({"action": "echo", "text": "x" * 200})
        with pytest.raises(ConnectionClosed):
            chat.receive()
        assert chat.close_code == 1009


def test_an_error_in_opened_closes_before_any_message(app: App, stage: Stage, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "opening", None)
    web = link(app)
    web.send(SHAKE + b"\r\n" + note(1))
    assert _close_code(web) == 1011
    web.send(masked_frame(b"\x03\xf3", 8))
    assert web.read_all() == b""
    web.close()
    wait_until(lambda: "closed" in stage.log)
    assert stage.log == ["opening", "closed"]


def test_nothing_of_a_client_is_handled_after_opened_refused_it(
    app: App, stage: Stage, link: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``opened`` is where clients are let in: one that is not must not be heard, whatever it sends before it answers the goodbye."""
    monkeypatch.setattr(stage, "opening", None)
    web = link(app)
    web.send(SHAKE + b"\r\n")
    assert _close_code(web) == 1011
    web.send(note(1) + masked_frame(b"\x03\xf3", 8))
    assert web.read_all() == b""
    web.close()
    wait_until(lambda: "closed" in stage.log)
    assert 1 not in stage.log


def test_a_goodbye_that_is_not_answered_is_not_waited_for_until_the_idle_time(app: App, link: Links) -> None:
    web = link(app)
    web.send(SHAKE + b"\r\n")
    wait_until(lambda: web.line() == b"\r\n")
    server = host(app)
    (connection,) = server.connections
    connection.close()
    assert web.read(4) == b"\x88\x02\x03\xe8"
    for seconds in (15, 30, 45):  # the idle time is 75
        server.sweep(app.doors.runtime.now + seconds)
    assert not server.connections


def _close_code(web: Link) -> int:
    """Of a close frame right behind the answer to the handshake."""
    while web.line() not in (b"\r\n", b""):
        pass
    first, size = web.read(2)
    assert first == 0x88
    return int.from_bytes(web.read(size)[:2], "big")


def test_the_server_says_goodbye_when_it_stops(app: App) -> None:
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        app.stop()
        with pytest.raises(ConnectionClosed):
            chat.receive()
        assert chat.close_code == 1001


def test_a_silent_client_is_pinged_and_closed_with_1001_when_it_does_not_answer(app: App) -> None:
    server = host(app)
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        for seconds in (1000, 2000, 3000):  # its turn to be pinged comes, it is pinged, it did not answer
            server.sweep(app.doors.runtime.now + seconds)
        with pytest.raises(ConnectionClosed):
            chat.receive()
        assert (chat.close_code, chat.close_reason) == (1001, "idle")


def test_a_silent_client_that_answers_pings_is_kept(app: App) -> None:
    server = host(app)
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        (connection,) = server.connections
        for turn in range(1, 4):
            for seconds in (1000, 2000):
                server.sweep(turn * 10_000.0 + app.doors.runtime.now + seconds)
            assert connection._pinged
            chat._feed(1e9)  # the ping, answered at once
            wait_until(lambda: connection.deadline == connection._silence.until)
        assert chat.request("echo", text="x") == {"text": "x"}


def test_a_slow_consumer_is_disconnected(make_echo: Make) -> None:
    app = make_echo(web={"outbox": 1_000_000})
    stage = app.container.get(Stage)
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        (connection,) = host(app).connections
        sent = 0
        while connection.send("x" * 65536):
            sent += 1
            assert sent < 100
            green.sleep(0)
        wait_until(lambda: "closed" in stage.log)
    assert not host(app).connections
    assert sent > 10


# -- limits --------------------------------------------------------------------------------------------------------


def test_frames_have_a_limit_of_their_own(make_echo: Make) -> None:
    app = make_echo(web={"max_frame": 100})
    with WebSocketClient(app, "/chat") as chat:
        text = "x" * 50
        assert chat.request("echo", text=text) == {"text": text}
        chat._sock.sendall(
            fragment(masked_frame('{"action":"echo","text":"')) + fragment(masked_frame(b"y" * 100, 0)) + masked_frame(b'"}', 0)
        )
        assert chat.receive() == {"text": "y" * 100}
        chat._sock.sendall(masked_frame("x" * 101))
        with pytest.raises(ConnectionClosed, match="1009 a frame of 101 bytes, at most 100 are allowed"):
            chat.receive()


def test_messages_have_a_limit_on_their_way_out_as_well(make_echo: Make) -> None:
    app = make_echo(web={"max_message": 1000})
    with WebSocketClient(app, "/chat") as chat:
        with pytest.raises(RequestFailed) as caught:
            chat.request("flood", size=1001)
        assert caught.value.status == 500
        assert chat.request("echo", text="x" * 900) == {"text": "x" * 900}
        (connection,) = host(app).connections
        with pytest.raises(ValueError, match="cannot be sent, at most 1000 are allowed"):
            connection.send("x" * 1000)
        assert connection.is_open


# -- compression ---------------------------------------------------------------------------------------------------

SHAKE_DEFLATE = SHAKE + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
LONG = "to be, or not to be; " * 200


def shaken(web: Link) -> list[bytes]:
    """The fields of the answer to a handshake."""
    fields: list[bytes] = []
    while (line := web.line()) != b"\r\n":
        assert line
        fields.append(line.strip())
    return fields


def one_frame(web: Link) -> tuple[int, bytes]:
    first, size = web.read(2)
    if size == 126:
        size = int.from_bytes(web.read(2), "big")
    return first, web.read(size)


def test_nothing_is_compressed_by_default(app: App, link: Links) -> None:
    web = link(app)
    web.send(SHAKE_DEFLATE + b"\r\n")
    assert not any(field.lower().startswith(b"sec-websocket-extensions") for field in shaken(web))


def test_one_compressed_frame_serves_all_who_agreed(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"deflate": {"enabled": True}})
    compressing = [link(app), link(app)]
    for web in compressing:
        web.send(SHAKE_DEFLATE + b"\r\n")
        assert b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; " in b"".join(
            field + b" " for field in shaken(web)
        ).replace(b"client_max_window_bits=12 ", b"")
    plain = link(app)
    plain.send(SHAKE + b"\r\n")
    shaken(plain)
    connections: list[StreamConnection] = sorted(host(app).connections, key=lambda each: each.number)
    wait_until(lambda: all(each.dialect is not None for each in connections))
    first, second, third = [connection.dialect for connection in connections]
    assert first is second is not third
    for connection in connections:
        assert connection.dialect is not None
        assert connection.push(connection.dialect.frame(LONG.encode()))
    frames = [one_frame(web) for web in compressing]
    assert frames[0] == frames[1]
    assert frames[0][0] == 0xC1
    assert len(frames[0][1]) < 100
    assert one_frame(plain) == (0x81, LONG.encode())


@pytest.mark.parametrize("context", [False, True])
def test_messages_are_compressed_both_ways(make_echo: Make, link: Links, context: bool) -> None:
    app = make_echo(web={"deflate": {"enabled": True, "context": context}})
    web = link(app)
    web.send(SHAKE_DEFLATE + b"\r\n")
    shaken(web)
    rules = DeflateRules(minimum=0)
    packer = ContextPacker(rules, 12) if context else Packer(rules, 12)
    client = ClientCodec(packer=packer, unpacker=Unpacker(12, context=context, limit=1 << 20))
    text = os.urandom(700).hex()
    sizes = []
    for _ in range(3):
        client.send(json.dumps({"action": "echo", "text": text}))
        web.send(client.outgoing())
        first, payload = one_frame(web)
        assert first == 0xC1
        sizes.append(len(payload))
        (answer,) = client.receive(frame(payload, TEXT | COMPRESSED))
        assert isinstance(answer, PackedMessage)
        answer.unpack()
        assert json.loads(answer.raw) == {"text": text}
    assert (sizes[2] < sizes[0] / 5) == context
    if context:
        (connection,) = host(app).connections
        assert connection.dialect is not None
        assert connection.dialect.frame(text.encode())[0] == 0x81, "what all share cannot look back"


@pytest.mark.parametrize(
    ("payload", "close"), [(b"\xff\xff\xff", 1007), (Packer(DeflateRules(minimum=0), 12).pack(b"x" * 2_000_000), 1009)]
)
def test_bad_data_and_bombs_close_the_connection(make_echo: Make, link: Links, payload: bytes, close: int) -> None:
    app = make_echo(web={"deflate": {"enabled": True}})
    web = link(app)
    web.send(SHAKE_DEFLATE + b"\r\n")
    shaken(web)
    web.send(masked_frame(b'{"action":"echo","text":"before"}', TEXT) + masked_frame(payload, TEXT | COMPRESSED))
    assert one_frame(web) == (0x81, b'{"text":"before"}')
    first, goodbye = one_frame(web)
    assert (first, int.from_bytes(goodbye[:2], "big")) == (0x88, close)


# -- clients of other people ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("deflate", [{"enabled": True}, {"enabled": True, "context": True, "minimum": 0}, {}])
def test_with_websockets(serve: Serve, deflate: dict[str, object]) -> None:
    served = serve([echo], {"servers": {"web": {"kind": "http", "deflate": deflate}}})
    host, port = served.addresses["web"]
    with connect_websockets(f"ws://{host}:{port}/chat", compression="deflate") as client:
        assert bool(client.protocol.extensions) == bool(deflate)
        for text in ("small", LONG, "x" * 500_000, LONG):
            client.send(json.dumps({"action": "echo", "text": text}))
            assert json.loads(client.recv()) == {"text": text}
        client.send(piece for piece in ('{"action":"echo",', '"text":"', LONG, '"}'))
        assert json.loads(client.recv()) == {"text": LONG}
        assert client.ping().wait(5)
    assert client.close_code == 1000


def test_with_websocket_client(serve: Serve) -> None:
    served = serve([echo], {"servers": {"web": {"kind": "http", "deflate": {"enabled": True}}}})
    host, port = served.addresses["web"]
    client = websocket.create_connection(f"ws://{host}:{port}/chat", timeout=5)
    client.send(json.dumps({"action": "echo", "text": LONG}))
    assert json.loads(client.recv()) == {"text": LONG}
    client.ping("?")
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"?")
    client.send(json.dumps({"action": "leave"}))
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_CLOSE, b"\x0f\xa1gone")
    client.shutdown()  # type: ignore[no-untyped-call]
