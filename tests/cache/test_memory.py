"""Values in memory: the contract, and its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.cache.entry import Entry
from greenimi.cache.memory import MemoryStore, add_to
from greenimi.cache.settings import CacheSettings
from greenimi.interfaces import ICacheStore
from greenimi.testing.contracts import CacheStoreContract
from tests.cache.stores import Clock

LONG = 3600.0


class TestMemoryStore(CacheStoreContract):
    @pytest.fixture(autouse=True)
    def _clock(self) -> None:
        self.clock = Clock(1000.0)

    def make(self, settings: CacheSettings) -> ICacheStore:
        return MemoryStore(settings, self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds


def test_two_stores_have_nothing_in_common() -> None:
    one, two = MemoryStore(CacheSettings()), MemoryStore(CacheSettings())
    one.set("a", b"1", None)
    assert two.get("a") is None


def test_objects_are_kept_as_they_are() -> None:
    store = MemoryStore(CacheSettings())
    entry = Entry("text", False)
    store.set("a", entry, None)
    assert store.get("a") is entry


def test_the_number_of_values_is_bounded() -> None:
    store = MemoryStore(CacheSettings(max_entries=3))
    for key in ("a", "b", "c"):
        store.set(key, b"1", LONG)
    store.get("a")
    store.set("d", b"1", LONG)
    assert [store.get(key) is not None for key in "abcd"] == [True, False, True, True]


def test_the_bytes_are_bounded() -> None:
    store = MemoryStore(CacheSettings(max_bytes=10_000))
    for number in range(100):
        store.set(f"bytes{number}", b"x" * 1000, LONG)
        assert store.size <= 10_000
    assert 0 < len(store) < 10
    store.set("text", Entry("x" * 5000, False), LONG)
    assert store.size <= 10_000
    assert store.get("text") is not None
    store.set("large", b"x" * 20_000, LONG)
    assert store.get("large") is None
    assert store.get("text") is not None, "it does not push out others for nothing"
    store.set("text", b"x" * 20_000, LONG)
    assert store.get("text") is None, "nor does the old value stay"


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(["set", "touch", "delete", "increment", "add", "wait", "collect"]))))
def test_the_size_is_always_that_of_what_is_kept(steps: list[tuple[str, str]]) -> None:
    clock = Clock(0.0)
    store = MemoryStore(CacheSettings(max_entries=3, max_bytes=2000), clock)
    for key, step in steps:
        match step:
            case "set":
                store.set(key, b"7" * (1 + len(store)), 10.0)
            case "add":
                store.add(key, b"x" * 700, 10.0)
            case "touch":
                store.touch(key, 20.0)
            case "delete":
                store.delete(key)
            case "increment" if not (store.get(key) or b"").startswith(b"x"):
                store.increment(key, 1, None)
            case "wait":
                clock.now += 7.0
            case "collect":
                store.collect(2)
        assert store.size == sum(size for _, _, size in store._values.values())
        assert len(store) <= 3
        assert store.size <= 2000


def test_what_is_over_is_collected_wherever_it_stands() -> None:
    clock = Clock(0.0)
    store = MemoryStore(CacheSettings(), clock)
    for number in range(50):
        store.set(f"for ever{number}", b"1", None)
    for number in range(50):
        store.set(f"over{number}", b"1", 10.0)
    clock.now = 20.0
    assert sum(store.collect(10) for _ in range(10)) == 50
    assert len(store) == 50


@pytest.mark.parametrize("value", [b"", b"-", b"1.0", b"+1", b" 1", b"--1", "1", Entry(1, False), b"1" * 21, b"\xb2"])
def test_what_cannot_be_added_to(value: object) -> None:
    with pytest.raises(ValueError, match="number"):
        add_to(value, 1)
