"""What the servers of a worker share."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from gevent import get_hub, monkey

from greenimi import green
from greenimi.hub.ids import SLOTS, first_number, process_of, slot_of
from greenimi.servers import runtime as module
from greenimi.servers.runtime import Runtime
from greenimi.servers.stream import StreamConnection
from greenimi.testing.support import wait_until

original_sleep = monkey.get_original("time", "sleep")


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime(2)
    yield made
    made.stop()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which tests set; its first item is now."""
    now = [1000.0]

    class Time:
        monotonic = time = staticmethod(lambda: now[0])

    monkeypatch.setattr(module, "time", Time)
    return now


class Writer:
    """A connection that wants to send."""

    def __init__(self, error: Exception | None = None) -> None:
        self.waits_for_flush = True
        self.error = error
        self.done: list[str] = []

    def flush(self) -> None:
        self.waits_for_flush = False
        self.done.append("flush")
        if self.error:
            raise self.error

    def shut(self) -> None:
        self.done.append("shut")


def writer(error: Exception | None = None) -> Any:
    return cast(StreamConnection, Writer(error))


# -- the clock -----------------------------------------------------------------------------------------------------


def test_the_clock_moves_with_the_tick(clock: list[float]) -> None:
    runtime = Runtime()
    clock[0] += 5
    assert runtime.now == 1000
    runtime._tick()
    assert runtime.now == 1005
    assert b"00:16:45 GMT" in runtime.heads.start(200, "")


def test_periodic_calls_are_told_the_time_and_one_that_fails_stops_no_other(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    runtime = Runtime()
    told: list[float] = []
    runtime.each_second += [told.append, lambda now: 1 / 0, told.append]  # type: ignore[list-item]
    runtime._tick()
    assert told == [1000, 1000]
    assert "a periodic call failed" in caplog.text


def test_it_ticks_by_itself_from_start_to_stop(runtime: Runtime) -> None:
    told: list[float] = []
    runtime.each_second.append(told.append)
    runtime.start()
    timer = runtime._timer
    runtime.start()
    assert runtime._timer is timer
    wait_until(lambda: told)
    runtime.stop()
    assert runtime._timer is None
    assert not timer.active
    runtime.stop()


def test_a_number_tells_its_process_and_is_given_once() -> None:
    runtime = Runtime()
    numbers = [runtime.next_number() for _ in range(10)]
    assert len(set(numbers)) == 10
    assert {process_of(number) for number in numbers} == {runtime.hub.process}


def test_a_number_that_is_still_in_use_is_passed_over() -> None:
    runtime = Runtime()
    first = runtime.next_number()
    runtime._count = SLOTS - 1
    runtime.hub.connections[first_number(runtime.hub.process)] = runtime.hub.connections[first] = object()  # type: ignore[assignment]
    assert slot_of(runtime.next_number()) == slot_of(first) + 1


def begin(runtime: Runtime, job: Callable[[Any], object], argument: Any = None) -> None:
    """As the hub does it."""
    get_hub().loop.run_callback(runtime.handlers.start, job, argument)


# -- finishing -----------------------------------------------------------------------------------------------------


def test_finish_waits_for_what_is_handled_and_for_what_waits(runtime: Runtime) -> None:
    gate = green.Event()
    ended: list[int] = []
    calls: list[int] = []

    def job(number: int) -> None:
        gate.wait()
        ended.append(number)

    for number in range(5):
        begin(runtime, job, number)
    wait_until(lambda: (runtime.handlers.busy, runtime.handlers.waiting) == (2, 3))

    def meanwhile() -> None:
        calls.append(len(ended))
        if len(calls) == 3:
            gate.set()

    assert runtime.finish(30, meanwhile)
    assert sorted(ended) == list(range(5))
    assert calls[:3] == [0, 0, 0]


def test_finish_gives_up_after_its_time(runtime: Runtime) -> None:
    gate = green.Event()
    begin(runtime, lambda _: gate.wait())
    assert not runtime.finish(0.02)
    gate.set()
    assert runtime.finish(30)


def test_a_message_on_its_way_is_waited_for(runtime: Runtime) -> None:
    """Nothing is handled when it begins to wait, but something comes a moment later."""
    ended: list[int] = []

    def job(number: int) -> None:
        green.sleep(0.02)
        ended.append(number)

    begin(runtime, job, 1)
    assert runtime.finish(30)
    assert ended == [1]


# -- sending -------------------------------------------------------------------------------------------------------


def test_all_are_flushed_at_the_end_of_the_turn(runtime: Runtime) -> None:
    one, two = writer(), writer()
    runtime.flush_later(one)
    runtime.flush_later(two)
    assert (one.done, two.done) == ([], [])
    green.sleep(0)
    assert (one.done, two.done) == (["flush"], ["flush"])
    runtime.flush_later(two)
    wait_until(lambda: not runtime._unflushed)
    assert two.done == ["flush"], "somebody flushed it meanwhile"


def test_flush_now_does_not_wait_for_the_turn(runtime: Runtime) -> None:
    one = writer()
    runtime.flush_later(one)
    runtime.flush_now()
    assert one.done == ["flush"]
    green.sleep(0)
    assert one.done == ["flush"]


def test_one_that_cannot_be_flushed_is_closed_and_the_others_are_flushed(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    bad, good = writer(RuntimeError("broken")), writer()
    runtime.flush_later(bad)
    runtime.flush_later(good)
    runtime.flush_now()
    assert (bad.done, good.done) == (["flush", "shut"], ["flush"])
    assert "cannot be served any more" in caplog.text


class Wanting:
    """Sends slowly."""

    def __init__(self, sent: list[Any]) -> None:
        self.waits_for_flush = True
        self._sent = sent

    def flush(self) -> None:
        self.waits_for_flush = False
        original_sleep(0.001)
        self._sent.append(self)


def test_who_waits_for_the_loop_has_a_turn_while_a_message_goes_out_to_many(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLICE", 0.002)
    sent: list[Any] = []
    turns: list[int] = []
    ours, theirs = socket.socketpair()
    watcher = get_hub().loop.io(ours.fileno(), 2)  # always ready
    watcher.start(lambda: turns.append(len(sent)))
    connections: list[Any] = [Wanting(sent) for _ in range(200)]
    for connection in connections:
        runtime.flush_later(connection)
    wait_until(lambda: len(sent) == 200)
    watcher.stop()
    watcher.close()
    ours.close()
    theirs.close()
    assert sent == connections
    assert len({count for count in turns if 0 < count < 200}) >= 4
