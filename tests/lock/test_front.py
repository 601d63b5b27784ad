"""Taking locks, giving them back, and standing in line."""

from __future__ import annotations

import math
from typing import Any

import gevent
import pytest

from greenimi import green
from greenimi.errors import Overloaded
from greenimi.interfaces import ILockStore
from greenimi.lock import Lock, LockError, LockFailed, LockLost, LockSettings, LockTimeout
from greenimi.lock.memory import MemoryStore
from greenimi.testing.support import wait_until
from tests.lock.conftest import MakeLock
from tests.lock.troubled import TroubledStore, failing


def take(lock: Lock, name: str = "a", **options: Any) -> Any:
    """A greenlet that holds the lock for as long as it is not killed."""

    def work() -> None:
        with lock.hold(name, **options):
            green.sleep(3600)

    greenlet = green.spawn(work)
    wait_until(lambda: lock.held(name))
    return greenlet


def is_empty(lock: Lock) -> bool:
    return not lock._lines and not lock._mine and not lock._held and not lock._waiting


def test_nobody_else_has_it(lock: Lock) -> None:
    with lock.hold("a") as held:
        assert lock.held("a")
        assert not held.lost
        held.check()
        assert green.spawn(lambda: lock.try_hold("a").__enter__()).get() is None
    assert not lock.held("a")
    assert is_empty(lock)


def test_fencing_grows(lock: Lock) -> None:
    with lock.hold("a") as first:
        pass
    with lock.hold("a") as second:
        assert second.fencing > first.fencing


def test_an_error_of_the_block_gives_it_back(lock: Lock) -> None:
    with pytest.raises(ZeroDivisionError), lock.hold("a"):
        raise ZeroDivisionError
    assert not lock.held("a")


@pytest.mark.parametrize("kill", [gevent.GreenletExit, gevent.Timeout(), KeyError("x")])
def test_a_killed_greenlet_gives_it_back(lock: Lock, kill: Any) -> None:
    greenlet = take(lock)
    gevent.kill(greenlet, kill)
    wait_until(lambda: not lock.held("a"))
    assert is_empty(lock)


def test_whoever_waited_long_enough_is_told(lock: Lock) -> None:
    take(lock, "stock:42")
    with pytest.raises(LockTimeout, match=r"'stock:42' was not free within 0\.01 seconds") as caught, lock.hold("stock:42", wait=0.01):
        pass
    assert (caught.value.status, caught.value.name) == (503, "stock:42")
    with pytest.raises(LockTimeout, match=r"'stock:42' was not free$"), lock.hold("stock:42", wait=0):
        pass
    assert lock.held("stock:42")


def test_one_try(lock: Lock, store: TroubledStore) -> None:
    with lock.try_hold("a") as held:
        assert held is not None
    holder = take(lock)
    with lock.try_hold("a") as other:
        assert other is None
    assert [call[4] for call in store.calls if call[0] == "acquire"] == [0.0, 0.0, 0.0]
    holder.kill()


def test_who_tries_once_does_not_overtake_those_in_line(lock: Lock, store: TroubledStore) -> None:
    holder = take(lock)
    waiting = green.spawn(lambda: lock.hold("a", wait=10).__enter__())
    wait_until(lambda: lock._waiting)
    calls = len(store.calls)
    with lock.try_hold("a") as held:
        assert held is None
    assert len(store.calls) == calls
    holder.kill()
    waiting.get(timeout=10)


def test_waiting_for_ever(lock: Lock, store: TroubledStore) -> None:
    holder = take(lock)
    waiting = green.spawn(lambda: lock.hold("a", wait=None).__enter__())
    wait_until(lambda: lock._waiting)
    assert store.calls[-1][4] == math.inf
    holder.kill()
    assert waiting.get(timeout=10).fencing


def test_first_come_first_served(lock: Lock, store: TroubledStore) -> None:
    holder = take(lock)
    order: list[int] = []

    def work(number: int) -> None:
        with lock.hold("a", wait=10):
            order.append(number)
            green.sleep(0)

    waiting = [green.spawn(work, number) for number in range(20)]
    wait_until(lambda: lock._waiting == 20)
    assert sum(call[0] == "acquire" and call[4] > 0 for call in store.calls) == 1  # the store knows of one who waits
    waiting.pop(7).kill()
    waiting.pop(0).kill()
    holder.kill()
    for greenlet in waiting:
        greenlet.get(timeout=10)
    assert order == [number for number in range(20) if number not in (0, 7)]
    assert is_empty(lock)


def test_500_wait_for_one_and_each_gets_it(lock: Lock) -> None:
    count = 0

    def work() -> None:
        nonlocal count
        with lock.hold("a", wait=30):
            seen = count
            green.sleep(0)
            count = seen + 1

    workers = [green.spawn(work) for _ in range(500)]
    for worker in workers:
        worker.get(timeout=30)
    assert count == 500
    assert is_empty(lock)


def test_taken_twice_by_one_greenlet_is_a_mistake(lock: Lock) -> None:
    with lock.hold("a"):
        with pytest.raises(LockError, match="would wait for itself"), lock.hold("a", wait=None):
            pass
        with pytest.raises(LockError, match="would wait for itself"), lock.reading("a"):
            pass
        assert lock.held("a")


def test_reentrant_by_choice(lock: Lock) -> None:
    with lock.hold("a") as outer:
        with lock.hold("a", reentrant=True) as inner, lock.try_hold("a", reentrant=True) as third:
            assert third is not None
            assert inner.fencing == third.fencing == outer.fencing
            assert green.spawn(lambda: lock.try_hold("a", reentrant=True).__enter__()).get() is None
        assert lock.held("a")
    assert not lock.held("a")


def test_counted_whatever_the_order_of_the_ends(lock: Lock) -> None:
    outer, inner = lock.hold("a"), lock.hold("a", reentrant=True)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert lock.held("a")
    inner.__exit__(None, None, None)
    assert not lock.held("a")


def test_a_taking_is_for_one_block(lock: Lock) -> None:
    once = lock.hold("a")
    with once:
        pass
    with pytest.raises(LockError, match="was used before"), once:
        pass


def test_what_a_greenlet_holds(lock: Lock) -> None:
    assert lock.mine("a") is None
    with lock.hold("a") as held:
        assert lock.mine("a") is held
        assert green.spawn(lock.mine, "a").get() is None
    assert lock.mine("a") is None


def test_semaphore(lock: Lock) -> None:
    now = most = 0

    def work() -> None:
        nonlocal now, most
        with lock.semaphore("exports", limit=4, wait=10):
            now += 1
            most = max(most, now)
            green.sleep(0)
            now -= 1

    for worker in [green.spawn(work) for _ in range(30)]:
        worker.get(timeout=10)
    assert most == 4
    assert is_empty(lock)


def test_readers_together_writers_alone(lock: Lock) -> None:
    with lock.reading("a"):
        reader = green.spawn(lambda: lock.reading("a", wait=0).__enter__())
        assert reader.get(timeout=10).fencing
        writer = green.spawn(lambda: lock.writing("a", wait=10).__enter__())
        wait_until(lambda: lock._waiting)
        late = green.spawn(lambda: lock.reading("a", wait=10).__enter__())
        wait_until(lambda: lock._waiting == 2)
        reader.value.__exit__(None, None, None)
    written = writer.get(timeout=10)
    assert not late.ready()
    written.__exit__(None, None, None)
    late.get(timeout=10).__exit__(None, None, None)
    assert is_empty(lock)


def test_reading_again_must_be_meant_and_writing_never_is(lock: Lock) -> None:
    with lock.reading("a"):
        with lock.reading("a", reentrant=True):
            pass
        for again in (lock.writing("a"), lock.writing("a", reentrant=True)):
            with pytest.raises(LockError, match="would wait for itself"), again:
                pass


@pytest.mark.parametrize("name", ["", "x" * 501, "ä" * 251, "\ud800", 5, None])
def test_names_that_are_none(lock: Lock, name: Any) -> None:
    with pytest.raises(LockError, match="a lock's name is text of 1 to 500 bytes"):
        lock.hold(name)
    with pytest.raises(LockError, match="a lock's name"):
        lock.held(name)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"wait": -1}, "wait is 0 or more seconds"),
        ({"wait": math.nan}, "wait is 0 or more seconds"),
        ({"lease": 0.01}, r"a lease has 0\.1 seconds at least"),
        ({"lease": math.inf}, "and an end"),
        ({"on_lost": "ignore"}, "on_lost is"),
    ],
)
def test_options_that_cannot_be(lock: Lock, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(LockError, match=problem):
        lock.hold("a", **options)
    with pytest.raises(LockError, match="1 or more, not 0"):
        lock.semaphore("a", limit=0)


def test_bounds(make_lock: MakeLock) -> None:
    lock = make_lock(LockSettings(waiting=2, held=3))
    holders = [take(lock, f"a{number}") for number in range(3)]
    with pytest.raises(Overloaded, match="holds 3 locks already"), lock.hold("b"):
        pass
    holders.pop().kill()
    waiting = [green.spawn(lambda: lock.hold("a0", wait=10).__enter__()) for _ in range(2)]
    wait_until(lambda: lock._waiting == 2)
    with pytest.raises(Overloaded, match="2 greenlets wait for locks already"), lock.hold("a0", wait=10):
        pass
    for greenlet in waiting + holders:
        greenlet.kill()
    assert is_empty(lock)


def test_a_store_that_fails(lock: Lock, store: TroubledStore) -> None:
    store.trouble["acquire"] = failing
    with pytest.raises(LockFailed, match="'a' cannot be asked for: ConnectionError: nobody there") as caught, lock.hold("a"):
        pass
    assert caught.value.status == 503
    assert isinstance(caught.value.__cause__, ConnectionError)
    store.trouble.clear()
    store.trouble["held"] = failing
    with pytest.raises(LockFailed):
        lock.held("a")


def test_what_was_given_without_anybodys_knowing_is_given_back(lock: Lock, store: TroubledStore) -> None:
    store.trouble["after acquire"] = failing
    with pytest.raises(LockFailed), lock.hold("a"):
        pass
    wait_until(lambda: not store.real.held("a"))
    assert is_empty(lock)


def test_killed_while_the_store_is_asked(lock: Lock, store: TroubledStore) -> None:
    store.trouble["after acquire"] = lambda: green.sleep(3600)
    greenlet = green.spawn(lambda: lock.hold("a").__enter__())
    wait_until(lambda: store.real.held("a"))
    greenlet.kill()
    wait_until(lambda: not store.real.held("a"))
    assert is_empty(lock)


def test_killed_while_it_gives_back(lock: Lock, store: TroubledStore) -> None:
    holder = take(lock)
    store.trouble["release"] = lambda: green.sleep(3600)
    holder.kill(block=False)
    wait_until(lambda: store.calls[-1][0] == "release")
    store.trouble.clear()
    holder.kill()
    wait_until(lambda: not store.real.held("a"))
    assert is_empty(lock)


def test_a_store_that_fails_at_the_end_changes_no_result(lock: Lock, store: TroubledStore) -> None:
    with lock.hold("a", on_lost="raise"):
        store.trouble["release"] = failing
    assert store.real.held("a")
    store.trouble.clear()
    wait_until(lambda: not store.real.held("a"))


def test_a_lease_that_was_over_before_it_began(lock: Lock, store: TroubledStore) -> None:
    store.trouble["after acquire"] = lambda: green.sleep(0.11)
    with pytest.raises(LockLost, match="over before anybody knew"), lock.hold("a", lease=0.1):
        pass
    assert is_empty(lock)


def test_a_store_for_one_holder_only() -> None:
    class Plain:
        def __init__(self) -> None:
            self.real = MemoryStore()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    from zope.interface import directlyProvides

    plain: Any = Plain()
    directlyProvides(plain, ILockStore)
    lock = Lock(LockSettings(driver="plain"), lambda: plain)
    with lock.hold("a"):
        pass
    with pytest.raises(LockError, match=r"the plain driver of \[lock.default\] gives a lock to one holder only"), lock.reading("a"):
        pass
    lock.stop()


def test_stop_gives_back_what_is_held(make_lock: MakeLock, store: TroubledStore) -> None:
    lock = make_lock()
    lock.hold("a").__enter__()
    lock.stop()
    assert not store.real.held("a")
    assert store.closed
    lock.stop()


def test_a_timeout_of_who_waits_is_no_failure_of_the_store(lock: Lock) -> None:
    holder = take(lock)
    with pytest.raises(TimeoutError) as caught, green.timeout(0.01), lock.hold("a", wait=None):
        pass
    assert not isinstance(caught.value, LockError)
    holder.kill()
    with lock.hold("a", wait=5.0):
        pass
    assert wait_until(lambda: is_empty(lock))
