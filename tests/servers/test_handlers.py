"""The pool of handler greenlets."""

from __future__ import annotations

import gc
import weakref
from threading import Event

import pytest
from gevent import get_hub, getcurrent
from greenlet import GreenletExit

from greenimi import green
from greenimi.servers.handlers import HandlerPool
from greenimi.testing.support import wait_until


class Job:
    """Waits until it may end; says in which greenlet."""

    def __init__(self) -> None:
        self.gate = Event()
        self.greenlets: list[object] = []

    def __call__(self, argument: object) -> None:
        self.greenlets.append(getcurrent())
        self.gate.wait()


def start(pool: HandlerPool, job: object, argument: object = None) -> None:
    """As servers do: in the hub.  The job starts at the end of that turn."""
    get_hub().loop.run_callback(pool.start, job, argument)
    green.sleep(0)
    green.sleep(0)


def test_a_greenlet_is_used_again() -> None:
    pool, job = HandlerPool(), Job()
    job.gate.set()
    for number in range(5):
        start(pool, job, number)
    assert len(set(map(id, job.greenlets))) == 1
    assert (pool.size, pool.busy, pool.waiting) == (1, 0, 0)


def test_jobs_over_the_limit_wait_in_order() -> None:
    pool, job = HandlerPool(limit=1000), Job()
    order: list[int] = []

    def work(number: int) -> None:
        job(number)
        order.append(number)

    for number in range(1500):
        start(pool, work, number)
    wait_until(lambda: len(job.greenlets) == 1000)
    assert (pool.busy, pool.waiting, pool.full) == (1000, 500, True)
    job.gate.set()
    wait_until(lambda: len(order) == 1500)
    assert order[1000:] == list(range(1000, 1500))
    wait_until(lambda: pool.size <= 128)
    assert (pool.busy, pool.waiting, pool.full) == (0, 0, False)


def test_only_so_many_idle_greenlets_are_kept() -> None:
    pool, job = HandlerPool(keep=2), Job()
    for _ in range(5):
        start(pool, job)
    job.gate.set()
    wait_until(lambda: not pool.busy)
    assert pool.size == 2


def test_a_job_that_raises_is_logged_and_its_greenlet_retired(caplog: pytest.LogCaptureFixture) -> None:
    pool, job = HandlerPool(limit=1), Job()

    def fail(argument: object) -> None:
        job(argument)
        raise ValueError("what a job said")

    done: list[object] = []
    start(pool, fail)
    start(pool, done.append, "next")
    job.gate.set()
    wait_until(lambda: done)
    assert "what a job said" in caplog.text
    assert pool.size <= 1


def test_a_stopped_job_does_not_stop_those_that_wait(caplog: pytest.LogCaptureFixture) -> None:
    pool, job = HandlerPool(limit=1), Job()
    done: list[object] = []
    start(pool, job)
    start(pool, done.append, "next")
    get_hub().loop.run_callback(job.greenlets[0].throw, GreenletExit)  # type: ignore[attr-defined]
    wait_until(lambda: done)
    assert caplog.text == ""
    assert (pool.size, pool.busy) == (1, 0)


def test_somebody_is_told_when_a_greenlet_is_free() -> None:
    pool, job = HandlerPool(limit=1), Job()
    told: list[int] = []

    def tell() -> None:
        told.append(1)

    start(pool, job)
    pool.when_free(tell)
    pool.when_free(tell)
    assert pool.full
    job.gate.set()
    wait_until(lambda: told)
    assert told == [1]


def test_somebody_is_told_when_a_job_was_stopped() -> None:
    pool, job = HandlerPool(limit=1), Job()
    told: list[int] = []
    start(pool, job)
    pool.when_free(lambda: told.append(1))
    get_hub().loop.run_callback(job.greenlets[0].throw, GreenletExit)  # type: ignore[attr-defined]
    wait_until(lambda: told)
    assert not pool.full


class Thing:
    """Can be watched."""


def test_an_idle_greenlet_keeps_nothing_of_its_last_job() -> None:
    pool = HandlerPool()
    start(pool, id, "first")  # the first job's argument is another matter
    thing = Thing()
    watch = weakref.ref(thing)
    start(pool, id, thing)
    del thing
    gc.collect()
    assert watch() is None


def test_an_idle_greenlet_keeps_nothing_of_its_first_job() -> None:
    pool = HandlerPool()
    thing = Thing()
    watch = weakref.ref(thing)
    start(pool, id, thing)
    del thing
    start(pool, id, "second")
    gc.collect()
    assert watch() is None


def test_a_closed_pool_ends_its_idle_greenlets() -> None:
    pool, job = HandlerPool(), Job()
    job.gate.set()
    start(pool, job)
    watch = weakref.ref(job.greenlets.pop())
    pool.close()
    green.sleep(0)
    gc.collect()
    assert watch() is None
    assert pool.size == 0


def test_one_greenlet_takes_all_the_jobs_of_a_turn_until_one_waits() -> None:
    pool, quick, slow = HandlerPool(), Job(), Job()
    quick.gate.set()

    def turn() -> None:
        for number in range(3):
            pool.start(quick, number)
        pool.start(slow, 3)
        pool.start(quick, 4)

    get_hub().loop.run_callback(turn)
    wait_until(lambda: len(quick.greenlets) == 4 and slow.greenlets)
    assert len({id(greenlet) for greenlet in [*quick.greenlets[:3], *slow.greenlets]}) == 1
    assert quick.greenlets[3] is not slow.greenlets[0]
    slow.gate.set()
    wait_until(lambda: not pool.busy)
