"""The guard that finds code which lets nobody else run."""

from __future__ import annotations

import hashlib
import logging
import pdb  # noqa: T100 - it is what is looked for
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import gevent
import pytest
from gevent import monkey
from gevent._hub_local import get_hub_if_exists

from greenimi import green
from greenimi.log import handlers
from greenimi.servers.watch.guard import Blocked, Guard
from greenimi.servers.watch.stacks import frames_of
from greenimi.testing.support import wait_until

native_sleep = monkey.get_original("time", "sleep")


class Sink:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, data: bytes) -> None:
        self.lines.append(data.decode())


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    """What the guard's thread logs."""
    sink = Sink()
    handler = handlers.SinkHandler(sink)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    others = [one for one in logging.getLogger().handlers if not isinstance(one, handlers.SinkHandler)]
    monkeypatch.setattr(logging.getLogger(), "handlers", [*others, handler])
    return sink


@pytest.fixture
def make(sink: Sink) -> Iterator[Callable[..., Guard]]:
    made: list[Guard] = []

    def start(*args: Any, **kwargs: Any) -> Guard:
        guard = Guard(*args, **kwargs)
        made.append(guard)
        guard.start()
        watch = guard._watch
        assert watch is not None
        first = watch._looked
        wait_until(lambda: watch._looked > first)  # the thread runs
        return guard

    yield start
    for guard in made:
        guard.stop()
    ended: list[int] = []
    green.poster()(lambda: ended.append(1))  # after all that the guards have posted
    wait_until(lambda: ended)


def in_a_greenlet(function: Callable[[], object]) -> None:
    gevent.spawn(function).get()


# -- what blocks -----------------------------------------------------------------------------------------------------
def sleeps() -> None:
    native_sleep(0.5)


def computes() -> None:
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        pass


def hashes() -> None:
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 2_000_000)


def matches() -> None:
    re.match("(a+)+$", "a" * 25 + "b")


def starts_timers() -> None:
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        with gevent.Timeout(5):  # sets the loop's clock
            pass


@pytest.mark.parametrize("block", [sleeps, computes, hashes, matches, starts_timers])
def test_what_lets_nobody_else_run_is_named(block: Callable[[], None], make: Callable[..., Guard], sink: Sink) -> None:
    told: list[Blocked] = []
    guard = make(0.1, on_blocked=told.append)
    began = time.time()
    in_a_greenlet(block)
    took = time.time() - began
    wait_until(lambda: told)
    (report,) = guard.reports
    assert told == [report]
    assert report.where.startswith(f"{__file__}:")
    assert report.where.endswith(f" in {block.__name__}")
    assert f"> {report.where}" in report.stack
    assert 0.1 <= report.seconds <= took + 0.1
    assert abs(report.when - began) < 1.0
    assert (guard.count, guard.seconds) == (1, report.seconds)
    assert "WARNING nothing else could run for " in sink.lines[0]
    assert f" so far: {report.where}" in sink.lines[0]
    assert f"> {report.where}" in sink.lines[0]
    assert sink.lines[1] == f"WARNING nothing else could run for {report.seconds:.2f} s: {report.where}\n"


def test_nothing_is_told_of_an_idle_loop(make: Callable[..., Guard]) -> None:
    guard = make(0.02)
    green.sleep(0.5)
    assert guard.count == 0


def test_nothing_is_told_of_a_busy_loop_that_switches(make: Callable[..., Guard]) -> None:
    guard = make(0.2)
    until = time.monotonic() + 1.0

    def work() -> None:
        while time.monotonic() < until:
            sum(range(1000))
            green.sleep(0)

    gevent.joinall([gevent.spawn(work) for _ in range(50)])
    assert guard.count == 0


def test_the_thread_of_the_loop_is_the_one_that_is_watched(make: Callable[..., Guard]) -> None:
    guard = make(0.05)
    done: list[int] = []

    def compute() -> None:
        native_sleep(0.3)
        done.append(1)

    green.native_thread_start(compute)
    wait_until(lambda: done)
    assert guard.count == 0


# -- what is told --------------------------------------------------------------------------------------------------
def test_before_it_is_fatal_an_error_tells_the_stack(make: Callable[..., Guard], sink: Sink) -> None:
    guard = make(0.02, fatal=0.2)
    in_a_greenlet(sleeps)
    wait_until(lambda: guard.seconds)
    errors = [line for line in sink.lines if line.startswith("ERROR")]
    assert len(errors) == 1
    assert "this process will be killed if that goes on: " in errors[0]
    assert "in sleeps: native_sleep(0.5)" in errors[0]
    assert guard.count == 1


def test_only_so_many_are_logged_a_minute(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Blocked] = []
    guard = Guard(on_blocked=told.append, per_minute=2)
    now = time.monotonic()
    monkeypatch.setattr("greenimi.servers.watch.guard.time.monotonic", lambda: now)  # the minute does not end
    report = Blocked(1.0, 0.1, "shop.py:1 in slow", "> shop.py:1 in slow")
    assert [guard.begun(report) for _ in range(5)] == [True, True, False, False, False]
    assert (guard.count, len(sink.lines)) == (5, 2)
    now += 60
    assert guard.begun(report)
    assert "(3 more times were not told)" in sink.lines[-1]
    guard.tell(report, logged=False)
    assert told == [report]
    assert len(sink.lines) == 3


def test_a_listener_that_fails_harms_nobody(make: Callable[..., Guard], caplog: pytest.LogCaptureFixture) -> None:
    def fail(report: Blocked) -> None:
        raise ValueError("what the listener said")

    guard = make(0.02, on_blocked=fail)
    in_a_greenlet(lambda: native_sleep(0.1))
    wait_until(lambda: "what the listener said" in caplog.text)
    in_a_greenlet(lambda: native_sleep(0.1))
    wait_until(lambda: guard.count == 2)
    assert len(guard.reports) == 2


def test_the_reports_are_bounded(sink: Sink) -> None:
    guard = Guard()
    for number in range(100):
        guard.begun(Blocked(float(number), 0.1, "", ""))
    assert [report.when for report in guard.reports] == [float(number) for number in range(50, 100)]


def test_without_a_handler_that_takes_no_lock_standard_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[int, bytes]] = []
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    monkeypatch.setattr("greenimi.servers.watch.guard.os.write", lambda fd, data: written.append((fd, data)))
    Guard().begun(Blocked(1.0, 0.25, "shop.py:1 in slow", "> shop.py:1 in slow"))
    assert written == [(2, b"nothing else could run for 0.25 s so far: shop.py:1 in slow\n> shop.py:1 in slow\n")]


def test_levels_are_kept(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("greenimi.servers.watch.guard"), "level", logging.ERROR)
    Guard().begun(Blocked(1.0, 0.25, "", ""))
    assert sink.lines == []


# -- debuggers -----------------------------------------------------------------------------------------------------
def test_the_prompt_of_a_debugger_is_no_standstill(make: Callable[..., Guard]) -> None:
    guard = make(0.02)

    class Terminal:
        """Somebody who thinks before he types, blocking the thread as a terminal does."""

        def readline(self) -> str:
            native_sleep(0.3)
            return "continue\n"

        def write(self, text: str) -> None: ...

        def flush(self) -> None: ...

    def debug() -> None:
        pdb.Pdb(stdin=Terminal(), stdout=Terminal(), nosigint=True, readrc=False).set_trace()  # type: ignore[arg-type]
        time.monotonic()

    in_a_greenlet(debug)
    assert guard.count == 0
    in_a_greenlet(lambda: native_sleep(0.1))
    wait_until(lambda: guard.count == 1)


# -- its life ------------------------------------------------------------------------------------------------------
def native_threads() -> int:
    return len(sys._current_frames())


def test_it_starts_one_thread_and_ends_it() -> None:
    before = native_threads()
    guard = Guard()
    guard.start()
    guard.start()
    wait_until(lambda: native_threads() == before + 1)
    guard.stop()
    guard.stop()
    wait_until(lambda: native_threads() == before)
    guard.start()
    wait_until(lambda: native_threads() == before + 1)
    guard.stop()


def test_zero_is_never() -> None:
    before = native_threads()
    guard = Guard(0)
    guard.start()
    assert native_threads() == before
    guard.stop()


def test_the_thread_uses_no_gevent(make: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub of its own would show that it waited for something patched."""
    monkeypatch.setattr(logging, "logThreads", False)  # as our logging has it
    hubs: list[bool] = []
    ident = monkey.get_original("_thread", "get_ident")
    main = ident()

    def see(report: Blocked) -> bool:
        hubs.append(ident() != main and get_hub_if_exists() is None)
        return begun(report)

    guard = make(0.02)
    begun = guard.begun
    monkeypatch.setattr(guard, "begun", see)
    in_a_greenlet(lambda: native_sleep(0.2))
    wait_until(lambda: hubs)
    assert hubs == [True]


def test_how_late_the_timer_of_the_loop_fires() -> None:
    guard = Guard()
    for now in (100.0, 101.0, 102.3, 103.0, 104.0):
        guard.tick(now)
    assert guard.lag == 0.0
    assert guard.lag_max == pytest.approx(0.3)
    guard.tick(108.5)
    assert guard.lag == guard.lag_max == pytest.approx(3.5)
    guard.tick(108.5)  # the loop catches up once
    guard.tick(109.5)
    assert guard.lag == 0.0


@pytest.mark.parametrize("hours", [1, -1])
def test_a_change_of_the_clock_is_no_standstill(hours: int, make: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch) -> None:
    guard = make()
    watch = guard._watch
    assert watch is not None
    guard.stop()
    real, now = time.time, time.monotonic()
    watch._looked = now - 1.0
    watch._loop = Mock()
    watch._loop.now.return_value = real() - 0.3
    assert watch._turned(now) == pytest.approx(now - 0.3, abs=0.1)
    monkeypatch.setattr("greenimi.servers.watch.guard.time.time", lambda: real() + hours * 3600)
    assert watch._turned(now) == now  # in the turn at hand
    watch._loop.now.return_value += hours * 3600
    assert watch._turned(now) == pytest.approx(now - 0.3, abs=0.1)  # in the next


def test_who_went_on_while_the_stack_was_taken_is_not_blamed(make: Callable[..., Guard], monkeypatch: pytest.MonkeyPatch) -> None:
    guard = make(0.02)
    taken: list[int] = []

    def slow(frame: Any) -> list[Any]:
        native_sleep(0.3)  # meanwhile the loop goes on
        taken.append(1)
        return frames_of(frame)

    monkeypatch.setattr("greenimi.servers.watch.guard.frames_of", slow)
    in_a_greenlet(lambda: native_sleep(0.15))
    wait_until(lambda: taken)
    assert guard.count == 0
