"""Lifetimes, and what is found on the way out of a store."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from greenimi.cache.memory import MemoryStore
from greenimi.cache.settings import CacheSettings
from greenimi.cache.shelf import Shelf, Ttl
from tests.cache.stores import SharedStore


def shelf(**settings: Any) -> Shelf:
    found = CacheSettings(**settings)
    return Shelf(MemoryStore(found), found, "default")


@pytest.mark.parametrize(
    ("ttl", "lifetime"),
    [(5, 5.0), (2.5, 2.5), (timedelta(minutes=1), 60.0), (None, 30.0), (math.inf, None), (0, 0.0), (-3, 0.0), (timedelta(-1), 0.0)],
)
def test_lifetimes(ttl: Ttl, lifetime: float | None) -> None:
    assert shelf(ttl=30.0, jitter=0.0).lifetime(ttl) == lifetime


def test_without_any_ttl_there_is_no_end() -> None:
    assert shelf().lifetime(None) is None
    assert shelf(tag_ttl=100.0, jitter=0.0).lifetime(None, tagged=True) == 100.0
    assert shelf(tag_ttl=100.0, jitter=0.0).lifetime(5.0, tagged=True) == 5.0


def test_jitter_shortens_within_its_share() -> None:
    found = {shelf(jitter=0.2).lifetime(100.0) for _ in range(100)}
    assert all(lifetime is not None and 80.0 <= lifetime <= 100.0 for lifetime in found)
    assert len(found) > 50
    assert shelf(jitter=0.2).lifetime(100.0, jitter=False) == 100.0


def test_no_number_is_no_ttl() -> None:
    with pytest.raises(ValueError, match="not nan"):
        shelf().lifetime(math.nan)


def test_what_cannot_be_read_is_no_value(caplog: pytest.LogCaptureFixture) -> None:
    store: Any = SharedStore()
    found = Shelf(store, CacheSettings(), "default")
    store.set("a", b"somebody else's", None)
    store.set("b", found.pack("b", "text"), None)
    assert found.find("a") is None
    assert list(found.find_many(["a", "b", "c"])) == ["b"]
    assert found.is_dead("a")
    assert not found.is_dead("b")
    assert not found.is_dead("c")
    assert "a holds what cannot be read" in caplog.text


def test_of_many_values_the_tags_are_asked_for_once() -> None:
    store: Any = SharedStore()
    found = Shelf(store, CacheSettings(), "default")
    versions = found.tags.versions(["t", "u"])
    for number in range(5):
        tags = {"t": versions["t"]} if number % 2 else versions
        store.set(f"n{number}", found.pack("n", number, tags=tags), None)
    store.calls.clear()
    assert len(found.find_many([f"n{number}" for number in range(5)])) == 5
    assert [name for name, _ in store.calls] == ["get_many", "get_many"]
    found.tags.evict(["u"])
    assert list(found.find_many([f"n{number}" for number in range(5)])) == ["n1", "n3"]


def test_writing_collects_now_and_then() -> None:
    store: Any = SharedStore()
    found = Shelf(store, CacheSettings(), "default")
    for _ in range(99):
        found.wrote()
    assert store.calls == []
    found.wrote()
    found.wrote(99)
    assert store.calls == [("collect", 100)]
