"""Locks in the memory of one process."""

from __future__ import annotations

import pytest

from greenimi import green
from greenimi.interfaces import ISharedLockStore
from greenimi.lock.memory import MemoryStore
from greenimi.testing.contracts import SharedLockStoreContract

LONG = 3600.0


class TestMemoryStore(SharedLockStoreContract):
    @pytest.fixture(autouse=True)
    def _store(self) -> None:
        self._made = MemoryStore()

    def make(self) -> ISharedLockStore:
        return self._made


def test_first_come_first_served_also_by_those_who_do_not_wait() -> None:
    store = MemoryStore()
    order: list[int] = []

    def take(number: int) -> None:
        assert store.acquire("a", str(number), LONG, 10.0) is not None
        order.append(number)
        green.sleep(0)
        assert store.acquire("a", "impatient", LONG, 0.0) is None
        store.release("a", str(number))

    assert store.acquire("a", "first", LONG, 0.0) is not None
    waiting = [green.spawn(take, number) for number in range(20)]
    green.sleep(0)
    store.release("a", "first")
    assert store.acquire("a", "impatient", LONG, 0.0) is None
    for greenlet in waiting:
        greenlet.get(timeout=10)
    assert order == list(range(20))


def test_readers_and_writers_in_the_order_of_their_coming() -> None:
    store = MemoryStore()
    order: list[str] = []

    def take(token: str) -> None:
        limit = 1 if token.startswith("w") else 100
        assert store.share("a", token, LONG, 10.0, limit) is not None
        order.append(token)
        green.sleep(0)
        store.release("a", token)

    assert store.acquire("a", "first", LONG, 0.0) is not None
    waiting = [green.spawn(take, token) for token in ("r1", "r2", "w1", "r3", "w2", "r4", "r5")]
    green.sleep(0)
    store.release("a", "first")
    for greenlet in waiting:
        greenlet.get(timeout=10)
    assert order == ["r1", "r2", "w1", "r3", "w2", "r4", "r5"]


def test_nothing_is_kept_of_a_lock_that_nobody_has() -> None:
    store = MemoryStore()
    for number in range(100):
        name = f"a{number}"
        assert store.acquire(name, "1", LONG, 0.0) is not None
        waiting = green.spawn(store.acquire, name, "2", LONG, 10.0)
        green.sleep(0)
        waiting.kill()
        assert store.release(name, "1")
    assert store._rooms == {}
