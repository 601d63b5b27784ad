"""``max_time``: answers in time, and no handler left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import gevent
import pytest

from greenimi import bean, get, http, on, tcp, websocket
from greenimi.app import App
from greenimi.errors import HandlerTimeout
from greenimi.message import Message
from greenimi.servers.handlers import HandlerPool
from greenimi.servers.timelimit import TimeLimit, TimeLimits
from greenimi.testing.clients import HttpClient, MessageClient, RequestFailed, WebSocketClient
from greenimi.testing.plugin import AppFactory
from greenimi.testing.support import wait_until


@bean
@dataclass
class Work:
    gate: Event = field(default_factory=Event)
    happened: list[str] = field(default_factory=list)

    def wait(self, what: str) -> str:
        try:
            self.gate.wait()
        except BaseException as error:
            self.happened.append(f"{what} {type(error).__name__}")
            raise
        return what


class Doors:
    def __init__(self, work: Work) -> None:
        self.work = work


@http
class Web(Doors):
    @get("/slow")
    def slow(self) -> str:
        return self.work.wait("slow")

    @get("/stubborn")
    def stubborn(self) -> str:
        try:
            self.work.wait("first")
        except Exception:
            return "swallowed"
        return "never"

    @get("/long", max_time=60)
    def long(self) -> str:
        return self.work.wait("long")

    @get("/quick")
    def quick(self) -> str:
        return "quick"

    @get("/stream")
    def stream(self) -> Iterator[str]:
        yield "begun"
        yield self.work.wait("stream")


@websocket("/chat")
class Chat(Doors):
    @on("slow")
    def slow(self) -> str:
        return self.work.wait("chat")


@tcp
class Till(Doors):
    @on("slow")
    def slow(self) -> str:
        return self.work.wait("till")


@pytest.fixture
def app(app_factory: AppFactory) -> Iterator[App]:
    made = app_factory(
        [Work, Web, Chat, Till], {"servers": {"web": {"kind": "http", "max_time": 0.1}, "till": {"kind": "tcp", "max_time": 0.1}}}
    )
    yield made
    made.container.get(Work).gate.set()


@pytest.fixture
def work(app: App) -> Work:
    return app.container.get(Work)


def test_an_answer_in_time_and_the_work_stopped(app: App, work: Work, caplog: pytest.LogCaptureFixture) -> None:
    with HttpClient(app) as web:
        late = web.get("/slow")
        assert (late.status, late.json()["detail"]) == (503, "the handler took too long")
        assert work.happened == ["slow HandlerTimeout"]
        assert "the handler took over 0.1 seconds" in caplog.text  # where it stood, for whoever has to find out why
        assert web.get("/quick").text == "quick"  # on the same connection
    assert app.doors.runtime.handlers.busy == 0


def test_catching_every_exception_does_not_help(app: App) -> None:
    with HttpClient(app) as web:
        assert web.get("/stubborn").status == 503


def test_a_route_with_a_time_of_its_own(app: App, work: Work) -> None:
    with HttpClient(app) as web, HttpClient(app) as other:
        long = gevent.spawn(web.get, "/long")
        assert other.get("/slow").status == 503
        work.gate.set()
        assert long.get(timeout=5).text == "long"


def test_what_is_sent_as_it_comes_is_not_counted(app: App, work: Work) -> None:
    with HttpClient(app) as web, HttpClient(app) as other:
        stream = iter(web.stream("GET", "/stream"))
        assert next(stream) == b"begun"
        assert other.get("/slow").status == 503
        work.gate.set()
        assert b"".join(stream) == b"stream"


def test_messages_as_well(app: App, work: Work) -> None:
    with WebSocketClient(app, "/chat") as chat, MessageClient(app, "till") as till:
        for client in (chat, till):
            with pytest.raises(RequestFailed) as caught:
                client.request("slow")
            assert caught.value.status == 503
    assert work.happened == ["chat HandlerTimeout", "till HandlerTimeout"]


# -- the layer alone -----------------------------------------------------------------------------------------------


def in_pool(pool: HandlerPool, limit: TimeLimit, proceed: Any) -> list[Any]:
    """What the layer gave or raised, in the pool's greenlet; empty until then."""
    found: list[Any] = []

    def job(message: Message) -> None:
        try:
            found.append(limit(message, proceed))
        except BaseException as error:
            found.append(error)

    pool.start(job, Message(b""))
    return found


def test_the_timeout_of_somebody_else_passes() -> None:
    def raises(message: Message) -> None:
        raise HandlerTimeout("handler_time")

    pool = HandlerPool()
    found = in_pool(pool, TimeLimit(10, pool), raises)
    wait_until(lambda: bool(found))
    assert type(found[0]) is HandlerTimeout


def test_who_stands_apart_lives_as_long_as_it_likes() -> None:
    pool = HandlerPool()
    limit = TimeLimit(0.02, pool)
    gate = Event()

    def lives(message: Message) -> str:
        with pool.apart():
            gate.wait()
        return "lived"

    found = in_pool(pool, limit, lives)
    late = in_pool(pool, limit, lambda message: gevent.sleep(100))
    wait_until(lambda: bool(late))  # it came later, so the time of the other is over, too
    assert found == []
    gate.set()
    wait_until(lambda: bool(found))
    assert found == ["lived"]


def test_who_is_done_is_not_stopped_in_the_next_job() -> None:
    pool = HandlerPool()
    limit = TimeLimit(0.02, pool)
    first = in_pool(pool, limit, lambda message: "done")
    wait_until(lambda: bool(first))
    second = in_pool(pool, TimeLimit(100, pool), lambda message: gevent.sleep(0.06))
    wait_until(lambda: bool(second))
    assert (first, second) == (["done"], [None])
    assert limit._timer is None  # nobody is at it, so no timer is


def test_one_limit_for_each_length_of_time() -> None:
    limits = TimeLimits(HandlerPool())
    assert limits.layers(0) == []
    assert limits.layers(2.0) == limits.layers(2)
    assert limits.layers(2) != limits.layers(3)
