"""Versions of tags."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi.cache.memory import MemoryStore
from greenimi.cache.settings import CacheSettings
from greenimi.cache.tags import Tags
from tests.cache.stores import Clock, SharedStore


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def tags(clock: Clock) -> Tags:
    return Tags(MemoryStore(CacheSettings(), clock), 100.0)


def test_a_version_stays_until_it_is_evicted(tags: Tags) -> None:
    first = tags.versions(["a", "b"])
    assert tags.versions(["b", "a"]) == first
    assert tags.current(["a", "none"]) == {"a": first["a"], "none": None}
    tags.evict(["a", "none"])
    assert tags.current(["a", "b"]) == {"a": None, "b": first["b"]}
    assert tags.versions(["a"])["a"] != first["a"]


def test_a_tag_is_kept_as_long_as_values_of_it_may_live(tags: Tags, clock: Clock) -> None:
    first = tags.versions(["a"])
    for _ in range(3):
        clock.now += 80.0
        assert tags.versions(["a"]) == first
    clock.now += 120.0
    assert tags.current(["a"]) == {"a": None}


def test_two_who_begin_a_tag_agree() -> None:
    store: Any = SharedStore()
    one, two = Tags(store, 100.0), Tags(store, 100.0)

    def before(call: str, key: Any) -> None:
        if call == "add":
            store.before = None
            found.update(two.versions(["a"]))

    found: dict[str, bytes] = {}
    store.before = before
    assert one.versions(["a"]) == found


def test_one_that_is_evicted_while_it_is_touched_gets_another_version() -> None:
    store: Any = SharedStore()
    tags = Tags(store, 100.0)
    first = tags.versions(["a"])

    def before(call: str, key: Any) -> None:
        if call == "touch":
            store.before = None
            tags.evict(["a"])

    store.before = before
    assert tags.versions(["a"]) != first
