"""A lock that is lost, and how its holder is told."""

from __future__ import annotations

import gevent
import pytest
from greenlet import greenlet

from greenimi import green
from greenimi.lock import Lock, LockLost
from greenimi.testing.support import wait_until
from tests.lock.troubled import TroubledStore

LEASE = 0.15


def test_a_store_that_does_not_know_it_any_more(lock: Lock, store: TroubledStore, caplog: pytest.LogCaptureFixture) -> None:
    with lock.hold("a", lease=LEASE) as held:
        store.real.release("a", held.token)
        wait_until(lambda: held.lost)
        with pytest.raises(LockLost, match="the lock 'a' was lost: its store does not know it any more") as caught:
            held.check()
        assert caught.value.status == 503
        assert repr(held) == "<Held 'a', lost>"
        assert lock.mine("a") is None
    wait_until(lambda: "the lock 'a' was lost while it was held: its store does not know it" in caplog.text)
    assert caplog.text.count("was lost") == 1


def test_lost_and_told_at_once(lock: Lock, store: TroubledStore) -> None:
    swallowed: list[str] = []

    def work() -> None:
        with lock.hold("a", lease=LEASE, on_lost="raise") as held:
            store.real.release("a", held.token)
            try:
                green.sleep(3600)
            except Exception:
                swallowed.append("who swallows exceptions must not go on")

    worker = green.spawn(work)
    with pytest.raises(LockLost, match="the lock 'a' was lost while it was held: its store does not know it any more"):
        worker.get(timeout=10)
    assert swallowed == []
    assert not lock._mine


def test_lost_and_found_out_only_at_the_end(lock: Lock, store: TroubledStore, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(LockLost, match="its store did not know it any more"), lock.hold("a", on_lost="raise") as held:
        store.real.release("a", held.token)
    caplog.clear()
    with lock.hold("a", on_lost="log") as held:
        store.real.release("a", held.token)
    assert "the lock 'a' was lost" in caplog.text


def test_an_error_of_the_block_goes_before_the_loss(lock: Lock, store: TroubledStore) -> None:
    def work() -> None:
        with lock.hold("a", on_lost="raise") as held:
            store.real.release("a", held.token)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


def test_it_is_thrown_into_the_main_greenlet_and_into_plain_ones(lock: Lock, store: TroubledStore) -> None:
    seen: list[BaseException] = []

    def work() -> None:
        try:
            with lock.hold("a", lease=LEASE, on_lost="raise") as held:
                store.real.release("a", held.token)
                green.sleep(10)
        except LockLost as error:
            seen.append(error)

    work()
    assert len(seen) == 1
    plain = greenlet(work, gevent.get_hub())
    green.run_soon(plain.switch)
    wait_until(lambda: len(seen) == 2)
    assert plain.dead


def test_it_is_thrown_into_no_block_that_has_ended(lock: Lock, store: TroubledStore) -> None:
    with lock.hold("a", on_lost="raise") as held:
        held.lose("so says the test")  # it will be thrown in the next turn
    green.sleep(0)
    green.sleep(0)
    assert held.lost


def test_a_lease_that_is_over_is_known_at_once(lock: Lock) -> None:
    with lock.hold("a") as held:
        assert repr(held) == "<Held 'a', held>"
        held.until = 0.0  # nobody had the time to renew it
        assert held.lost
        held.until = float("inf")
        assert held.lost  # and stays so
        with lock.hold("b", reentrant=True), pytest.raises(LockLost, match="its lease of 10 seconds was over"):
            held.check()
    assert repr(lock.hold("a")) == "<Held 'a', not held>"


def test_what_is_held_again_is_lost_together(lock: Lock, store: TroubledStore) -> None:
    with lock.hold("a", lease=LEASE) as outer, lock.hold("a", reentrant=True) as inner:
        before = inner.lost
        store.real.release("a", outer.token)
        wait_until(lambda: outer.lost)
        assert (before, inner.lost) == (False, True)
        with pytest.raises(LockLost, match="its store does not know it"):
            inner.check()
