"""What every ISessionStore does."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from greenimi.interfaces import ISessionStore
from greenimi.web.settings import SessionSettings

LONG = 3600.0
"""Seconds that no test lasts."""


class SessionStoreContract(ABC):
    """A session's values, changed one by one and all at the same time, until its lifetime is over."""

    @abstractmethod
    def make(self, settings: SessionSettings) -> ISessionStore:
        """A store with the sessions that another one with the same settings, made in the same test, has; but for stores in memory."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Have the clock of the stores made so far go on."""

    settings = SessionSettings()

    @staticmethod
    def key() -> str:
        return secrets.token_hex(32)

    def test_values_come_back(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        values = {"": b"\x00\xff", "cart": b"", "shop.ä": b"x" * 1000}
        store.set(key, values, LONG)
        found = store.get(key)
        assert found is not None
        assert dict(found[0]) == values
        assert LONG - 60 < found[1] <= LONG

    def test_what_is_given_stays_the_stores_own(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        values = {"a": b"1"}
        store.set(key, values, LONG)
        values["a"] = b"2"
        found = store.get(key)
        assert found is not None
        assert found[0]["a"] == b"1"

    def test_sessions_are_apart(self) -> None:
        store = self.make(self.settings)
        one, two = self.key(), self.key()
        store.set(one, {"a": b"1"}, LONG)
        assert store.get(two) is None
        store.set(two, {"b": b"2"}, LONG)
        store.delete(one)
        found = store.get(two)
        assert found is not None
        assert dict(found[0]) == {"b": b"2"}

    def test_set_replaces_all(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        store.set(key, {"a": b"1", "b": b"2"}, LONG)
        store.set(key, {"c": b"3"}, LONG)
        found = store.get(key)
        assert found is not None
        assert dict(found[0]) == {"c": b"3"}

    def test_change_leaves_the_rest(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        store.set(key, {"a": b"1", "b": b"2", "c": b"3"}, LONG)
        assert store.change(key, {"b": b"two", "d": b"4"}, ["c", "never there"], LONG)
        found = store.get(key)
        assert found is not None
        assert dict(found[0]) == {"a": b"1", "b": b"two", "d": b"4"}

    def test_a_session_that_is_not_there_is_not_made_by_changing_it(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        assert not store.change(key, {"a": b"1"}, [], LONG)
        assert not store.touch(key, LONG)
        assert store.get(key) is None

    def test_of_those_who_delete_one_is_told_so(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        store.set(key, {"a": b"1"}, LONG)
        assert store.delete(key)
        assert not store.delete(key)
        assert store.get(key) is None
        assert not store.change(key, {"a": b"1"}, [], LONG)

    def test_a_lifetime_ends(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        store.set(key, {"a": b"1"}, 100.0)
        self.pass_time(99.0)
        found = store.get(key)
        assert found is not None
        assert 0 < found[1] <= 1.0
        self.pass_time(2.0)
        assert store.get(key) is None
        assert not store.change(key, {"b": b"2"}, [], LONG)
        assert not store.touch(key, LONG)
        assert not store.delete(key)

    def test_touch_and_change_begin_it_anew(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        store.set(key, {"a": b"1"}, 100.0)
        self.pass_time(60.0)
        assert store.touch(key, 100.0)
        self.pass_time(60.0)
        assert store.change(key, {"b": b"2"}, [], 100.0)
        self.pass_time(60.0)
        found = store.get(key)
        assert found is not None
        assert dict(found[0]) == {"a": b"1", "b": b"2"}

    def test_collecting_takes_only_what_is_over(self) -> None:
        store = self.make(self.settings)
        over = [self.key() for _ in range(30)]
        alive = [self.key() for _ in range(5)]
        for key in over:
            store.set(key, {"a": b"1"}, 10.0)
        for key in alive:
            store.set(key, {"a": b"1"}, LONG)
        self.pass_time(20.0)
        assert 0 <= store.collect(10) <= 10
        assert store.collect(0) == 0
        assert all(store.get(key) is not None for key in alive)
        assert all(store.get(key) is None for key in over)

    def test_changes_at_the_same_time_are_all_kept(self) -> None:
        store = self.make(self.settings)
        key = self.key()
        store.set(key, {}, LONG)

        together = Barrier(8)

        def change(first: int) -> bool:
            together.wait(10)
            return all(store.change(key, {f"n{number}": b"%d" % number}, [], LONG) for number in range(first, first + 8))

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(change, range(0, 64, 8)))
        found = store.get(key)
        assert found is not None
        assert dict(found[0]) == {f"n{number}": b"%d" % number for number in range(64)}
