"""Renewal of locks, and what happens when it fails."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from greenimi import green
from greenimi.container.context import Scope, current
from greenimi.container.registry import Container
from greenimi.lock import Lock, LockLost, LockSettings
from greenimi.lock.keeper import Keeper
from greenimi.testing.support import wait_until
from tests.lock.conftest import MakeLock
from tests.lock.troubled import TroubledStore, failing

LEASE = 0.15
"""Seconds of a lease that is to end."""

SAFE = 0.9
"""Seconds of one that is to be renewed in time, also where much else goes on."""


def renewals(store: TroubledStore) -> int:
    return sum(call[0] == "renew" for call in store.calls)


def greenlet_of(lock: Lock) -> Any:
    return lock.keeper._greenlet


def kept(lock: Lock) -> Any:
    return lock.keeper._heap


def test_held_longer_than_its_lease(lock: Lock, store: TroubledStore) -> None:
    with lock.hold("a", lease=SAFE, on_lost="raise") as held:
        first = held.until
        wait_until(lambda: held.until > first + SAFE)
        assert renewals(store) > 2
        assert not held.lost
        assert store.real.held("a")
    wait_until(lambda: not kept(lock))


def test_nothing_is_asked_for_what_is_given_back_in_time(lock: Lock, store: TroubledStore) -> None:
    for number in range(1000):
        with lock.hold(f"a{number}"):
            pass
    assert renewals(store) == 0
    assert len(kept(lock)) < 100


def test_one_greenlet_for_all_and_none_for_nothing(lock: Lock) -> None:
    assert lock._keeper is None
    held = [lock.hold(f"a{number}", lease=LEASE) for number in range(50)]
    for each in held:
        each.__enter__()
    keeper = greenlet_of(lock)
    wait_until(lambda: all(each.until > 0 for each in held))
    assert greenlet_of(lock) is keeper
    for each in held:
        each.__exit__(None, None, None)


def test_the_greenlet_belongs_to_no_message(lock: Lock) -> None:
    with Scope(Container("test")), lock.hold("a"):
        assert greenlet_of(lock).gr_context.get(current) is None


def test_a_keeper_that_was_killed_begins_again(lock: Lock, store: TroubledStore) -> None:
    with lock.hold("a", lease=SAFE, on_lost="raise"):
        greenlet_of(lock).kill()
        wait_until(lambda: renewals(store) > 0)
        store.trouble["renew"] = lambda: greenlet_of(lock).kill()  # in the middle of its work
        before = renewals(store)
        wait_until(lambda: renewals(store) > before)
        store.trouble.clear()
        before = renewals(store)
        wait_until(lambda: renewals(store) > before)
    assert not store.real.held("a")


def test_a_renewal_that_fails_is_tried_again_in_time(lock: Lock, store: TroubledStore, caplog: pytest.LogCaptureFixture) -> None:
    with lock.hold("a", lease=SAFE, on_lost="raise"):
        store.trouble["renew"] = failing
        wait_until(lambda: "could not be renewed: ConnectionError: nobody there" in caplog.text)
        store.trouble.clear()
        before = renewals(store)
        wait_until(lambda: renewals(store) > before)
    assert "was lost" not in caplog.text


def test_a_store_that_is_gone_for_longer_than_the_lease(lock: Lock, store: TroubledStore) -> None:
    with lock.hold("a", lease=LEASE) as held:
        store.trouble["renew"] = failing
        wait_until(lambda: held.lost)
        assert "its lease of 0.15 seconds was over" in held.reason


def test_a_store_that_hangs_holds_the_loss_of_no_lock_up(lock: Lock, store: TroubledStore) -> None:
    swallowed: list[Exception] = []

    def hang() -> None:
        try:
            green.sleep(3600)
        except Exception as error:  # as a driver does which thinks that its connection is as good as before
            swallowed.append(error)

    with lock.hold("a", lease=LEASE, on_lost="log") as one, lock.hold("b", lease=LEASE) as two:
        store.trouble["renew"] = hang
        wait_until(lambda: one._told and two._told)
        assert one.lost
        assert two.lost
        assert swallowed == []
        store.trouble.clear()


def test_without_renewal_a_lock_has_one_lease(lock: Lock, store: TroubledStore, caplog: pytest.LogCaptureFixture) -> None:
    with lock.hold("a", lease=LEASE, renew=False) as held:
        wait_until(lambda: held._told)
        assert held.lost
        with lock.hold("b"):
            pass
    assert renewals(store) == 0
    assert "its lease of 0.15 seconds was over" in caplog.text


def test_without_renewal_by_conf(make_lock: MakeLock, store: TroubledStore) -> None:
    lock = make_lock(LockSettings(renew=False, lease=LEASE))
    with pytest.raises(LockLost), lock.hold("a", on_lost="raise"):
        green.sleep(10)
    assert renewals(store) == 0


def test_a_greenlet_that_ended_without_ending_its_block(lock: Lock, store: TroubledStore, caplog: pytest.LogCaptureFixture) -> None:
    green.spawn(lambda: lock.hold("a", lease=LEASE).__enter__()).join()
    wait_until(lambda: "the lock 'a' was lost while it was held: its greenlet has ended" in caplog.text)
    wait_until(lambda: not store.real.held("a"))
    assert not lock._mine
    assert not lock._held


def test_the_end_of_an_abandoned_block_changes_nothing(lock: Lock, store: TroubledStore) -> None:
    held = lock.hold("a", lease=LEASE)
    green.spawn(held.__enter__).join()
    wait_until(lambda: not store.real.held("a"))
    with lock.hold("a"):
        held.__exit__(None, None, None)
        assert lock.held("a")


def test_debts_are_paid_until_the_lease_is_over_and_are_bounded(store: TroubledStore) -> None:
    keeper = Keeper(store, limit=2)
    store.trouble["release"] = failing
    for number in range(5):
        keeper.owe(f"a{number}", "token", 0.1)
    assert len(keeper._heap) == 2
    wait_until(lambda: not keeper._heap)
    assert keeper._debts == 0
    keeper.stop()


def test_what_fails_in_the_keeper_stops_nothing(lock: Lock, store: TroubledStore, caplog: pytest.LogCaptureFixture) -> None:
    with lock.hold("a", lease=LEASE) as held, lock.hold("b", lease=LEASE):
        lock.keeper._visit = lambda what: 1 / 0 if what is held else 0.0  # type: ignore[method-assign,assignment]
        wait_until(lambda: "the lock 'a' could not be looked after" in caplog.text)
        assert not greenlet_of(lock).dead


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="greenimi.lock")
