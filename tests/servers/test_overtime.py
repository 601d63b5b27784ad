"""Handlers over their time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import getcurrent

from greenimi import Body, IConnection, closed, get, green, http, on, opened, post, tcp, udp, websocket
from greenimi.app import App
from greenimi.container.context import scope
from greenimi.errors import HandlerTimeout
from greenimi.servers.base import StreamHost
from greenimi.servers.overtime import Overtime
from greenimi.testing.clients import DatagramClient, MessageClient, WebSocketClient
from greenimi.testing.links import connect
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until
from tests.servers.conftest import Link

Links = Callable[..., Link]


class Log(list[Any]):
    """What happened; ``waiting`` counts the handlers that stand still."""

    waiting = 0
    swallows = True

    @contextmanager
    def note(self, name: str) -> Iterator[None]:
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            self.append(name)


@pytest.fixture
def happened() -> Log:
    return Log()


@pytest.fixture
def app(app_factory: AppFactory, happened: Log) -> App:
    @http
    class Web:
        @get("/hang")
        def hang(self) -> str:
            scope().defer(happened.append, "deferred")
            with happened.note("gave back"):
                green.sleep(3600)
            return "never"

        @get("/swallow")
        def swallow(self) -> str:
            with happened.note("swallowed"):
                while happened.swallows:
                    try:
                        green.sleep(3600)
                    except BaseException as error:
                        happened.append(type(error))
            return "at last"

        @get("/parts")
        def parts(self) -> Iterator[bytes]:
            with happened.note("ended"):
                yield b"first"
                green.sleep(3600)

        @get("/hang-later")
        def hang_later(self) -> str:
            scope().defer(green.sleep, 3600)
            happened.waiting += 1
            return "done"

    @tcp
    class Till:
        @opened
        def enter(self, connection: IConnection) -> None:
            if connection.address[0] == "stuck":
                with happened.note("enter"):
                    green.sleep(3600)

        @closed
        def leave(self) -> None:
            with happened.note("leave"):
                green.sleep(3600)

        @on("hang")
        def hang(self) -> str:
            with happened.note("gave back"):
                green.sleep(3600)
            return "never"

        @on("tell")
        def tell(self, connection: IConnection, times: int) -> str:
            with happened.note("told"):
                for number in range(times):
                    connection.send(number)
                    green.sleep(0.01)
            return "all"

        @on("quick")
        def quick(self) -> str:
            return "quick"

    @websocket("/chat")
    class Chat:
        @on("hang")
        def hang(self) -> str:
            with happened.note("gave back"):
                green.sleep(3600)
            return "never"

    @udp
    class Beacon:
        @on("hang")
        def hang(self) -> str:
            with happened.note("gave back"):
                green.sleep(3600)
            return "never"

    servers = {name: {"kind": kind, "handler_time": 30} for name, kind in (("web", "http"), ("till", "tcp"), ("beacon", "udp"))}
    return app_factory([Web, Till, Chat, Beacon], {"servers": servers})


def pass_seconds(app: App, seconds: float) -> None:
    """What happens when so much time has passed."""
    app.doors.runtime.overtime.look(monotonic() + seconds)


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def host(app: App, name: str = "web") -> StreamHost:
    found = app.doors.servers[name]
    assert isinstance(found, StreamHost)
    return found


# -- HTTP ----------------------------------------------------------------------------------------------------------


def test_http_answers_503_and_everything_comes_back(app: App, link: Links, happened: Log, caplog: pytest.LogCaptureFixture) -> None:
    web = link(app)
    web.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: happened.waiting)
    pass_seconds(app, 29)
    green.sleep(0.01)
    assert happened.waiting, "it has a second left"
    pass_seconds(app, 31)
    status, headers, body = web.response()
    assert (status, body, headers["Connection"]) == (503, b"the handler took too long\n", "close")
    assert happened == ["gave back", "deferred"]
    assert web.read_all() == b""
    (record,) = errors(caplog)
    assert record.exc_info is not None
    assert "in hang\n" in str(caplog.text), "the stack tells where it stood"
    assert "HandlerTimeout: the handler took over 30 seconds" in caplog.text


def test_a_body_that_has_begun_is_left_unfinished(app: App, link: Links, happened: Log) -> None:
    web = link(app)
    web.send(b"GET /parts HTTP/1.1\r\nHost: x\r\n\r\n")
    assert web.line() == b"HTTP/1.1 200 OK\r\n"
    wait_until(lambda: happened.waiting)
    pass_seconds(app, 31)
    rest = web.read_all()
    assert rest.endswith(b"5\r\nfirst\r\n"), "without the last chunk, which would say that this was all"
    assert happened == ["ended"]


def test_clean_up_that_hangs_is_stopped_as_well(app: App, link: Links, happened: Log, caplog: pytest.LogCaptureFixture) -> None:
    web = link(app)
    web.send(b"GET /hang-later HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: happened.waiting)
    pass_seconds(app, 31)
    assert web.response()[2] == b"done"
    wait_until(lambda: not app.doors.runtime.handlers.busy)
    assert "HandlerTimeout" in caplog.text


def test_a_client_that_leaves_does_not_save_its_handler(app: App, link: Links, happened: Log) -> None:
    web = link(app)
    web.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: happened.waiting)
    (connection,) = host(app).connections
    connection.shut()
    assert not host(app).connections
    pass_seconds(app, 31)
    wait_until(lambda: not happened.waiting)
    wait_until(lambda: not host(app).left)


# -- messages ------------------------------------------------------------------------------------------------------


def test_a_message_with_an_id_gets_an_error_and_the_ones_behind_it_are_handled(app: App, happened: Log) -> None:
    with MessageClient(app, "till") as till:
        till.send({"action": "hang", "id": 7})
        till.send({"action": "quick", "id": 8})
        wait_until(lambda: happened.waiting)
        pass_seconds(app, 31)
        assert till.receive() == {"id": 7, "error": {"code": 503, "message": "the handler took too long"}}
        assert till.receive() == {"id": 8, "result": "quick"}
        assert happened == ["gave back"]
        happened.clear()


def test_one_without_an_id_gets_an_error_too(app: App, happened: Log) -> None:
    with WebSocketClient(app, "/chat") as chat:
        chat.send({"action": "hang"})
        wait_until(lambda: happened.waiting)
        pass_seconds(app, 31)
        assert chat.receive() == {"error": {"code": 503, "message": "the handler took too long"}}


def test_what_it_sends_gives_it_time(app: App, happened: Log) -> None:
    with MessageClient(app, "till") as till:
        till.send({"action": "tell", "times": 20})
        wait_until(lambda: happened.waiting)
        (connection,) = host(app, "till").connections
        first = connection.began
        assert [till.receive() for _ in range(20)] == list(range(20))
        assert connection.began > first
        assert till.receive() == "all"


def test_an_opened_handler_that_hangs_closes_the_connection(app: App, happened: Log) -> None:
    with connect(app, "till", address=("stuck", 1)) as till:
        wait_until(lambda: happened.waiting)
        till.sendall(b'{"action":"quick"}\n')
        pass_seconds(app, 31)
        assert till.recv(100) == b""
    assert happened == ["enter"]


def test_a_closed_handler_that_hangs_is_stopped(app: App, happened: Log, caplog: pytest.LogCaptureFixture) -> None:
    with MessageClient(app, "till") as till:
        till.send({"action": "quick"})
        assert till.receive() == "quick"
    wait_until(lambda: happened.waiting)
    assert host(app, "till").left
    pass_seconds(app, 31)
    wait_until(lambda: happened == ["leave"])
    assert not host(app, "till").left
    assert len(errors(caplog)) == 1


def test_a_datagram_with_an_id_gets_an_error(app: App, happened: Log) -> None:
    with DatagramClient(app, "beacon") as beacon:
        beacon.send({"action": "hang", "id": 1})
        wait_until(lambda: happened.waiting)
        pass_seconds(app, 31)
        assert beacon.receive() == {"id": 1, "error": {"code": 503, "message": "the handler took too long"}}
        assert happened == ["gave back"]


# -- whose time it is ------------------------------------------------------------------------------------------------


def test_time_that_the_client_takes_is_not_the_handlers(app_factory: AppFactory, link: Links) -> None:
    @http
    class Web:
        @post("/sum")
        def sum(self, body: Body) -> int:
            return sum(map(len, body))

        @get("/much")
        def much(self) -> Iterator[bytes]:
            for _ in range(100):
                yield b"x" * 65536

    app = app_factory([Web], {"servers": {"web": {"kind": "http", "handler_time": 30}}})
    sends, reads = link(app), link(app)
    sends.send(b"POST /sum HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    reads.send(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: [connection._parked for connection in host(app).connections] == [True, True])
    pass_seconds(app, 1000)
    sends.send(b"0\r\n\r\n")
    assert sends.response()[2] == b"5"
    assert len(reads.response()[2]) == 100 * 65536


def test_zero_is_for_ever(app_factory: AppFactory, link: Links, happened: Log) -> None:
    @http
    class Web:
        @get("/wait")
        def wait(self) -> str:
            with happened.note("ended"):
                while happened.swallows:
                    green.sleep(0.01)
            return "waited"

    app = app_factory([Web], {"servers": {"web": {"kind": "http", "handler_time": 0}}})
    web = link(app)
    web.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: happened.waiting)
    pass_seconds(app, 1e9)
    happened.swallows = False
    assert web.response()[2] == b"waited"


# -- a handler that does not stop ----------------------------------------------------------------------------------


def test_one_that_goes_on_is_stopped_three_times_then_the_process_is_given_up(
    app: App, link: Links, happened: Log, caplog: pytest.LogCaptureFixture
) -> None:
    retired: list[str] = []
    app.doors.runtime.retire = retired.append
    web = link(app)
    web.send(b"GET /swallow HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: happened.waiting)
    for times in range(1, 4):
        pass_seconds(app, 31)
        wait_until(lambda times=times: len(happened) == times)  # type: ignore[misc]
    assert happened == [HandlerTimeout] * 3
    assert retired == []
    for _ in range(3):
        pass_seconds(app, 31)
        green.sleep(0.01)
    assert retired == ["a handler does not stop"]
    assert len(happened) == 3, "it is of no use"
    (record,) = errors(caplog)
    assert "a handler does not stop" in record.getMessage()
    assert "in app.<locals>.Web.swallow" in record.getMessage()
    happened.swallows = False
    app.doors.runtime.handlers.kill()
    assert web.response()[2] == b"at last"


def test_by_itself_giving_up_is_only_logged(app: App, caplog: pytest.LogCaptureFixture) -> None:
    app.doors.runtime.retire("a handler does not stop")
    assert "this process should be replaced: a handler does not stop" in caplog.text


def test_what_ended_meanwhile_is_not_stopped(app: App, happened: Log) -> None:
    """The error is thrown in the next turn of the loop; by then its message may be done and the next one at hand."""
    with MessageClient(app, "till") as till:
        till.send({"action": "tell", "times": 1, "id": 1})
        wait_until(lambda: happened.waiting)
        (connection,) = host(app, "till").connections
        pass_seconds(app, 31)
        connection.began += 1
        assert [till.receive(), till.receive()] == [0, {"id": 1, "result": "all"}]


class Stand:
    """Something that is worked for."""

    def __init__(self) -> None:
        self.handler: Any = None
        self.began = 0.0
        self.server = SimpleNamespace(handler_time=1)


def test_one_that_goes_on_and_sends_is_stopped_anew() -> None:
    """It swallows the error, and yet it gets on: the process need not be given up for that."""
    stopped: list[BaseException] = []
    given_up: list[str] = []
    pool: Any = SimpleNamespace(_apart=(), interrupt=lambda handler, error, still: stopped.append(error) if still() else None)
    overtime = Overtime(pool, given_up.append)
    stand = Stand()
    stand.handler = getcurrent()
    overtime.sources.append(lambda: [stand])
    for second in range(10):
        stand.began = second * 1e9
        overtime.look(second + 2)
    assert (len(stopped), given_up) == (10, [])
    for second in range(12, 20):
        overtime.look(second)
    assert (len(stopped), given_up) == (12, ["a handler does not stop"])


def test_handlers_that_stand_apart_are_left_alone(app: App) -> None:
    pool = app.doors.runtime.handlers
    done: list[str] = []

    def job(stand: Stand) -> None:
        stand.handler = getcurrent()
        with pool.apart():
            green.sleep(0.05)
        stand.handler = None
        done.append("by itself")

    stand = Stand()
    app.doors.runtime.overtime.sources.append(lambda: [stand])
    pool.start(job, stand)
    wait_until(lambda: pool.long_lived)
    pass_seconds(app, 1000)
    wait_until(lambda: not pool.busy)
    assert done == ["by itself"]


def test_the_clock_sees_to_it(app_factory: AppFactory, link: Links, happened: Log) -> None:
    """In real time, by the worker's own tick."""

    @http
    class Web:
        @get("/hang")
        def hang(self) -> str:
            with happened.note("gave back"):
                green.sleep(3600)
            return "never"

    app = app_factory([Web], {"servers": {"web": {"kind": "http", "handler_time": 0.3}}})
    web = link(app)
    began = monotonic()
    web.send(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    assert web.response()[0] == 503
    assert monotonic() - began > 0.3
