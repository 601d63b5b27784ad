"""The store in memory: the contract of all stores, and that nothing in it grows without end."""

from __future__ import annotations

import pytest

from greenimi.errors import Overloaded
from greenimi.hub.memory_store import Ends, MemoryStore
from greenimi.interfaces import IHubStore
from greenimi.testing.contracts import HubStoreContract
from tests.hub.store_model import Clock


class TestMemoryStore(HubStoreContract):
    @pytest.fixture(autouse=True)
    def _clock(self) -> None:
        self.clock = Clock()

    def make(self, *, kept: int = 1000, histories: int = 1000) -> IHubStore:
        return MemoryStore(kept=kept, histories=histories, clock=self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


def test_ends_are_found_when_they_come_and_as_they_are_now() -> None:
    ends: Ends[str] = Ends()
    ends.set("a", 3.0)
    ends.set("b", 1.0)
    ends.set("b", 2.0)
    ends.set("c", 1.0)
    ends.drop("c")
    assert len(ends) == 2
    assert ends.take(1.0) is None
    assert [ends.take(5.0), ends.take(5.0), ends.take(5.0)] == ["b", "a", None]


def test_ends_that_are_moved_again_and_again_take_no_room() -> None:
    ends: Ends[int] = Ends()
    for moment in range(1000):
        ends.set(1, float(moment))
        ends.set(2, float(moment))
    ends.drop(2)
    assert len(ends) == 1
    assert len(ends._heap) < 100
    assert ends.take(2000.0) == 1


def test_memory_returns_to_its_level() -> None:
    clock = Clock()
    store = MemoryStore(clock=clock)
    for number in range(100):
        store.alive(number, 10.0)
        store.keep(b"%d" % number, b"record", 10.0)
        store.claim(f"user{number}", number, number)
        store.release(f"user{number}", number, 10.0)
        store.claim(f"other{number}", number, number)
        store.enter(f"room{number}", "ann", number, number, b"", 0)
        store.enter(f"room{number}", "bob", number + 1000, number, b"", 0)
        store.leave(f"room{number}", number, 10.0)
        store.append(f"room{number}", b"message", 10, 10.0)
    clock.now += 10.0
    assert len(store.expired(1000)) == 200
    store.collect(1000)
    left = {name: value for name, value in vars(store).items() if hasattr(value, "__len__") and len(value)}
    assert list(left) == ["_histories"]  # which are bounded, and empty
    assert not any(history.messages for history in store._histories.values())


def test_it_keeps_so_many_bytes() -> None:
    clock = Clock()
    store = MemoryStore(size=100, histories=2, clock=clock)
    store.keep(b"a", b"." * 60, 10.0)
    store.keep(b"a", b"." * 40, 10.0)  # in place of the first
    store.append("room", b"." * 30, 2, 10.0)
    store.append("room", b"." * 30, 2, 20.0)
    for call in (lambda: store.keep(b"b", b".", 10.0), lambda: store.append("other", b".", 2, 10.0)):
        with pytest.raises(Overloaded, match="no room"):
            call()
    assert store.since("room", 0, 9) == [(1, b"." * 30), (2, b"." * 30)]
    clock.now += 10.0
    store.keep(b"b", b"." * 40, 10.0)  # what is over gives room
    assert store.take(b"a") is None
    assert store.take(b"b") == b"." * 40
    for group in ("two", "three", "four"):  # of two that are remembered
        store.append(group, b"." * 20, 2, 10.0)
    for _ in range(10):
        store.append("four", b"." * 10, 2, 10.0)
    clock.now += 20.0
    store.collect(1000)
    store.keep(b"c", b"." * 100, 10.0)
    assert store.take(b"c") == b"." * 100
