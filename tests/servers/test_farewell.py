"""Leaving: goodbyes spread over some seconds, and HTTP clients that are asked to go when they are done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest

from greenimi import green
from greenimi.app import App
from greenimi.errors import ConnectionClosed
from greenimi.servers.base import StreamHost
from greenimi.servers.farewell import Farewell
from greenimi.testing.clients import MessageClient, WebSocketClient
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]


def host(app: App, name: str = "web") -> StreamHost:
    found = app.doors.servers[name]
    assert isinstance(found, StreamHost)
    return found


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


# -- answers while a server drains ---------------------------------------------------------------------------------


def test_an_answer_says_close_when_nothing_more_waits(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(get("/wait") + get("/item/1") + get("/item/2"))
    wait_until(lambda: stage.waiting)
    host(app).drain()
    stage.gate.set()
    found = [web.response() for _ in range(3)]
    assert [body for _, _, body in found] == [b"waited", b"1", b"2"], "what is here already is answered"
    assert [headers["Connection"] for _, headers, _ in found] == [None, None, "close"]
    assert web.read_all() == b""


def test_clients_that_talk_are_asked_to_go_one_after_the_other(app: App, link: Links) -> None:
    """All of them at once would come back as one flood."""
    webs = [link(app) for _ in range(4)]
    for web in webs:
        web.send(get("/item/1"))
        web.response()
    host(app).drain()
    host(app).farewell(1012, 60.0)
    told = []
    for web in webs:
        web.send(get("/item/1"))
        told.append(web.response()[1]["Connection"])
    assert None in told, "the others are served on until it is their turn"
    host(app).farewell(1012, 0.0)
    for web, goodbye in zip(webs, told, strict=True):
        if goodbye is None:
            web.send(get("/item/1"))
            assert web.read_all() == b"" or web.response()[1]["Connection"] == "close"


def test_a_head_that_has_begun_is_waited_for(app: App, stage: Stage, link: Links) -> None:
    web = link(app)
    web.send(get("/wait") + get("/item/1")[:10])
    wait_until(lambda: stage.waiting)
    host(app).drain()
    stage.gate.set()
    assert web.response()[1]["Connection"] is None
    web.send(get("/item/1")[10:])
    assert web.response()[1]["Connection"] == "close"
    assert web.read_all() == b""


def test_answers_in_parts_say_close_too(app: App, link: Links) -> None:
    host(app).drain()
    web = link(app)
    web.send(get("/count/3"))
    _, headers, body = web.response()
    assert (headers["Connection"], len(body)) == ("close", 21_000)
    assert web.read_all() == b""


# -- goodbyes ------------------------------------------------------------------------------------------------------


def test_all_at_once(app: App, link: Links) -> None:
    with WebSocketClient(app, "/chat") as chat, MessageClient(app, "till") as till:
        assert chat.request("echo", text="x") == till.request("echo", text="x") == {"text": "x"}
        web = link(app)
        for name in ("web", "till"):
            host(app, name).drain()
            host(app, name).farewell(1012, 0)
        with pytest.raises(ConnectionClosed, match="1012 the server restarts, come back at once"):
            chat.receive()
        till.wait_closed()
        assert web.read_all() == b""
    wait_until(lambda: not host(app).connections)


def test_they_are_spread_evenly_the_oldest_first(app: App) -> None:
    with ExitStack() as ends:
        chats = [ends.enter_context(WebSocketClient(app, "/chat")) for _ in range(40)]
        for chat in chats:
            assert chat.request("echo", text="x") == {"text": "x"}
        left = {connection.number: connection for connection in host(app).connections}
        oldest_first = sorted(left)
        host(app).drain()
        began = monotonic()
        host(app).farewell(1001, 2)
        rounds: list[list[int]] = []
        while left:
            assert monotonic() - began < 20
            gone = sorted(number for number, connection in left.items() if not connection.is_open)
            for number in gone:
                del left[number]
            if gone:
                rounds.append(gone)
            green.sleep(0.01)
        assert [number for gone in rounds for number in gone] == oldest_first
        assert len(rounds) >= 8, "not all of them in a few floods"
        assert monotonic() - began >= 1.5, "over most of the time"


def test_who_is_at_work_goes_when_he_is_done(app: App, stage: Stage, link: Links) -> None:
    with WebSocketClient(app, "/chat") as chat:
        chat.send({"action": "wait", "id": 1})
        chat.send({"action": "echo", "text": "x", "id": 2})
        web = link(app)
        web.send(get("/wait"))
        wait_until(lambda: stage.waiting == 2)
        host(app).drain()
        host(app).farewell(1001, 0)
        green.sleep(0.3)
        assert [connection.is_open for connection in host(app).connections] == [True, True]
        stage.gate.set()
        assert chat.receive() == {"id": 1, "result": "waited"}
        assert chat.receive() == {"id": 2, "result": {"text": "x"}}
        with pytest.raises(ConnectionClosed, match="1001"):
            chat.receive()
        assert web.response()[1]["Connection"] == "close"


def test_a_request_that_has_begun_to_arrive_is_something_to_do(app: App, link: Links) -> None:
    web = link(app)
    web.send(get("/item/1")[:10])
    (connection,) = host(app).connections
    wait_until(lambda: connection.waiting)
    host(app).drain()
    host(app).farewell(1001, 0)
    green.sleep(0.25)
    web.send(get("/item/1")[10:])
    assert web.response()[2] == b"1"
    assert web.read_all() == b""


def test_what_is_queued_goes_out_before_the_goodbye(app: App) -> None:
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        (connection,) = host(app).connections
        for number in range(60):
            assert connection.send({"number": number, "text": "x" * 30_000})
        wait_until(lambda: connection._outbox)
        host(app).farewell(1001, 0)
        assert [chat.receive()["number"] for _ in range(60)] == list(range(60))
        with pytest.raises(ConnectionClosed, match="1001"):
            chat.receive()


def test_who_comes_after_it_began_is_said_goodbye_to_at_its_end(app: App, link: Links) -> None:
    host(app).farewell(1001, 0.2)
    web = link(app)
    web.send(get("/item/1"))
    assert web.response()[2] == b"1"
    assert web.read_all() == b""


def test_it_ends_with_the_server(app: App, link: Links) -> None:
    host(app).farewell(1001, 60)
    host(app).farewell(1001, 60)
    web = link(app)
    host(app).stop()
    assert host(app)._farewell is None
    assert web.read_all() == b""


def test_one_that_fails_keeps_nobody_else(app: App, link: Links, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    webs = [link(app), link(app)]
    broken = min(host(app).connections, key=lambda connection: connection.number)
    monkeypatch.setattr(broken.codec, "__class__", type("Broken", (type(broken.codec),), {"__slots__": (), "close": None}))
    host(app).farewell(1001, 0)
    assert [web.read_all() for web in webs] == [b"", b""]
    assert "cannot be said goodbye to" in caplog.text


def test_everybody_has_a_turn_before_the_end() -> None:
    """Else the last ones are cut in the middle of what they were about to say."""
    told: dict[int, list[bool]] = {}

    class Talker:
        def __init__(self, number: int) -> None:
            self.number = number

        def depart(self, code: int, reason: str, *, at_last: bool) -> bool:
            told.setdefault(self.number, []).append(at_last)
            return at_last

    talkers: list[Any] = [Talker(number) for number in range(20)]
    goodbye = Farewell(talkers, lambda: talkers, 1012, 0.5)
    wait_until(lambda: all(found[-1] for found in told.values()) and len(told) == 20)
    goodbye.end()
    assert not any(found[0] for found in told.values())
