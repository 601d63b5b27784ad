"""Event streams as clients hear them: at once, with signs of life, and no longer than somebody listens."""

from __future__ import annotations

import queue
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenimi import Request, Response, bean, get, http, view
from greenimi.app import App
from greenimi.errors import ConnectionClosed, Overloaded
from greenimi.servers.http import HttpServer
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.testing.support import wait_until
from greenimi.web.sse import Event, EventStream, last_event_id
from tests.servers.conftest import Link

Links = Callable[..., Link]


@bean
@dataclass
class Board:
    """What is told, and how the streams ended."""

    news: queue.Queue[Any] = field(default_factory=queue.Queue)
    ends: list[str] = field(default_factory=list)
    stubborn: bool = False
    cleaning: queue.Queue[Any] = field(default_factory=queue.Queue)


@http
@dataclass
class Paper:
    board: Board

    @get("/news")
    def news(self, request: Request) -> Response:
        return EventStream(self._told(last_event_id(request)))

    @get("/quick")
    def quick(self) -> Response:
        return EventStream(self._told(""), heartbeat=1, retry=5)

    @get("/silent")
    def silent(self) -> Response:
        return EventStream(self._told(""), heartbeat=0)

    @get("/short")
    @view("events")
    def short(self) -> Iterator[Any]:
        yield {"n": 1}
        yield Event("two", event="last")

    @get("/cleaned")
    def cleaned(self) -> Response:
        def events() -> Iterator[str]:
            try:
                yield "begun"
                self.board.news.get()
            finally:
                self.board.ends.append("cleaning")
                self.board.ends.append(self.board.cleaning.get())

        return EventStream(events())

    @get("/broken")
    def broken(self) -> Response:
        def events() -> Iterator[str]:
            yield "one"
            raise RuntimeError("in the middle")

        return EventStream(events())

    @get("/hello")
    def hello(self) -> str:
        return "hello"

    def _told(self, last: str) -> Iterator[Any]:
        try:
            if last:
                yield Event(f"after {last}")
            while True:
                try:
                    yield self.board.news.get()
                except ConnectionClosed as error:
                    if not self.board.stubborn:
                        self.board.ends.append(str(error))
                        raise
        finally:
            self.board.ends.append("ended")


@pytest.fixture
def make(app_factory: AppFactory) -> Callable[..., App]:
    def build(handlers: int = 1000, **web: Any) -> App:
        return app_factory([Board, Paper], {"servers": {"web": {"kind": "http", **web}}, "workers": {"handlers": handlers}})

    return build


@pytest.fixture
def app(make: Callable[..., App]) -> App:
    return make()


def server_of(app: App) -> HttpServer:
    found = app.doors.servers["web"]
    assert isinstance(found, HttpServer)
    return found


def ask(path: str, *fields: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: x", *fields, "", "")).encode()


def client_is_answered(app: App) -> bool:
    """Whatever was to happen in the turns of the loop before it has happened."""
    with HttpClient(app) as client:
        return client.get("/hello").text == "hello"


def chunk(link: Link) -> bytes:
    """The next chunk of a body; ``b""`` is the last."""
    size = int(link.line(), 16)
    data = link.read(size)
    assert link.line() == b"\r\n"
    return data


def begin(link: Link, path: str = "/news", *fields: str) -> bytes:
    """Ask for a stream: its head."""
    link.send(ask(path, *fields))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += link.line()
    return head


def test_each_event_arrives_when_it_is_told(app: App, link: Links) -> None:
    board = app.container.get(Board)
    web = link(app)
    head = begin(web)
    assert b"Content-Type: text/event-stream\r\n" in head
    assert b"Cache-Control: no-cache\r\n" in head
    assert b"Transfer-Encoding: chunked\r\n" in head
    assert chunk(web) == b":\n\n"
    for number in range(3):
        board.news.put(Event(number, id=str(number)))
        assert chunk(web) == b"id: %d\ndata: %d\n\n" % (number, number)


def test_a_stream_that_ends_leaves_its_connection_to_others(app: App) -> None:
    with HttpClient(app) as client:
        for _ in range(2):
            found = client.get("/short")
            assert (found.headers["content-type"], found.text) == ("text/event-stream", ':\n\ndata: {"n":1}\n\nevent: last\ndata: two\n\n')
        assert client.get("/hello").text == "hello"
        assert len(server_of(app).connections) == 1
    assert len(server_of(app).live) == 0


def test_head_makes_no_events(app: App) -> None:
    with HttpClient(app) as client:
        assert client.request("HEAD", "/news").headers["content-type"] == "text/event-stream"
        assert client.get("/hello").text == "hello"
    assert app.container.get(Board).ends == []


def test_a_client_that_comes_again_says_what_it_had(app: App, link: Links) -> None:
    web = link(app)
    begin(web, "/news", "Last-Event-ID: 41")
    assert [chunk(web), chunk(web)] == [b":\n\n", b"data: after 41\n\n"]


# -- leaving -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rudely", [False, True])
def test_a_handler_ends_when_its_client_leaves(no_leaks: None, app: App, link: Links, rudely: bool) -> None:
    board = app.container.get(Board)
    web = link(app)
    begin(web, "/silent")
    chunk(web)
    wait_until(lambda: server_of(app).live)
    if rudely:
        web.send(b"x" * 10)
    web.close()
    wait_until(lambda: board.ends == ["the client left", "ended"])
    wait_until(lambda: not app.doors.runtime.handlers.busy)
    assert len(server_of(app).live) == 0
    assert not server_of(app).connections


def test_cleaning_up_is_not_interrupted(app: App, link: Links) -> None:
    board = app.container.get(Board)
    web = link(app)
    begin(web, "/cleaned")
    assert [chunk(web), chunk(web)] == [b":\n\n", b"data: begun\n\n"]
    web.close()
    wait_until(lambda: board.ends == ["cleaning"])
    (stream,) = server_of(app).live._streams
    stream.depart()  # nor told to end a second time
    stream.tick(1e12)
    assert client_is_answered(app)
    board.cleaning.put("cleaned")
    wait_until(lambda: board.ends == ["cleaning", "cleaned"])


def test_a_handler_that_will_not_end_has_the_time_of_any_handler(app: App, link: Links) -> None:
    board = app.container.get(Board)
    board.stubborn = True
    handlers = app.doors.runtime.handlers
    web = link(app)
    begin(web)
    chunk(web)
    wait_until(lambda: handlers.long_lived == 1)
    web.close()
    wait_until(lambda: not server_of(app).connections)
    wait_until(lambda: handlers.long_lived == 0)
    assert handlers.busy == 1
    app.doors.runtime.overtime.look(1e12)  # its time is over
    wait_until(lambda: board.ends == ["ended"])


def test_an_error_in_the_middle_leaves_the_stream_unfinished(app: App, link: Links) -> None:
    web = link(app)
    begin(web, "/broken")
    assert web.read_all() == b"3\r\n:\n\n\r\nb\r\ndata: one\n\n\r\n"


# -- signs of life -------------------------------------------------------------------------------------------------
def test_a_silent_stream_says_that_it_lives(make: Callable[..., App], link: Links) -> None:
    app = make(heartbeat=15)
    live = server_of(app).live
    web, quick, silent = link(app), link(app), link(app)
    for each, path in ((web, "/news"), (quick, "/quick"), (silent, "/silent")):
        begin(each, path)
    assert [chunk(web), chunk(quick), chunk(silent)] == [b":\n\n", b"retry: 5000\n\n", b":\n\n"]
    (since,) = {round(stream._silent_since or 0) for stream in live._streams if stream._heartbeat == 15}
    live.tick(since + 5)  # too early for all but one
    assert chunk(quick) == b":\n\n"
    live.tick(since + 20)
    assert [chunk(web), chunk(quick)] == [b":\n\n", b":\n\n"]
    live.tick(since + 21)
    assert chunk(quick) == b":\n\n"
    app.container.get(Board).news.put("now")
    assert b"data: now\n\n" in (chunk(each) for each in (web, quick, silent))  # nothing had come before that on any


def test_a_client_that_does_not_read_is_not_sent_more(app: App, link: Links) -> None:
    board = app.container.get(Board)
    web = link(app)
    begin(web)
    chunk(web)
    for _ in range(100):
        board.news.put("x" * 100_000)
    wait_until(lambda: any(connection._outbox is not None and connection._parked for connection in server_of(app).connections))
    (stream,) = server_of(app).live._streams
    assert stream._silent_since is None
    stream.tick(1e12)
    assert [chunk(web) for _ in range(100)] == [b"data: %b\n\n" % (b"x" * 100_000)] * 100


def test_a_client_that_acknowledges_nothing_is_given_up(app: App, link: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    web = link(app)
    begin(web)
    chunk(web)
    server = server_of(app)
    wait_until(lambda: server.live)
    (stream,) = server.live._streams
    (connection,) = server.connections
    paces = []
    for waiting in (0, 1000):
        monkeypatch.setattr("greenimi.servers.outbox.unsent", lambda descriptor, waiting=waiting: waiting)
        stream._silent_since = 0.0
        stream.tick(1e12)
        paces.append(connection._outgoing)
    assert [pace is None for pace in paces] == [True, False]
    connection.look(1e12)
    wait_until(lambda: app.container.get(Board).ends == ["the client left", "ended"])


# -- many ----------------------------------------------------------------------------------------------------------
def test_streams_do_not_take_the_places_of_handlers(make: Callable[..., App], link: Links) -> None:
    app = make(handlers=2)
    links = [link(app) for _ in range(10)]
    for each in links:
        begin(each)
        chunk(each)
    wait_until(lambda: app.doors.runtime.handlers.long_lived == 10)
    with HttpClient(app) as client:
        assert client.get("/hello").text == "hello"


def test_too_many_streams_are_refused(app: App, link: Links) -> None:
    app.doors.runtime.handlers._long_lived = 1
    web = link(app)
    begin(web)
    with HttpClient(app) as client:
        assert client.get("/news").status == Overloaded.status == 503
        assert client.get("/hello").text == "hello"


# -- the server stops ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("path", "last"), [("/news", b"retry: 1000\n\n"), ("/quick", b"")])
def test_a_farewell_ends_streams_with_a_hint(no_leaks: None, app: App, link: Links, path: str, last: bytes) -> None:
    web = link(app)
    begin(web, path)
    chunk(web)
    wait_until(lambda: server_of(app).live)
    app.doors.drain()
    app.doors.farewell(1001, 0)
    if last:
        assert chunk(web) == last
    assert web.read_all() == b"0\r\n\r\n"
    assert app.container.get(Board).ends == ["the server stops", "ended"]
    assert app.doors.finish(5)


def test_stopping_ends_streams_in_any_case(app: App, link: Links) -> None:
    web = link(app)
    begin(web)
    chunk(web)
    wait_until(lambda: server_of(app).live)
    app.stop()
    assert app.container.get(Board).ends[-1] == "ended"


@pytest.mark.live
def test_curl_hears_events_at_once(serve: Serve, tmp_path: Path) -> None:
    app, addresses = serve([Board, Paper])
    board = app.container.get(Board)
    host, port = addresses["web"]
    heard = tmp_path / "heard"
    curl = shutil.which("curl")
    assert curl is not None
    with heard.open("wb") as out:
        process = subprocess.Popen([curl, "-sN", "--max-time", "30", f"http://{host}:{port}/news"], stdout=out)
    try:
        for number in range(3):
            board.news.put(number)
            wait_until(lambda number=number: heard.read_bytes().endswith(b"data: %d\n\n" % number))  # type: ignore[misc]
    finally:
        process.terminate()
        process.wait(10)
    wait_until(lambda: board.ends == ["the client left", "ended"])
