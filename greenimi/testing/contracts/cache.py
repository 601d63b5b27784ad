"""What every ICacheStore does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import pytest

from greenimi import green
from greenimi.cache.settings import CacheSettings
from greenimi.interfaces import ICacheStore

LONG = 3600.0
"""Seconds that no test lasts."""

KEYS = ["a", "A", "a:", "a:b", "a*", "a?", "[a]", "a->b", "a->b->c", "->", "", " ", "ä", "a\nb", "../a", "a/b", "%lease:a", "k" * 5000]


class CacheStoreContract(ABC):
    """Values by keys until their lifetime is over, and counters."""

    @abstractmethod
    def make(self, settings: CacheSettings) -> ICacheStore:
        """A store with the values that another one with the same settings, made in the same test, has; but for stores in memory."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Have the clock of the stores made so far go on."""

    settings = CacheSettings(prefix="cache:mine:")

    def test_values_come_back(self) -> None:
        store = self.make(self.settings)
        assert store.get("a") is None
        for value in (b"1", b"", b"\x00\xff" * 1000, b"x" * 200_000):
            store.set("a", value, LONG)
            assert store.get("a") == value
            store.set("b", value, None)
            assert store.get("b") == value

    def test_keys_are_apart(self) -> None:
        store = self.make(self.settings)
        for number, key in enumerate(KEYS):
            assert store.add(key, b"%d" % number, LONG)
        assert list(store.get_many(KEYS)) == [b"%d" % number for number in range(len(KEYS))]
        for number, key in enumerate(KEYS):
            assert store.get(key) == b"%d" % number
            assert store.delete(key)
        assert list(store.get_many(KEYS)) == [None] * len(KEYS)

    def test_many_at_once(self) -> None:
        store = self.make(self.settings)
        assert list(store.get_many([])) == []
        store.set_many({}, LONG)
        assert store.delete_many([]) == 0
        values = {f"n{number}": b"%d" % number for number in range(1200)}
        store.set_many(values, LONG)
        assert list(store.get_many(["n2", "none", "n1", "n2"])) == [b"2", None, b"1", b"2"]
        assert list(store.get_many(list(values))) == list(values.values())
        assert store.delete_many(["n2", "none", "n1"]) == 2
        assert store.get("n2") is None
        assert store.delete_many(list(values)) == 1198

    def test_one_is_kept_anew(self) -> None:
        store = self.make(self.settings)
        store.set("a", b"1", 10.0)
        store.set("b", b"1", None)
        store.set_many({"a": b"2", "b": b"2"}, 20.0)
        self.pass_time(15.0)
        assert list(store.get_many(["a", "b"])) == [b"2", b"2"]
        store.set("b", b"3", None)
        self.pass_time(15.0)
        assert list(store.get_many(["a", "b"])) == [None, b"3"]

    def test_a_lifetime_ends(self) -> None:
        store = self.make(self.settings)
        store.set("a", b"1", 100.0)
        store.set_many({"b": b"2"}, 100.0)
        assert store.add("c", b"3", 100.0)
        store.increment("d", 4, 100.0)
        store.set("for ever", b"5", None)
        names = ["a", "b", "c", "d", "for ever"]
        self.pass_time(98.0)
        assert list(store.get_many(names)) == [b"1", b"2", b"3", b"4", b"5"]
        self.pass_time(4.0)
        assert list(store.get_many(names)) == [None, None, None, None, b"5"]
        assert [store.get(name) for name in names] == [None, None, None, None, b"5"]
        assert not store.touch("a", LONG)
        assert not store.delete("b")
        assert store.delete_many(["c"]) == 0
        assert store.increment("d", 1, LONG) == 1

    def test_what_is_over_makes_room(self) -> None:
        store = self.make(self.settings)
        store.set("a", b"1", 10.0)
        assert not store.add("a", b"2", LONG)
        self.pass_time(20.0)
        assert store.add("a", b"2", LONG)
        assert store.get("a") == b"2"

    def test_touching_begins_it_anew(self) -> None:
        store = self.make(self.settings)
        for key in ("a", "b", "c"):
            store.set(key, key.encode(), 100.0)
        self.pass_time(60.0)
        assert store.touch("a", 100.0)
        assert store.touch("b", None)
        self.pass_time(60.0)
        assert list(store.get_many(["a", "b", "c"])) == [b"a", b"b", None]
        assert store.touch("b", None), "also when it has no end already"
        assert store.touch("b", 10.0)
        self.pass_time(60.0)
        assert list(store.get_many(["a", "b"])) == [None, None]
        assert not store.touch("never there", None)
        assert not store.touch("never there", LONG)
        assert store.get("never there") is None

    def test_of_those_who_add_one_is_told_so(self) -> None:
        store = self.make(self.settings)
        adding = [green.spawn(store.add, "a", b"%d" % number, LONG) for number in range(8)]
        added = [greenlet.get() for greenlet in adding]
        assert sum(added) == 1
        assert store.get("a") == b"%d" % added.index(True)

    def test_deleting_tells_whether_there_was_one(self) -> None:
        store = self.make(self.settings)
        assert not store.delete("a")
        store.set("a", b"1", LONG)
        assert store.delete("a")
        assert not store.delete("a")
        assert store.get("a") is None

    def test_counting(self) -> None:
        store = self.make(self.settings)
        assert store.increment("a", 1, LONG) == 1
        assert store.increment("a", 41, LONG) == 42
        assert store.increment("a", -50, LONG) == -8
        assert store.get("a") == b"-8"
        store.set("a", b"10", LONG)
        assert store.increment("a", 1, LONG) == 11

    def test_a_counter_keeps_the_lifetime_it_began_with(self) -> None:
        store = self.make(self.settings)
        store.increment("a", 1, 100.0)
        store.increment("b", 1, None)
        self.pass_time(60.0)
        assert store.increment("a", 1, 100.0) == 2
        assert store.increment("b", 1, 10.0) == 2
        self.pass_time(60.0)
        assert store.increment("a", 1, 100.0) == 1
        assert store.get("b") == b"2"

    def test_only_numbers_of_64_bits_are_counted(self) -> None:
        store = self.make(self.settings)
        store.set_many({"text": b"many", "empty": b"", "large": b"%d" % (2**63 - 1), "small": b"%d" % -(2**63)}, LONG)
        for key, by in (("text", 1), ("empty", 1), ("large", 1), ("small", -1)):
            with pytest.raises(ValueError, match="number"):
                store.increment(key, by, LONG)
        assert list(store.get_many(["text", "large", "small"])) == [b"many", b"%d" % (2**63 - 1), b"%d" % -(2**63)]
        assert store.increment("large", -1, LONG) == 2**63 - 2

    def test_all_who_count_at_the_same_time_are_counted(self) -> None:
        store = self.make(self.settings)

        def count() -> list[int]:
            return [store.increment("a", 1, LONG) for _ in range(8)]

        counting = [green.spawn(count) for _ in range(8)]
        told = [number for greenlet in counting for number in greenlet.get()]
        assert sorted(told) == list(range(1, 65))

    def test_clearing_is_for_this_cache_alone(self) -> None:
        mine = self.make(self.settings)
        others = [self.make(replace(self.settings, prefix=prefix)) for prefix in ("cache:other:", "cache:mine*:", "cache:m?ne:", "[c]:")]
        for number, store in enumerate([mine, *others]):
            store.set_many({"a": b"%d" % number, "a->b": b"x"}, LONG)
            store.set("b", b"1", None)
        mine.clear()
        assert list(mine.get_many(["a", "b", "a->b"])) == [None, None, None]
        assert [store.get("a") for store in others] == [b"1", b"2", b"3", b"4"]
        others[1].clear()
        assert [store.get("a") for store in others] == [b"1", None, b"3", b"4"]
        mine.clear()
        mine.set("a", b"again", LONG)
        assert mine.get("a") == b"again"

    def test_collecting_takes_only_what_is_over(self) -> None:
        store = self.make(self.settings)
        over = [f"over{number}" for number in range(30)]
        store.set_many(dict.fromkeys(over, b"1"), 10.0)
        store.set_many({"alive": b"2", "also": b"3"}, LONG)
        store.set("for ever", b"4", None)
        self.pass_time(20.0)
        assert store.collect(0) == 0
        assert all(0 <= store.collect(10) <= 10 for _ in range(20))
        assert list(store.get_many(["alive", "also", "for ever"])) == [b"2", b"3", b"4"]
        assert list(store.get_many(over)) == [None] * 30

    def test_closing_ends_nothing_of_others(self) -> None:
        one, two = self.make(self.settings), self.make(self.settings)
        one.set("a", b"1", LONG)
        two.set("b", b"2", LONG)
        one.close()
        assert two.get("b") == b"2"
