"""WebSockets on a path of an HTTP server: the handshake, order, and the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from greenimi import green
from greenimi.app import App
from greenimi.codec.websocket import masked_frame
from greenimi.errors import ConnectionClosed
from greenimi.testing.clients import HttpClient, NotUpgraded, WebSocketClient
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]
SHAKE = (
    b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


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
        (connection,) = app.doors.servers["web"].connections  # type: ignore[union-attr]
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
    wait_until(lambda: not app.doors.servers["web"].connections)  # type: ignore[union-attr]
    assert stage.log == ["opening", "opened", 1, "closed"]


def test_closed_waits_for_the_handler_at_work(app: App, stage: Stage) -> None:
    chat = WebSocketClient(app, "/chat")
    chat.send({"action": "wait"})
    wait_until(lambda: stage.waiting)
    chat._sock.close()
    (connection,) = app.doors.servers["web"].connections  # type: ignore[union-attr]
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
    server = app.doors.servers["web"]
    (connection,) = server.connections  # type: ignore[union-attr]
    connection.close()
    assert web.read(4) == b"\x88\x02\x03\xe8"
    for seconds in (15, 30, 45):  # the idle time is 75
        server.sweep(app.doors.runtime.now + seconds)  # type: ignore[union-attr]
    assert not server.connections  # type: ignore[union-attr]


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
    server = app.doors.servers["web"]
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        server.sweep(app.doors.runtime.now + 1000)  # type: ignore[union-attr]
        server.sweep(app.doors.runtime.now + 2000)  # type: ignore[union-attr]
        with pytest.raises(ConnectionClosed):
            chat.receive()
        assert (chat.close_code, chat.close_reason) == (1001, "idle")


def test_a_silent_client_that_answers_pings_is_kept(app: App) -> None:
    server = app.doors.servers["web"]
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        (connection,) = server.connections  # type: ignore[union-attr]
        for _ in range(3):
            connection.deadline = 0.0
            server.sweep(app.doors.runtime.now)  # type: ignore[union-attr]
            chat._feed(1e9)  # the ping, answered at once
            wait_until(lambda: connection.deadline > app.doors.runtime.now + 50)  # a ping alone gives 20 seconds
        assert chat.request("echo", text="x") == {"text": "x"}


def test_a_slow_consumer_is_disconnected(make_echo: Make) -> None:
    app = make_echo(web={"outbox": 1_000_000})
    stage = app.container.get(Stage)
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        (connection,) = app.doors.servers["web"].connections  # type: ignore[union-attr]
        sent = 0
        while connection.send("x" * 65536):
            sent += 1
            assert sent < 100
            green.sleep(0)
        wait_until(lambda: "closed" in stage.log)
    assert not app.doors.servers["web"].connections  # type: ignore[union-attr]
    assert sent > 10
