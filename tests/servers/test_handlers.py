"""The pool of handler greenlets."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import gevent
import pytest
from gevent import get_hub, getcurrent
from greenlet import GreenletExit, greenlet

from greenimi import green
from greenimi.errors import HandlerTimeout, Overloaded
from greenimi.servers.handlers import HandlerPool
from greenimi.testing.support import wait_until


class Job:
    """Waits until it may end; says in which greenlet, but does not hold it."""

    def __init__(self) -> None:
        self.gate = Event()
        self.greenlets: list[weakref.ref[greenlet]] = []

    def __call__(self, argument: object) -> None:
        self.greenlets.append(weakref.ref(getcurrent()))
        self.gate.wait()

    def greenlet(self, number: int = 0) -> greenlet:
        found = self.greenlets[number]()
        assert found is not None
        return found


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
    assert len(set(job.greenlets)) == 1
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


def test_several_arguments_at_once_are_several_jobs() -> None:
    pool = HandlerPool(limit=3)
    gate = Event()
    order: list[int] = []

    def work(number: int) -> None:
        order.append(number)
        gate.wait()

    get_hub().loop.run_callback(pool.start_each, work, range(5))
    get_hub().loop.run_callback(pool.start_each, work, ())
    wait_until(lambda: len(order) == 3)
    assert (pool.busy, pool.waiting, pool.room) == (3, 2, -2)
    gate.set()
    wait_until(lambda: not pool.busy)
    assert (order, pool.room) == (list(range(5)), 3)


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
    get_hub().loop.run_callback(job.greenlet().throw, GreenletExit)
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
    get_hub().loop.run_callback(job.greenlet().throw, GreenletExit)
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


def greenlets() -> int:
    gc.collect()
    return sum(type(thing) is greenlet for thing in gc.get_objects())


def test_a_closed_pool_ends_its_idle_greenlets() -> None:
    before = greenlets()
    pool, job = HandlerPool(), Job()
    job.gate.set()
    start(pool, job)
    watch = job.greenlets[0]
    pool.close()
    green.sleep(0)
    assert greenlets() == before
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
    assert len({*quick.greenlets[:3], *slow.greenlets}) == 1
    assert quick.greenlets[3] != slow.greenlets[0]
    slow.gate.set()
    wait_until(lambda: not pool.busy)


# -- no job feels another ------------------------------------------------------------------------------------------
store = threading.local()


def pending_timeout() -> None:
    gevent.Timeout(0.01).start()


def kept_reference() -> None:
    kept.append(getcurrent())


def thread_local() -> None:
    store.x = 1


def attribute() -> None:
    getcurrent().user = "first"


kept: list[greenlet] = []


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    yield
    kept.clear()


def waiting_a_little(job: Callable[[], None]) -> Callable[[], None]:
    def work() -> None:
        green.sleep(0)
        job()
        green.sleep(0)

    return work


@pytest.mark.parametrize("dirty", [pending_timeout, kept_reference, thread_local, attribute])
@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("one_turn", [False, True])
def test_what_a_job_leaves_behind_retires_its_greenlet(dirty: Callable[[], None], waits: bool, one_turn: bool) -> None:
    pool = HandlerPool(limit=1)
    ended, seen = [], []
    first = waiting_a_little(dirty) if waits else dirty

    def leave(_: object) -> None:
        first()
        ended.append(weakref.ref(getcurrent()))

    def look(_: object) -> None:
        seen.append((getcurrent() is ended[0](), getattr(store, "x", None), getattr(getcurrent(), "user", None)))

    def turn() -> None:
        pool.start(leave, None)
        if one_turn:
            pool.start(look, None)

    get_hub().loop.run_callback(turn)
    wait_until(lambda: ended)
    if not one_turn:
        start(pool, look)
    wait_until(lambda: seen)
    assert seen == [(False, None, None)]


def test_a_forgotten_timeout_hits_no_other_job(caplog: pytest.LogCaptureFixture) -> None:
    pool, ends = HandlerPool(limit=1), []

    def next_job(_: object) -> None:
        wait_until(lambda: "Timeout" in caplog.text)
        ends.append(1)

    start(pool, lambda _: pending_timeout())
    start(pool, next_job)
    wait_until(lambda: ends)
    assert "came after the handler it was meant for had ended" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("end", [GreenletExit(), ValueError("late")])
def test_a_late_kill_hits_no_other_job(end: BaseException) -> None:
    pool, after = HandlerPool(limit=1), Job()
    ends: list[int] = []

    def next_job(argument: object) -> None:
        after(argument)
        ends.append(1)

    start(pool, lambda _: kept_reference())
    start(pool, next_job)
    gevent.kill(kept[0], end)
    green.sleep(0)
    green.sleep(0)
    after.gate.set()
    wait_until(lambda: not pool.busy)
    assert ends == [1]


def test_a_kill_in_time_ends_its_job_only() -> None:
    pool, job, after = HandlerPool(limit=1), Job(), Job()
    after.gate.set()
    start(pool, job)
    start(pool, after)
    gevent.kill(job.greenlet())
    wait_until(lambda: after.greenlets)
    assert after.greenlets[0] != job.greenlets[0]


def closed_timeout() -> None:
    with gevent.Timeout(10):
        green.sleep(0)


def caught_timeout() -> None:
    with gevent.Timeout(0.001, False):
        green.Event().wait()


def caught_error() -> None:
    try:
        raise ValueError
    except ValueError:
        pass


def lock_with_timeout() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=0.001)


@pytest.mark.parametrize("tidy", [closed_timeout, caught_timeout, caught_error, lock_with_timeout, threading.current_thread])
def test_a_tidy_job_leaves_its_greenlet_to_the_next(tidy: Callable[[], object]) -> None:
    pool = HandlerPool()
    seen = []

    def job(_: object) -> None:
        seen.append(id(getcurrent()))
        tidy()

    for number in range(1, 5):
        start(pool, job)
        wait_until(lambda number=number: len(seen) == number and not pool.busy)  # type: ignore[misc]
    assert pool.size == 1
    assert len(set(seen)) == 1


# -- overload --------------------------------------------------------------------------------------------------------
def test_a_pool_is_overloaded_while_so_many_wait() -> None:
    pool, job = HandlerPool(limit=1, queue=2), Job()
    steps = []
    for _ in range(4):
        start(pool, job)
        steps.append(pool.overloaded)
    assert steps == [False, False, True, True]
    job.gate.set()
    wait_until(lambda: len(job.greenlets) == 4)
    wait_until(lambda: not pool.overloaded)


def test_a_burst_of_quick_jobs_is_no_overload() -> None:
    pool = HandlerPool(limit=1, queue=2)
    seen: list[bool] = []

    def turn() -> None:
        for _ in range(5):
            pool.start(lambda _: seen.append(pool.overloaded), None)

    get_hub().loop.run_callback(turn)
    wait_until(lambda: len(seen) == 5)
    assert not any(seen)
    assert not pool.overloaded


def test_forgotten_jobs_are_no_overload() -> None:
    pool, job = HandlerPool(limit=1, queue=0), Job()
    steps = []
    for _ in range(2):
        start(pool, job)
        steps.append(pool.overloaded)
    pool.kill()
    assert [*steps, pool.overloaded] == [False, True, False]


# -- handlers that live long ----------------------------------------------------------------------------------------
def test_a_thousand_long_ones_do_not_starve_messages() -> None:
    pool, job = HandlerPool(limit=10), Job()
    done: list[object] = []

    def stream(_: object) -> None:
        with pool.apart(), pool.apart():  # a block in a block is fine
            job(None)

    for _ in range(1000):
        start(pool, stream)
    wait_until(lambda: len(job.greenlets) == 1000)
    assert (pool.busy, pool.long_lived, pool.full) == (1000, 1000, False)
    assert pool.stands_apart(job.greenlet())
    start(pool, done.append, "a message")
    assert done == ["a message"]
    job.gate.set()
    wait_until(lambda: not pool.busy)
    assert pool.long_lived == 0


def test_jobs_that_wait_start_when_one_steps_aside() -> None:
    pool, first, step = HandlerPool(limit=1), Job(), Event()
    done: list[object] = []
    told: list[int] = []

    def stream(_: object) -> None:
        step.wait()
        with pool.apart():
            first(None)

    start(pool, stream)
    start(pool, done.append, "next")
    pool.when_free(lambda: told.append(1))
    assert not done
    step.set()
    wait_until(lambda: done and told)
    assert not first.gate.is_set()
    first.gate.set()
    wait_until(lambda: not pool.busy)


def test_long_lived_ones_have_a_limit_of_their_own() -> None:
    pool, job = HandlerPool(long_lived=1), Job()
    errors: list[str] = []

    def stream(_: object) -> None:
        try:
            with pool.apart():
                job(None)
        except Overloaded as error:
            errors.append(error.text)

    start(pool, stream)
    start(pool, stream)
    assert errors == ["1 long-lived handlers are under way already"]
    pool.kill()  # ends those that stand apart as well
    wait_until(lambda: not pool.busy)
    assert pool.size == 1  # the refused one's greenlet is idle


def test_a_job_that_stood_apart_counts_again_when_it_is_told_to_end() -> None:
    pool, job = HandlerPool(limit=1), Job()

    def work(_: object) -> None:
        with pool.apart():
            job(None)

    start(pool, work)
    assert (pool.long_lived, pool.full) == (1, False)
    for _ in range(2):
        pool.rejoin(job.greenlet())
        assert (pool.long_lived, pool.full, pool.size) == (0, True, 1)
    pool.interrupt(job.greenlet(), GreenletExit(), lambda: True)
    wait_until(lambda: pool.size == 0)
    assert not pool.full


def test_outside_of_a_job_nothing_is_set_apart() -> None:
    pool = HandlerPool(long_lived=0)
    with pool.apart():
        assert (pool.size, pool.long_lived) == (0, 0)


# -- interrupting ---------------------------------------------------------------------------------------------------
@contextmanager
def catching(found: list[BaseException]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        found.append(error)
        raise


@pytest.mark.parametrize("apart", [False, True])
def test_an_interrupted_job_gets_the_error_where_it_waits(apart: bool, caplog: pytest.LogCaptureFixture) -> None:
    pool, job = HandlerPool(), Job()
    found: list[BaseException] = []

    def work(_: object) -> None:
        with catching(found):
            if apart:
                with pool.apart():
                    job(None)
            else:
                job(None)

    start(pool, work)
    error = HandlerTimeout("120 seconds")
    pool.interrupt(job.greenlet(), error, lambda: True)
    wait_until(lambda: found)
    assert found == [error]
    assert (pool.size, caplog.text) == (0, "")


def test_a_job_that_went_on_is_not_interrupted() -> None:
    pool, job = HandlerPool(), Job()
    asked: list[int] = []

    def still(answer: bool) -> bool:
        asked.append(1)
        return answer

    start(pool, job)
    busy = job.greenlet()
    pool.interrupt(busy, HandlerTimeout(), lambda: still(False))
    wait_until(lambda: asked)
    job.gate.set()
    wait_until(lambda: not pool.busy)
    pool.interrupt(busy, HandlerTimeout(), lambda: still(True))
    green.sleep(0.01)
    assert asked == [1]  # an idle greenlet is not even asked for
    assert not busy.dead


def test_a_handler_does_not_swallow_its_timeout_by_accident() -> None:
    assert not issubclass(HandlerTimeout, Exception)
