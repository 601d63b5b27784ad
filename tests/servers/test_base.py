"""What every server of connections does: limits, idle clients, opening and closing the door."""

from __future__ import annotations

import _socket
import socket
from collections.abc import Callable
from math import inf
from typing import Any

import pytest

from greenimi import green
from greenimi.app import App
from greenimi.errors import ConnectionClosed
from greenimi.hub.ids import parse, process_of
from greenimi.servers import base
from greenimi.servers.base import StreamHost
from greenimi.servers.entrance.tls import TlsFacts
from greenimi.servers.stream import StreamConnection
from greenimi.testing.clients import HttpClient, WebSocketClient
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


# -- silence -------------------------------------------------------------------------------------------------------


def test_a_new_connection_has_first_byte_seconds_to_say_something(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"first_byte": 5}, till={"first_byte": 15})
    web, till = link(app), link(app, "till")
    later(app, 5.5, "web", "till")
    assert len(host(app).connections) == 1, "nobody is cut before his time, though the clock moves once a second only"
    later(app, 1.5, "web", "till")
    assert web.read_all() == b"", "nothing was asked, so there is no 408"
    assert len(host(app, "till").connections) == 1
    later(app, 10, "web", "till")
    assert till.read_all() == b""
    wait_until(lambda: not host(app).connections)


def test_first_byte_of_zero_is_idle(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"first_byte": 0, "idle": 50})
    till = link(app, "till")
    wait_until(lambda: "opened" in app.container.get(echo.Stage).log)
    later(app, 50, "till")
    assert len(host(app, "till").connections) == 1
    later(app, 2, "till")
    assert till.read_all() == b""


def test_between_two_requests_it_is_keep_alive(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"keep_alive": 10, "idle": 100, "first_byte": 100})
    web = link(app)
    for _ in range(3):
        later(app, 6)
        web.send(b"GET /item/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert web.response()[2] == b"1"
    later(app, 10.5)
    assert len(host(app).connections) == 1
    later(app, 1)
    assert web.read_all() == b""


@pytest.mark.parametrize("ping", [{"ping_interval": 100, "ping_jitter": 0.0}, {"ping_interval": 0, "idle": 100}])
def test_after_its_handshake_it_is_the_ping_interval_or_idle(make_echo: Make, ping: dict[str, float]) -> None:
    app = make_echo(web={"keep_alive": 10, **ping})
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        later(app, 99)
        (connection,) = host(app).connections
        assert connection.is_open
        assert not connection._pinged
        later(app, 3)
        assert connection._pinged == bool(ping["ping_interval"])
        assert connection.is_open == connection._pinged


def test_a_client_that_waits_for_its_answer_is_not_silent_and_has_all_its_time_afterwards(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"keep_alive": 10, "handler_time": 0})
    stage = app.container.get(echo.Stage)
    web = link(app)
    web.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: stage.waiting)
    for _ in range(5):
        later(app, 11)
    stage.gate.set()
    assert web.response()[2] == b"waited"
    wait_until(lambda: not app.doors.runtime.handlers.busy)
    later(app, 1)
    later(app, 9)
    assert len(host(app).connections) == 1
    later(app, 3)
    assert web.read_all() == b""


def test_silence_of_zero_is_never(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"idle": 0, "first_byte": 0})
    till = link(app, "till")
    till.send(b'{"action":"echo","text":"x"}\n')
    assert till.line() == b'{"text":"x"}\n'
    later(app, 1e9, "till")
    assert host(app, "till").idle.until == inf
    assert len(host(app, "till").connections) == 1


def test_a_silent_websocket_is_pinged_and_closed_when_it_does_not_answer(make_echo: Make) -> None:
    app = make_echo(web={"ping_interval": 10, "ping_jitter": 0.0, "ping_timeout": 20})
    with WebSocketClient(app, "/chat") as silent, WebSocketClient(app, "/chat") as alive:
        assert alive.request("echo", text="x") == silent.request("echo", text="x") == {"text": "x"}
        later(app, 12)
        assert alive.request("echo", text="x") == {"text": "x"}, "which answers the ping, too"
        assert len(host(app).connections) == 2
        later(app, 25)
        assert alive.request("echo", text="x") == {"text": "x"}
        assert len([each for each in host(app).connections if each.is_open]) == 1
        with pytest.raises(ConnectionClosed, match="1001 idle"):
            silent.receive()


def test_one_that_cannot_be_looked_at_does_not_keep_the_others_from_it(
    make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_echo(web={"first_byte": 5})
    broken, web = link(app), link(app)
    guilty = min(host(app).connections, key=lambda connection: connection.number)
    own = StreamConnection.look

    def look(connection: StreamConnection, now: float) -> bool:
        return own(connection, 1 // (connection is not guilty) and now)

    monkeypatch.setattr(StreamConnection, "look", look)
    later(app, 7)
    assert (broken.read_all(), web.read_all()) == (b"", b"")
    assert "cannot be served any more" in caplog.text


def test_many_that_are_due_are_looked_at_a_few_at_a_stretch(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(web={"first_byte": 5})
    found = [link(app) for _ in range(4)]
    monkeypatch.setattr(base, "_SLICE", 1e-9)
    later(app, 7)
    first = sum(connection.is_open for connection in host(app).connections)
    assert first > 1, "others have their turn between them"
    assert [each.read_all() for each in found] == [b""] * 4, "all of them came to it"


# -- counting ------------------------------------------------------------------------------------------------------


def test_what_comes_is_counted_and_timed(app: App, stage: echo.Stage, link: Links) -> None:
    till = link(app, "till")
    till.send(b'{"action":"echo","text":"x"}\n' * 300 + b'{"action":"wait"}\n')
    wait_until(lambda: stage.waiting)
    server = host(app, "till")
    assert (server.accepted_count, server.refused, server.handled) == (1, 0, 300), "what is under way does not count yet"
    green.sleep(0.05)
    stage.gate.set()
    wait_until(lambda: server.handled == 301)
    assert sum(server.latency.buckets) == 301
    assert sum(server.latency.buckets[16:]) == 1, "one of over 32 milliseconds"
    assert 0.05 < server.latency.sum < 5


# -- through an entrance ---------------------------------------------------------------------------------------------


def pair() -> tuple[socket.socket, Any]:
    """Both ends; the second as a server gets it."""
    mine, its = socket.socketpair()
    mine.settimeout(5)
    raw = _socket.socket(its.family, its.type, its.proto, its.detach())
    raw.setblocking(False)
    return mine, raw


def test_what_came_behind_a_handshake_is_read_at_once_and_its_facts_are_there(app: App) -> None:
    mine, raw = pair()
    facts = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", server_name="shop.example")
    with mine:
        host(app).admit(raw, ("10.0.0.1", 1234), b"GET /item/7 HTTP/1.1\r\nHost: x\r\n\r\n", facts)
        (connection,) = host(app).connections
        assert connection.secure
        assert (connection.tls, connection.address) == (facts, ("10.0.0.1", 1234))
        assert mine.recv(1000).endswith(b"\r\n\r\n7")
        mine.sendall(b"GET /item/8 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert mine.recv(1000).endswith(b"\r\n\r\n8")


def test_without_an_entrance_a_connection_is_not_secure(app: App, link: Links) -> None:
    link(app)
    (connection,) = host(app).connections
    assert (connection.secure, connection.tls) == (False, None)


def test_an_accepted_socket_goes_through_the_entrance_and_counts_on_its_way(app: App) -> None:
    class Way:
        count = 0
        closed = False

        def enter(self, sock: Any, address: Any) -> None:
            self.entered = sock, address
            self.count = 1

        def close(self) -> None:
            self.closed = True

    server = host(app)
    way: Any = Way()
    server.entrance = way
    mine, raw = pair()
    with mine:
        server.accepted(raw, ("10.0.0.1", 1234))
        assert way.entered == (raw, ("10.0.0.1", 1234))
        assert not server.connections
        assert server._held() == 1
        server.stop()
        assert way.closed
    raw.close()


# -- opening and closing the door ----------------------------------------------------------------------------------


def test_connections_have_numbers_of_their_own_on_the_node(app: App, link: Links) -> None:
    for name in ("web", "web", "till"):
        link(app, name)
    found = sorted(each.id for name in ("web", "till") for each in host(app, name).connections)
    assert {process_of(parse(each)) for each in found} == {app.doors.runtime.hub.process}
    assert len(set(found)) == 3, "ids are unique in the cluster, also between the servers of one worker"


def test_a_drained_server_accepts_no_more_and_serves_on(serve: Serve) -> None:
    served = serve([echo], echo.CONF)
    with HttpClient(served.addresses["web"]) as web:
        assert web.get("/item/1").json() == 1
        assert not host(served.app).draining
        host(served.app).drain()
        host(served.app).drain()
        assert host(served.app).draining
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


def test_stop_says_the_code_it_is_given(app: App) -> None:
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        host(app).stop(1012)
        chat.wait_closed()
        assert (chat.close_code, chat.close_reason) == (1012, "the server restarts, come back at once")


def test_where_others_accept_too_it_takes_one_at_a_time_at_first(app: App) -> None:
    listening: list[socket.socket] = []
    try:
        for share in (True, False):
            sock = socket.socket()
            listening.append(sock)
            sock.bind(("127.0.0.1", 0))
            sock.listen()
            host(app).attach(sock, share=share)
        assert [acceptor.max_accept for acceptor in host(app).gate._acceptors] == [1, 100]
    finally:
        for sock in listening:
            sock.close()


def test_a_server_must_say_what_it_speaks(app: App) -> None:
    plain: Any = StreamHost("plain", "plain", host(app).settings, app.container, app.doors.runtime)
    for method in (plain.new_codec, plain.new_endpoint):
        with pytest.raises(NotImplementedError):
            method()
