"""Threads that work for greenlets."""

from __future__ import annotations

import threading

import gevent
import pytest

from greenimi import green
from greenimi.pool.database.sqlite_thread import Worker
from greenimi.testing.support import wait_until


def end(worker: Worker) -> None:
    over: list[bool] = []
    worker.end(lambda: None, lambda: over.append(True))
    wait_until(lambda: over)


def test_it_is_a_thread_of_its_own_and_stays_the_same() -> None:
    worker = Worker(10.0)
    first = worker.call(threading.get_native_id)
    second = worker.call(threading.get_native_id)
    assert first == second
    assert first is not None
    assert first.result != threading.get_native_id()
    end(worker)


def test_what_it_raises_is_handed_over() -> None:
    worker = Worker(0.0)
    done = worker.call(int, "x")
    assert done is not None
    assert isinstance(done.error, ValueError)
    assert worker.call(int, "7") == (7, None)
    end(worker)


def test_others_go_on() -> None:
    worker = Worker(10.0)
    held = green.native_lock()
    held.acquire()
    waiting = green.spawn(worker.call, held.acquire)
    green.sleep(0.01)
    at_work = [worker.busy]
    held.release()
    assert waiting.get().result is True
    assert [*at_work, worker.busy] == [True, False]
    end(worker)


@pytest.mark.parametrize("how", ["kill", "time"])
def test_who_does_not_wait_any_more(how: str) -> None:
    """The thread ends what it is at before its last work."""
    worker = Worker(0.02 if how == "time" else 0.0)
    held = green.native_lock()
    held.acquire()
    order: list[str] = []

    def slow() -> None:
        held.acquire()
        order.append("done")

    waiting = green.spawn(worker.call, slow)
    green.sleep(0.01)
    if how == "kill":
        waiting.kill()
        assert isinstance(waiting.value, gevent.GreenletExit)
    else:
        assert waiting.get() is None
    assert worker.busy
    worker.end(lambda: order.append("last"), lambda: order.append("told"))
    green.sleep(0.01)
    assert order == []
    held.release()
    wait_until(lambda: "told" in order)
    assert order == ["done", "last", "told"]
