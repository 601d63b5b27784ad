"""What every server of connections does: limits, idle clients, opening and closing the door."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from greenimi.app import App
from greenimi.errors import ConnectionClosed
from greenimi.servers.base import StreamHost
from greenimi.testing.clients import HttpClient, MessageClient, WebSocketClient
from greenimi.testing.plugin import Serve
from greenimi.testing.support import wait_until
from tests.apps import echo
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]


def host(app: App, name: str = "web") -> StreamHost:
    found = app.doors.servers[name]
    assert isinstance(found, StreamHost)
    return found


def later(app: App, seconds: float, *names: str) -> None:
    """What happens when the clock has moved on by so much."""
    app.doors.runtime.now += seconds
    for name in names or ("web",):
        host(app, name).sweep(app.doors.runtime.now)


# -- the limit of connections --------------------------------------------------------------------------------------


def test_connections_over_the_limit_are_refused(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"connections": 2})
    first = MessageClient(app, "till")
    with first, MessageClient(app, "till") as second:
        assert link(app, "till").read_all() == b""
        assert [each.request("echo", text="x") for each in (first, second)] == [{"text": "x"}] * 2
        first.close()
        wait_until(lambda: len(host(app, "till").connections) == 1)
        with MessageClient(app, "till") as third:
            assert third.request("echo", text="x") == {"text": "x"}


def test_refused_connections_are_told_once_a_second_all_together(make_echo: Make, link: Links, caplog: pytest.LogCaptureFixture) -> None:
    app = make_echo(web={"connections": 1})
    link(app)
    for _ in range(3):
        assert link(app).read_all() == b""
    assert host(app).sweep in app.doors.runtime.each_second
    assert "refused" not in caplog.text
    later(app, 1)
    later(app, 1)
    told = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert told == ["server web: 3 connections were refused, 1 is the limit"]
    assert [record.levelno for record in caplog.records if "refused" in record.getMessage()] == [logging.WARNING]


# -- idle connections ----------------------------------------------------------------------------------------------


def test_what_is_idle_is_closed_at_its_deadline_and_not_before(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"idle": 10}, till={"idle": 20})
    web, till = link(app), link(app, "till")
    later(app, 9.5, "web", "till")
    assert len(host(app).connections) == 1
    later(app, 1, "web", "till")
    assert web.read_all() == b""
    assert len(host(app, "till").connections) == 1
    later(app, 20, "web", "till")
    assert till.read_all() == b""
    wait_until(lambda: not host(app).connections)


def test_every_byte_moves_the_deadline_on(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"idle": 10})
    web = link(app)
    for _ in range(3):
        later(app, 6)
        web.send(b"GET /item/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert web.response()[2] == b"1"
    later(app, 11)
    assert web.read_all() == b""


def test_a_client_that_waits_for_its_answer_is_not_idle(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"idle": 10})
    stage = app.container.get(echo.Stage)
    web = link(app)
    web.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: stage.waiting)
    for _ in range(5):
        later(app, 11)
    stage.gate.set()
    assert web.response()[2] == b"waited"


def test_idle_of_zero_is_never(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"idle": 0})
    web = link(app)
    later(app, 1e9)
    assert host(app).idle == inf
    web.send(b"GET /item/1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert web.response()[2] == b"1"


def test_a_silent_websocket_is_pinged_and_closed_when_it_does_not_answer(make_echo: Make) -> None:
    app = make_echo(web={"idle": 10})
    with WebSocketClient(app, "/chat") as silent, WebSocketClient(app, "/chat") as alive:
        assert alive.request("echo", text="x") == silent.request("echo", text="x") == {"text": "x"}
        later(app, 11)
        assert alive.request("echo", text="x") == {"text": "x"}, "which answers the ping, too"
        assert len(host(app).connections) == 2
        later(app, 25)
        assert alive.request("echo", text="x") == {"text": "x"}
        assert len([each for each in host(app).connections if each.is_open]) == 1
        with pytest.raises(ConnectionClosed, match="1001 idle"):
            silent.receive()


# -- opening and closing the door ----------------------------------------------------------------------------------


def test_connections_have_numbers_of_their_own_on_the_node(app: App, link: Links) -> None:
    for name in ("web", "web", "till"):
        link(app, name)
    found = sorted(each.id for name in ("web", "till") for each in host(app, name).connections)
    node = app.doors.runtime.node
    assert all(each.startswith(f"{node}-") for each in found)
    assert len(set(found)) == 3, "ids are unique in the cluster, also between the servers of one worker"


def test_a_drained_server_accepts_no_more_and_serves_on(serve: Serve) -> None:
    served = serve([echo], echo.CONF)
    with HttpClient(served.addresses["web"]) as web:
        assert web.get("/item/1").json() == 1
        host(served.app).drain()
        host(served.app).drain()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(served.addresses["web"], 5)
        assert web.get("/item/2").json() == 2


def test_stop_says_goodbye_and_shut_closes_what_is_left(app: App, link: Links) -> None:
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        silent = link(app)
        host(app).stop()
        assert host(app).sweep not in app.doors.runtime.each_second
        chat.wait_closed()
        assert (chat.close_code, chat.close_reason) == (1001, "the server stops")
        assert silent.read_all() == b""
        host(app).shut()
        assert not host(app).connections
        host(app).stop()


def test_where_others_accept_too_it_takes_one_at_a_time(app: App) -> None:
    listening: list[socket.socket] = []
    try:
        for share in (True, False):
            sock = socket.socket()
            listening.append(sock)
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            host(app).attach(sock, share=share)
        assert [acceptor.max_accept for acceptor in host(app)._acceptors] == [1, 100]
    finally:
        for sock in listening:
            sock.close()


def test_a_server_must_say_what_it_speaks(app: App) -> None:
    plain: Any = StreamHost("plain", "plain", host(app).settings, app.container, app.doors.runtime)
    for method in (plain.new_codec, plain.new_endpoint):
        with pytest.raises(NotImplementedError):
            method()
