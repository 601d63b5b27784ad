"""What takes too long is cut: heads, bodies, frames and packets that drip, and answers that nobody reads."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from time import monotonic
from typing import Any

import pytest

from greenimi import green
from greenimi.app import App
from greenimi.codec.websocket_frames import masked_frame
from greenimi.errors import ConnectionClosed
from greenimi.servers.base import StreamHost
from greenimi.servers.stream import StreamConnection
from greenimi.testing.clients import MessageClient, NotUpgraded, WebSocketClient
from greenimi.testing.plugin import Serve
from greenimi.testing.support import wait_until
from tests.apps import echo
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]

HEAD = b"GET /item/1 HTTP/1.1\r\nHost: x\r\n\r\n"


def host(app: App, name: str = "web") -> StreamHost:
    found = app.doors.servers[name]
    assert isinstance(found, StreamHost)
    return found


def only(app: App, name: str = "web") -> StreamConnection:
    (found,) = host(app, name).connections
    return found


def pass_seconds(app: App, seconds: float, name: str = "web") -> None:
    """What the sweep would do so much later."""
    host(app, name).sweep(monotonic() + seconds)


def arrives(app: App, name: str = "web") -> None:
    """Wait until something has begun to arrive."""
    wait_until(lambda: only(app, name)._incoming is not None)


def body(app: App) -> int:
    """Bytes that arrived of the body under way."""
    stream = only(app).codec._stream  # type: ignore[attr-defined]
    return stream.received if stream is not None else -1


class Clock:
    """Seconds that pass for the sweep, and none for the test."""

    def __init__(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app = app
        self.now = monotonic()
        for module in ("timed", "outbox"):
            monkeypatch.setattr(f"greenimi.servers.{module}.monotonic", lambda: self.now)

    def tick(self, name: str = "web", seconds: int = 1) -> None:
        for _ in range(seconds):
            self.now += 1
            self.app.doors.runtime.now = self.now
            host(self.app, name).sweep(self.now)


# -- heads ---------------------------------------------------------------------------------------------------------


def test_a_head_that_drips_gets_408_after_head_time(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(web={"head_time": 10, "keep_alive": 1000, "first_byte": 1000})
    clock = Clock(app, monkeypatch)
    web = link(app)
    for second in range(11):
        assert only(app).is_open, second
        web.send(HEAD[second : second + 1])
        received = second + 1
        wait_until(lambda received=received: len(only(app).codec._buffer) == received)  # type: ignore[attr-defined, misc]
        clock.tick()
    status, headers, body = web.response()
    assert (status, headers["Connection"], body) == (408, "close", b"the message took too long to arrive\n")
    assert web.read_all() == b""


def test_a_head_within_its_time_is_answered_and_the_next_one_has_all_of_it(
    make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_echo(web={"head_time": 10})
    clock = Clock(app, monkeypatch)
    web = link(app)
    for _ in range(3):
        web.send(HEAD[:20])
        arrives(app)
        clock.tick(seconds=9)
        web.send(HEAD[20:])
        assert web.response()[2] == b"1"
        assert only(app)._incoming is None


def test_between_requests_it_ends_without_a_word(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(web={"keep_alive": 5})
    clock = Clock(app, monkeypatch)
    web = link(app)
    web.send(HEAD)
    assert web.response()[2] == b"1"
    clock.tick(seconds=8)
    assert web.read_all() == b""


def test_what_was_asked_before_a_dripping_head_is_answered_first(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"head_time": 10})
    stage = app.container.get(echo.Stage)
    web = link(app)
    web.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" + HEAD + HEAD[:10])
    wait_until(lambda: stage.waiting)
    pass_seconds(app, 11)
    stage.gate.set()
    assert [web.response()[2] for _ in range(3)] == [b"waited", b"1", b"the message took too long to arrive\n"]
    assert web.read_all() == b""


# -- bodies --------------------------------------------------------------------------------------------------------


def test_a_body_that_drips_gets_408(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(web={"body_time": 5, "min_rate": 100})
    clock = Clock(app, monkeypatch)
    web = link(app)
    web.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    for second in range(6):
        web.send(b"1")
        received = second + 1
        wait_until(lambda received=received: body(app) == received)  # type: ignore[misc]
        clock.tick()
    assert web.response()[0] == 408
    assert web.read_all() == b""


def test_a_body_that_keeps_the_rate_may_take_long(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(web={"body_time": 5, "min_rate": 100})
    clock = Clock(app, monkeypatch)
    web = link(app)
    web.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 5002\r\n\r\n" + b'"')
    for second in range(50):
        web.send(b"x" * 100)
        received = second * 100 + 101
        wait_until(lambda received=received: body(app) == received)  # type: ignore[misc]
        clock.tick()
    web.send(b'"')
    assert len(web.response()[2]) == 5000


def test_a_handler_that_reads_learns_of_it_and_its_client_gets_408(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"body_time": 5})
    stage = app.container.get(echo.Stage)
    stage.gate.set()
    web = link(app)
    web.send(b"POST /sizes HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    wait_until(lambda: only(app)._parked)
    pass_seconds(app, 4)
    assert only(app)._parked
    pass_seconds(app, 6)
    status, headers, _ = web.response()
    assert (status, headers["Connection"]) == (408, "close")
    assert web.read_all() == b""
    wait_until(lambda: not app.doors.runtime.handlers.busy)


def test_who_waits_for_100_continue_is_not_late(make_echo: Make, link: Links) -> None:
    app = make_echo(web={"body_time": 5, "handler_time": 0})
    stage = app.container.get(echo.Stage)
    web = link(app)
    web.send(b"POST /sizes HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    wait_until(lambda: stage.waiting)
    pass_seconds(app, 100)
    stage.gate.set()
    assert web.line() == b"HTTP/1.1 100 Continue\r\n"
    assert web.line() == b"\r\n"
    wait_until(lambda: only(app)._parked)
    pass_seconds(app, 4)
    assert only(app)._incoming is not None
    web.send(b"hello")
    assert web.response()[2] == b"[5]"


def test_time_in_which_we_do_not_read_is_not_the_clients(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(web={"body_time": 5, "handler_time": 0, "min_rate": 10**9})
    stage = app.container.get(echo.Stage)
    web = link(app)
    clock = Clock(app, monkeypatch)
    web.send(b"POST /sizes HTTP/1.1\r\nHost: x\r\nContent-Length: 200001\r\n\r\n")
    sender = green.spawn(web.send, b"x" * 200_000)
    wait_until(lambda: stage.waiting and not only(app)._read_on)
    clock.tick(seconds=100)
    stage.gate.set()
    sender.get()
    wait_until(lambda: only(app)._parked and body(app) == 200_000)
    clock.tick(seconds=4)
    web.send(b"x")
    assert web.response()[2] == b"[200001]"


# -- frames and packets ----------------------------------------------------------------------------------------------


def test_a_frame_that_drips_is_1008(make_echo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(web={"body_time": 5, "idle": 1000})
    clock = Clock(app, monkeypatch)
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        frame = masked_frame('{"action": "echo", "text": "hello"}')
        for second in range(6):
            chat._sock.sendall(frame[second : second + 1])
            arrives(app)
            green.sleep(0.002)
            clock.tick()
        with pytest.raises(ConnectionClosed, match="1008 the message took too long to arrive"):
            chat.receive()


def test_fragments_and_pings_do_not_make_a_message_longer(make_echo: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(web={"body_time": 5, "idle": 1000})
    clock = Clock(app, monkeypatch)
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        chat._sock.sendall(b"\x01\x80\0\0\0\0")  # an empty first fragment of a text
        arrives(app)
        for _ in range(6):
            chat._sock.sendall(b"\x00\x80\0\0\0\0")
            chat.ping()
            clock.tick()
        with pytest.raises(ConnectionClosed, match="1008"):
            chat.receive()


def test_a_packet_that_drips_closes_the_connection(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_echo(till={"body_time": 5, "idle": 1000})
    clock = Clock(app, monkeypatch)
    till = link(app, "till")
    till.send(b'{"action":"echo","text":"x"}\n')
    assert till.line() == b'{"text":"x"}\n'
    for _ in range(6):
        till.send(b" ")
        arrives(app, "till")
        green.sleep(0.002)
        clock.tick("till")
    assert till.read_all() == b""


def test_each_packet_has_its_own_time(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every read ends in the middle of a packet."""
    app = make_echo(till={"body_time": 5, "idle": 1000})
    clock = Clock(app, monkeypatch)
    till = link(app, "till")
    packet = b'{"action":"echo","text":"x"}\n'
    till.send(packet[:10])
    for _ in range(10):
        arrives(app, "till")
        clock.tick("till", seconds=4)
        till.send(packet[10:] + packet[:10])
        assert till.line() == b'{"text":"x"}\n'


# -- answers -------------------------------------------------------------------------------------------------------


@pytest.fixture
def slow(make_echo: Make, link: Links) -> tuple[App, Link]:
    """A client that has asked for much and does not read; its server answers with more than the socket holds."""
    app = make_echo(web={"write_time": 5, "min_rate": 1000, "handler_time": 0, "idle": 10, "keep_alive": 10})
    web = link(app)
    web.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    web.send(b"GET /count/1000 HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: only(app)._outbox is not None and only(app)._parked)
    return app, web


def test_who_does_not_read_is_closed_and_its_handler_ends(slow: tuple[App, Link]) -> None:
    app, _ = slow
    pass_seconds(app, 4)
    assert host(app).connections
    pass_seconds(app, 6)
    assert not host(app).connections
    wait_until(lambda: not app.doors.runtime.handlers.busy)
    assert app.container.get(echo.Stage).log[-1] == "done"


def test_what_it_sends_does_not_help(slow: tuple[App, Link]) -> None:
    app, web = slow
    web.send(HEAD)
    wait_until(lambda: only(app)._inbox)
    pass_seconds(app, 6)
    assert not host(app).connections


def test_who_reads_as_fast_as_the_rate_may_take_long(slow: tuple[App, Link], monkeypatch: pytest.MonkeyPatch) -> None:
    app, web = slow
    clock = Clock(app, monkeypatch)
    only(app).begin_outgoing()  # by the new clock
    for _ in range(60):
        assert web.sock.recv(70_000)
        clock.tick()
        green.sleep(0.001)
    assert host(app).connections
    clock.tick(seconds=7)
    assert not host(app).connections


def test_silence_does_not_count_while_an_answer_is_read(slow: tuple[App, Link], monkeypatch: pytest.MonkeyPatch) -> None:
    app, web = slow
    host(app).write_time = 0  # for ever
    connection = only(app)
    connection.begin_outgoing()
    for _ in range(5):
        pass_seconds(app, 1000)
    assert len(web.response()[2]) == 7_000_000
    assert only(app) is connection


def test_a_reader_that_never_reads_is_closed_and_nobody_else_feels_it(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"outbox": 300_000})
    stuck = link(app, "till")
    stuck.send(b'{"action":"echo","text":"x"}\n')
    assert stuck.line() == b'{"text":"x"}\n'
    victim = only(app, "till")
    with MessageClient(app, "till") as other:
        for number in range(200):
            victim.send("x" * 65536)
            if number % 10 == 0:
                assert other.request("echo", text=str(number)) == {"text": str(number)}
        wait_until(lambda: len(host(app, "till").connections) == 1)
        assert not victim.is_open
        assert other.request("echo", text="still here") == {"text": "still here"}


def test_frames_of_many_senders_on_one_connection_are_whole(app: App) -> None:
    """A hundred greenlets, messages larger than the socket's buffer."""
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        connection = only(app)

        def say(number: int) -> None:
            for turn in range(10):
                assert connection.send({"from": number, "turn": turn, "text": str(number % 10) * 3000})
                green.sleep(0)

        senders = [green.spawn(say, number) for number in range(100)]
        turns: dict[int, list[int]] = {number: [] for number in range(100)}
        for _ in range(1000):
            found: Any = chat.receive()
            assert found["text"] == str(found["from"] % 10) * 3000
            turns[found["from"]].append(found["turn"])
        for sender in senders:
            sender.get()
        assert all(found == list(range(10)) for found in turns.values())


# -- too much to do --------------------------------------------------------------------------------------------------


@pytest.fixture
def full(make_echo: Make, link: Links) -> Iterator[App]:
    """One handler, at work, and as many wait for it as may."""
    app = make_echo(handlers=1)
    stage = app.container.get(echo.Stage)
    app.doors.runtime.handlers.queue = 1
    web = link(app)
    web.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: stage.waiting)
    link(app).send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: app.doors.runtime.handlers.overloaded)
    yield app
    stage.gate.set()


def overload(app: App) -> None:
    """As the pool does when too many wait."""
    app.doors.runtime.handlers.crowded = app.doors.runtime.handlers.overloaded = True


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_http_is_told_to_come_back_without_a_handler(full: App, link: Links, method: str) -> None:
    web = link(full)
    web.send(f"{method} /item/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode() + HEAD)
    status, headers, body = web.response(method)
    assert (status, headers["Retry-After"], headers["Connection"], body) == (503, "1", "close", b"")
    assert web.read_all() == b""
    assert host(full).refused == 1


def test_so_is_who_shakes_hands(full: App) -> None:
    with pytest.raises(NotUpgraded, match="503"):
        WebSocketClient(full, "/chat")


def test_a_websocket_is_closed_with_1013(make_echo: Make, caplog: pytest.LogCaptureFixture) -> None:
    app = make_echo()
    with WebSocketClient(app, "/chat") as chat:
        assert chat.request("echo", text="x") == {"text": "x"}
        app.doors.runtime.handlers.crowded = app.doors.runtime.handlers.overloaded = True
        chat._sock.sendall(masked_frame('{"action":"note","number":1}') * 2)
        with pytest.raises(ConnectionClosed, match="1013 come back later"):
            chat.receive()
        wait_until(lambda: not host(app).connections)
    assert 1 not in app.container.get(echo.Stage).log
    pass_seconds(app, 1)
    assert "server web: clients were told to come back later, there was too much to do" in caplog.text


def test_a_tcp_connection_is_closed(make_echo: Make, link: Links) -> None:
    app = make_echo()
    till = link(app, "till")
    till.send(b'{"action":"echo","text":"x"}\n')
    assert till.line() == b'{"text":"x"}\n'
    app.doors.runtime.handlers.crowded = app.doors.runtime.handlers.overloaded = True
    till.send(b'{"action":"note","number":1}\n')
    assert till.read_all() == b""
    assert link(app, "till").read_all() == b"", "nor is it let in: its `opened` handler would be one more to wait"
    assert host(app, "till").refused == 2
    assert 1 not in app.container.get(echo.Stage).log


def test_what_has_a_handler_goes_on(full: App, link: Links) -> None:
    stage = full.container.get(echo.Stage)
    first = min(host(full).connections, key=lambda connection: connection.number)
    first._readable(HEAD)
    stage.gate.set()
    wait_until(lambda: not full.doors.runtime.handlers.overloaded)
    web = link(full)
    web.send(HEAD)
    assert web.response()[2] == b"1"
    assert host(full).refused == 0


# -- many messages in one read -----------------------------------------------------------------------------------------


def test_many_small_packets_of_one_read_cost_no_more_each(app: App, link: Links) -> None:
    """Taking from the front of a long list would move the rest of it each time: 300 ms for what takes a fraction of that."""
    connection_of = host(app, "till").connections
    link(app, "till")
    wait_until(lambda: connection_of and not only(app, "till")._busy)
    connection = only(app, "till")
    handled: list[Any] = []

    class Counts:
        has_opened = has_closed = False

        def process(self, connection: StreamConnection, message: Any) -> None:
            handled.append(message)

    connection.endpoint = Counts()  # type: ignore[assignment]
    many: list[Any] = [object() for _ in range(300_000)]
    connection.take(many)
    connection._busy = True
    began = monotonic()
    connection.start_later()
    wait_until(lambda: len(handled) == len(many))
    assert handled == many
    assert monotonic() - began < 3, "it takes 0.3 s; it was 15 s"


# -- in real time --------------------------------------------------------------------------------------------------


def test_the_clock_sees_to_it(serve: Serve) -> None:
    limits = {"head_time": 0.5, "body_time": 0.5, "first_byte": 0.3}
    conf = {"servers": {name: {**settings, **limits} for name, settings in echo.CONF["servers"].items()}}
    address = serve([echo], conf).addresses["web"]
    with socket.create_connection(address, 5) as silent, socket.create_connection(address, 5) as drips:
        began = monotonic()
        answer = b""
        drips.sendall(b"GET /")
        while not answer:
            try:
                drips.sendall(b"x")
                drips.settimeout(0.1)
                answer = drips.recv(1000)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert 0.5 < monotonic() - began < 10
        assert silent.recv(10) == b""


# -- pings ---------------------------------------------------------------------------------------------------------


Opened = Callable[..., list[WebSocketClient]]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """``opened(app, 3)``: so many clients that have said something; hung up after the test."""
    clients: list[WebSocketClient] = []

    def make(app: App, count: int = 1) -> list[WebSocketClient]:
        fresh = [WebSocketClient(app, "/chat") for _ in range(count)]
        clients.extend(fresh)
        for client in fresh:
            assert client.request("echo", text="x") == {"text": "x"}
        return fresh

    yield make
    for client in clients:
        client._sock.close()


def test_those_who_came_together_are_not_pinged_together(make_echo: Make, opened: Opened) -> None:
    """200 connections of one second: the pings are spread over the end of the interval, and nobody is silent for longer than it."""
    app = make_echo(web={"ping_interval": 100, "ping_jitter": 0.4, "ping_timeout": 1000})
    opened(app, 200)
    web = host(app)
    begin = app.doors.runtime.now
    pinged = []
    for second in range(110):
        app.doors.runtime.now = begin + second
        web.sweep(begin + second)
        pinged.append(sum(connection._pinged for connection in web.connections))
    assert pinged[60] == 0
    assert pinged[-1] == 200
    assert pinged[103] == 200
    each_second = [after - before for before, after in pairwise(pinged)]
    assert max(each_second) < 30
    assert sum(count > 0 for count in each_second) > 25


def test_anything_counts_as_a_sign_of_life(make_echo: Make, link: Links, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    app = make_echo(web={"ping_interval": 10, "ping_jitter": 0.5, "ping_timeout": 5})
    clock = Clock(app, monkeypatch)
    (client,) = opened(app, 1)
    connection = only(app)
    for _ in range(5):
        while not connection._pinged:
            clock.tick()
        deadline = connection.deadline
        client._codec.ping()  # of its own accord: not the answer
        client._flush()
        wait_until(lambda deadline=deadline: connection.deadline != deadline)  # type: ignore[misc]
        clock.tick(seconds=6)
        assert connection.is_open
        connection._pinged = False


def test_a_busy_handler_keeps_no_pings_back(make_echo: Make, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    """Neither ours nor the client's, for as long as the handler likes."""
    app = make_echo(web={"ping_interval": 10, "ping_jitter": 0.0, "ping_timeout": 5, "handler_time": 0})
    stage = app.container.get(echo.Stage)
    clock = Clock(app, monkeypatch)
    (client,) = opened(app, 1)
    client.send({"action": "wait", "id": 7})
    wait_until(lambda: stage.waiting)
    for _ in range(20):
        clock.tick(seconds=12)
        assert only(app)._pinged
        client.ping(b"and you?")  # reads our ping before it, and answers
        wait_until(lambda: only(app).deadline > clock.now)
    stage.gate.set()
    assert client.receive() == {"id": 7, "result": "waited"}
    client.close()


def test_a_dead_client_is_let_go_though_its_handler_is_busy(make_echo: Make, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    app = make_echo(web={"ping_interval": 10, "ping_jitter": 0.0, "ping_timeout": 5, "handler_time": 0})
    stage = app.container.get(echo.Stage)
    clock = Clock(app, monkeypatch)
    (client,) = opened(app, 1)
    client.send({"action": "wait"})
    wait_until(lambda: stage.waiting)
    clock.tick(seconds=12 + 7)
    assert not only(app).is_open
    clock.tick(seconds=4)
    assert not host(app).connections
    stage.gate.set()
    wait_until(lambda: stage.log[-1] == "closed")


def test_who_is_not_listened_to_is_not_asked(make_echo: Make, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    """Reading has stopped for a full inbox: an answer to a ping would not be heard."""
    app = make_echo(web={"ping_interval": 10, "ping_jitter": 0.0, "ping_timeout": 5, "handler_time": 0, "inbox": 4})
    stage = app.container.get(echo.Stage)
    clock = Clock(app, monkeypatch)
    (client,) = opened(app, 1)
    client.send({"action": "wait"})
    wait_until(lambda: stage.waiting)
    for number in range(10):
        client.send({"action": "note", "number": number})
    wait_until(lambda: not only(app)._read_on)
    clock.tick(seconds=100)
    assert only(app).is_open
    assert not only(app)._pinged
    stage.gate.set()
    wait_until(lambda: stage.log[-10:] == list(range(10)))
    clock.tick(seconds=15)
    assert only(app)._pinged


# -- goodbyes ------------------------------------------------------------------------------------------------------


def test_a_goodbye_does_not_wait_for_a_busy_handler_for_ever(make_echo: Make, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    app = make_echo(web={"handler_time": 0})
    stage = app.container.get(echo.Stage)
    clock = Clock(app, monkeypatch)
    (client,) = opened(app, 1)
    client.send({"action": "wait", "id": 1})
    wait_until(lambda: stage.waiting)
    client._codec.close(3000, "bye")
    client._flush()
    wait_until(lambda: only(app).codec.ended)
    clock.tick(seconds=4)
    assert not only(app).codec.closing, "the answer may still come"
    clock.tick(seconds=3)
    client.wait_closed()
    assert client.close_code == 3000
    assert client._sock.recv(1) == b"", "and the connection is closed by the server"
    clock.tick(seconds=4)
    assert not host(app).connections
    stage.gate.set()
    wait_until(lambda: stage.log[-1] == "closed")


def test_a_broken_peer_does_not_wait_for_a_busy_handler_either(make_echo: Make, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    app = make_echo(web={"handler_time": 0})
    stage = app.container.get(echo.Stage)
    clock = Clock(app, monkeypatch)
    (client,) = opened(app, 1)
    client.send({"action": "wait"})
    wait_until(lambda: stage.waiting)
    client._sock.sendall(b"\xf3\x80\0\0\0\0")
    wait_until(lambda: only(app).codec.ended)
    clock.tick(seconds=7)
    client.wait_closed()
    assert client.close_code == 1002
    stage.gate.set()


def test_an_answer_within_the_time_goes_out_before_the_goodbye(app: App, opened: Opened) -> None:
    stage = app.container.get(echo.Stage)
    (client,) = opened(app, 1)
    client.send({"action": "wait", "id": 1})
    wait_until(lambda: stage.waiting)
    client._codec.close(3000, "bye")
    client._flush()
    wait_until(lambda: only(app).codec.ended)
    stage.gate.set()
    assert client.receive() == {"id": 1, "result": "waited"}
    client.wait_closed()
    assert client.close_code == 3000


def test_what_a_handler_closed_ends_though_it_goes_on(make_echo: Make, monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    """Both said goodbye; the handler works on."""
    app = make_echo(web={"handler_time": 0})
    stage = app.container.get(echo.Stage)
    clock = Clock(app, monkeypatch)
    (client,) = opened(app, 1)
    client.send({"action": "wait"})
    wait_until(lambda: stage.waiting)
    only(app).close(4000, "enough")
    client.wait_closed()
    assert client.close_code == 4000
    client._codec.close()
    client._flush()
    wait_until(lambda: only(app).codec.closing)
    clock.tick(seconds=8)
    assert client._sock.recv(1) == b""
    clock.tick(seconds=4)
    assert not host(app).connections
    assert stage.waiting
    stage.gate.set()
