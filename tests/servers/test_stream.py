"""One connection: what applications see of it, and when it is over."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from greenimi import IConnection, Reply, green, on, opened, tcp
from greenimi.app import App
from greenimi.hub.ids import process_of
from greenimi.servers import stream as stream_module
from greenimi.servers.stream import StreamConnection
from greenimi.testing.clients import HttpClient, MessageClient, WebSocketClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.conftest import Link

Links = Callable[..., Link]
Make = Callable[..., App]


def connections(app: App, server: str = "till") -> set[StreamConnection]:
    found: Any = app.doors.servers[server].connections
    return found  # type: ignore[no-any-return]


def only(app: App, server: str = "till") -> StreamConnection:
    (found,) = connections(app, server)
    return found


def test_provides_its_interface(app: App) -> None:
    with MessageClient(app, "till"):
        connection = only(app)
        provided_by: Any = IConnection
        assert provided_by.providedBy(connection)
        assert connection.id == str(connection.number)
        assert process_of(connection.number) == app.doors.runtime.hub.process
        assert connection.address == ("127.0.0.1", 0)
        assert connection.server.name == "till"
        assert connection.is_open
        connection.data["name"] = "x"
        assert connection.data == {"name": "x"}
        assert connection.id in repr(connection)


def test_anybody_may_send(app: App) -> None:
    with MessageClient(app, "till") as till:
        assert till.request("echo", text="x")
        assert only(app).send({"from": "elsewhere"})
        assert only(app).send(Reply(b"1"))
        assert [till.receive(), till.receive()] == [{"from": "elsewhere"}, 1]


def test_what_is_sent_before_close_arrives(app: App) -> None:
    with MessageClient(app, "till") as till:
        connection = only(app)
        assert all(connection.send("x" * 1000) for _ in range(1000))
        connection.close()
        connection.close()
        assert not connection.is_open
        assert not connection.send("late")
        assert [till.receive() for _ in range(1000)] == ["x" * 1000] * 1000
        till.wait_closed()


def test_a_value_that_cannot_be_encoded_is_the_senders_error(app: App) -> None:
    with MessageClient(app, "till") as till:
        with pytest.raises(TypeError, match="object"):
            only(app).send(object())
        assert till.request("echo", text="x") == {"text": "x"}


def test_a_web_connection_has_no_messages(app: App, link: Links) -> None:
    link(app)
    with pytest.raises(TypeError, match="no messages"):
        only(app, "web").send("x")


def test_answers_of_one_turn_leave_in_one_piece(app: App, link: Links) -> None:
    till = link(app, "till")
    till.send(b'{"action":"echo","text":"x"}\n' * 50)
    assert till.sock.recv(65536) == b'{"text":"x"}\n' * 50


def test_one_turn_ends_in_time_for_others(app: App, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the messages are few: what counts is how long they took."""
    monkeypatch.setattr(stream_module, "_TURN_TIME", 0)
    till = link(app, "till")
    turns: list[Any] = []
    own = stream_module.StreamConnection._work

    def work(connection: Any) -> None:
        turns.append(connection)
        own(connection)

    monkeypatch.setattr(stream_module, "_work", work)
    till.send(b'{"action":"echo","text":"x"}\n' * 3)
    assert [till.line() for _ in range(3)] == [b'{"text":"x"}\n'] * 3
    assert len(turns) == 3, "a turn for each message"


def test_an_idle_connection_keeps_nothing(app: App) -> None:
    with MessageClient(app, "till") as till:
        assert till.request("echo", text="x")
        connection = only(app)
        wait_until(lambda: not app.doors.runtime.handlers.busy)
        assert (connection._inbox, connection._front, connection._drained) == ([], [], None)
        assert {connection._outbox, connection._outgoing, connection._writer, connection._incoming, connection.handler} == {None}


def test_lingering_reads_away_what_comes_after_the_last_word(app: App, link: Links) -> None:
    """In the hub's own turn: the refusal is answered before the handler greenlet ever waits."""
    web = link(app)
    web.send(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n")
    assert web.response()[0] == 505
    (connection,) = connections(app, "web")
    web.send(b"x" * 300_000)  # more than the socket holds
    web.sock.shutdown(1)
    assert web.read_all() == b""
    wait_until(lambda: not connections(app, "web"))
    assert connection._unread == (1 << 20) - 300_000


def test_lingering_is_bounded_in_bytes(app: App, link: Links) -> None:
    web = link(app)
    web.send(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n")
    assert web.response()[0] == 505
    with pytest.raises(ConnectionError):
        web.send(b"x" * 5_000_000)
    assert not connections(app, "web")


def test_lingering_is_bounded_in_time(app: App, link: Links) -> None:
    web = link(app)
    web.send(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n")
    assert web.response()[0] == 505
    server = app.doors.servers["web"]
    server.sweep(app.doors.runtime.now + 1)
    assert connections(app, "web")
    server.sweep(app.doors.runtime.now + 3)
    assert not connections(app, "web")


def test_idle_zero_means_never(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"idle": 0, "first_byte": 0})
    link(app, "till")
    app.doors.servers["till"].sweep(app.doors.runtime.now + 1e9)
    assert len(connections(app)) == 1


def test_reading_moves_the_deadline(app: App) -> None:
    with MessageClient(app, "till") as till:
        connection = only(app)
        connection.deadline = 0.0
        assert till.request("echo", text="x")
        assert connection.deadline > app.doors.runtime.now


def test_a_closed_connection_frees_its_file_descriptor_and_itself(app: App) -> None:
    with MessageClient(app, "till") as till:
        assert till.request("echo", text="x")
        connection = only(app)
    wait_until(lambda: not connections(app))
    assert connection._sock.fileno() == -1
    assert not connection.send("x")
    connection.close()


def test_an_ended_handler_frees_the_connection(app: App) -> None:
    """A pooled greenlet that waits for work must not hold on to the last connection it served, nor to the first."""
    served = []
    for _ in range(3):
        with MessageClient(app, "till") as till:
            assert till.request("echo", text="x")
            served.append(weakref.ref(only(app)))
        wait_until(lambda: not connections(app))
    gc.collect()
    wait_until(lambda: [connection() for connection in served] == [None] * 3)


def test_many_connections_open_and_close(app: App, stage: Stage) -> None:
    def visit(number: int) -> Any:
        with WebSocketClient(app, "/chat") as chat:
            return chat.request("echo", text=str(number))["text"]

    visits = [green.spawn(visit, number) for number in range(200)]
    assert [visit.get() for visit in visits] == [str(number) for number in range(200)]
    wait_until(lambda: not connections(app, "web"))
    wait_until(lambda: stage.log.count("closed") == 200)


def test_a_server_that_stops_closes_everybody(app: App) -> None:
    with MessageClient(app, "till") as till, HttpClient(app) as web:
        assert till.request("echo", text="x")
        assert web.get("/item/1").status == 200
        app.stop()
        till.wait_closed()
        wait_until(lambda: not connections(app) or all(not c.is_open for c in connections(app)))
        assert not any(connection.is_open for connection in connections(app))


def test_a_silent_peer_does_not_keep_a_handler(app: App, link: Links) -> None:
    """A handler that waits for the rest of a body gives up with the connection; one that works is left alone."""
    web = link(app)
    web.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    runtime, server = app.doors.runtime, app.doors.servers["web"]
    wait_until(lambda: runtime.handlers.busy == 1)
    server.sweep(runtime.now + 30)
    assert web.response()[0] == 408
    assert web.read_all() == b""
    web.close()
    wait_until(lambda: not runtime.handlers.busy)
    wait_until(lambda: not connections(app, "web"))


def test_nothing_is_handled_when_opened_was_stopped_from_outside(app_factory: Any, link: Links) -> None:
    handled: list[str] = []

    @tcp
    class Guarded:
        @opened
        def check(self) -> None:
            raise green.Timeout(0)

        @on("pay")
        def pay(self) -> str:
            handled.append("paid")
            return "paid"

    app = app_factory([Guarded], {"servers": {"till": {"kind": "tcp"}}})
    till = link(app, "till")
    till.send(b'{"action":"pay"}\n')
    assert till.read_all() == b""
    assert handled == []


def test_a_stop_waits_for_answers_that_are_still_on_their_way(make_echo: Make, link: Links) -> None:
    app = make_echo(till={"outbox": 20_000_000})
    till = link(app, "till")
    connection = only(app)
    for _ in range(30):
        connection.send("x" * 100_000)
    wait_until(lambda: connection._outbox)
    finishing = green.spawn(app.doors.runtime.finish, 10)
    green.sleep(0.1)
    assert not finishing.dead
    till.read(30 * 100_003)
    assert finishing.get() is True


def test_an_error_in_the_hub_ends_the_connection(app: App, link: Callable[..., Link], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else would ever close it."""
    web = link(app)
    web.send(b"GET /item/1 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert web.response()[0] == 200
    server: Any = app.doors.servers["web"]
    (connection,) = server.connections

    def broken(data: bytes) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(type(connection.codec), "receive", lambda codec, data: broken(data))
    web.send(b"x")
    assert web.read_all() == b""
    assert not server.connections


def test_what_waits_for_a_handler_is_bounded_in_bytes(app_factory: AppFactory, link: Links) -> None:
    gate = green.Event()

    @tcp
    class Slow:
        @on("take")
        def take(self, data: str) -> int:
            gate.wait()
            return len(data)

    app = app_factory([Slow], {"servers": {"till": {"kind": "tcp", "max_message": 200_000}}})
    till = link(app, "till")
    sending = green.spawn(till.send, b"".join(b'{"action":"take","data":"%s"}\n' % (b"x" * 150_000) for _ in range(40)))
    wait_until(lambda: connections(app))
    connection = only(app)
    wait_until(lambda: not connection._read_on)
    assert sum(len(message.raw) for message in (*connection._inbox, *connection._front)) < 9 * 200_000
    gate.set()
    assert [till.line() for _ in range(40)] == [b"150000\n"] * 40
    sending.get()


@pytest.mark.parametrize(("code", "kept"), [(4403, 0), (1012, 1)])
def test_nothing_is_kept_of_a_client_that_is_sent_away_for_good(app: App, code: int, kept: int) -> None:
    hub = app.doors.runtime.hub
    with WebSocketClient(app, "/chat") as chat:
        connection = only(app, "web")
        hub.token(connection)
        connection.close(code)
        chat.wait_closed()
    wait_until(lambda: not hub.connections)
    assert hub.keeping.kept_count == kept
