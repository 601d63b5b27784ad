"""The cache that applications use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from greenimi import green
from greenimi.cache.front import Cache
from greenimi.cache.making import LEASE
from greenimi.cache.memory import MemoryStore
from greenimi.cache.settings import CacheSettings
from tests.cache.stores import Clock, SharedStore


@dataclass
class User:
    id: int
    name: str


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture(params=["memory", "shared"])
def store(request: pytest.FixtureRequest, clock: Clock) -> Any:
    settings = CacheSettings()
    return MemoryStore(settings, clock) if request.param == "memory" else SharedStore(settings, clock)


@pytest.fixture
def cache(store: Any) -> Cache:
    return Cache(store, CacheSettings(jitter=0.0))


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, False, 0, 42, -7, 1.5, "", "text", b"\x00", [1, [2]], {"a": {"b": None}}], ids=repr)
def test_values_come_back(cache: Cache, value: Any) -> None:
    cache.set("a", value)
    found = cache.get("a", "default")
    assert found == value
    assert type(found) is type(value)
    assert cache.has("a")
    assert cache.get_many(["a", "b"]) == {"a": value}


def test_what_is_not_there(cache: Cache) -> None:
    assert cache.get("a") is None
    assert cache.get("a", 5) == 5
    assert not cache.has("a")
    assert cache.get_many(["a"]) == {}
    assert cache.get_many([]) == {}
    assert not cache.delete("a")
    assert cache.delete_many([]) == 0
    assert not cache.touch("a")


def test_nobody_shares_an_object_with_the_cache(cache: Cache) -> None:
    mine = {"items": [1]}
    cache.set("a", mine)
    mine["items"].append(2)
    found = cache.get("a")
    found["items"].append(3)
    assert cache.get("a") == {"items": [1]}
    made = cache.get_or_make("b", lambda: mine)
    made["items"].append(4)
    assert cache.get_or_make("b", lambda: mine) == {"items": [1, 2]}


def test_a_kind_makes_it_what_it_was(cache: Cache) -> None:
    cache.set("a", User(1, "ann"))
    assert cache.get("a", kind=User) == User(1, "ann")
    assert cache.get("a") == {"id": 1, "name": "ann"}
    assert cache.get("a", kind=list[int]) is None
    assert cache.get_many(["a"], kind=User) == {"a": User(1, "ann")}
    assert cache.get_or_make("a", lambda: User(2, "bob"), kind=User) == User(1, "ann")
    assert cache.get_or_make("a", lambda: [1], kind=list[int]) == [1], "a value of another kind is as good as none"


def test_the_first_call_gets_what_the_second_gets(cache: Cache) -> None:
    """Else a mistake would show in production only."""
    pair: Any = (1, 2)
    assert cache.get_or_make("a", lambda: pair) == [1, 2]
    assert cache.get_or_make("a", lambda: pair) == [1, 2]
    with pytest.raises(TypeError, match="b would not come back as"):
        cache.get_or_make("b", lambda: ["a"], kind=list[int])
    assert not cache.has("b")


def test_what_cannot_be_kept_is_an_error_that_names_the_key(cache: Cache) -> None:
    writes: list[Any] = [lambda: cache.set("a", object()), lambda: cache.add("a", object()), lambda: cache.get_or_make("a", object)]
    for write in writes:
        with pytest.raises(TypeError, match="cache default: a cannot be kept as msgpack"):
            write()
    assert not cache.has("a")
    bad: Any = 5
    for write in (lambda: cache.set(bad, 1), lambda: cache.add(bad, 1), lambda: cache.increment(bad)):
        with pytest.raises(TypeError, match="the key of a value is text, not 5"):
            write()


def test_codecs(store: Any) -> None:
    for codec, value in (("json", {"a": [1.5]}), ("raw", b"\xff"), ("raw", "text"), ("msgpack", {1: b"x"})):
        cache = Cache(store, CacheSettings(codec=codec))
        cache.set("a", value)
        assert cache.get("a") == value


# -- time --------------------------------------------------------------------------------------------------------------


def test_values_end(cache: Cache, clock: Clock) -> None:
    cache.set("seconds", 1, 10)
    cache.set("delta", 1, timedelta(seconds=10))
    cache.set_many({"many": 1}, 10.0)
    cache.add("add", 1, 10.0)
    cache.get_or_make("make", lambda: 1, 10.0)
    cache.set("inf", 1, math.inf)
    cache.set("none", 1)
    names = ["seconds", "delta", "many", "add", "make", "inf", "none"]
    clock.now += 9.9
    assert list(cache.get_many(names)) == names
    clock.now += 0.2
    assert list(cache.get_many(names)) == ["inf", "none"]


def test_the_caches_own_ttl(store: Any, clock: Clock) -> None:
    cache = Cache(store, CacheSettings(ttl=10.0, jitter=0.5))
    cache.set("a", 1)
    cache.add("b", 1)
    cache.increment("c")
    clock.now += 4.9
    assert cache.has("a")
    clock.now += 5.0
    assert cache.has("b"), "jitter is for values that may be made again"
    assert cache.get("c") == 1
    clock.now += 0.2
    assert not any(map(cache.has, "abc"))


@pytest.mark.parametrize("ttl", [0, -5, timedelta(0)])
def test_what_is_over_already_is_not_there(cache: Cache, ttl: Any) -> None:
    cache.set_many({"a": 1, "b": 1, "c": 1, "d": 1})
    cache.set("a", 2, ttl)
    cache.set_many({"b": 2}, ttl)
    assert cache.touch("c", ttl)
    assert cache.increment("d", 5, ttl) == 5
    assert cache.add("e", 1, ttl)
    assert cache.get_or_make("f", lambda: 7, ttl) == 7
    assert cache.get_many("abcdef") == {}


def test_touch(cache: Cache, clock: Clock) -> None:
    cache.set("a", 1, 10.0)
    clock.now += 8.0
    assert cache.touch("a", 10.0)
    clock.now += 8.0
    assert cache.touch("a", math.inf)
    clock.now += 1000.0
    assert cache.get("a") == 1


# -- None, and what is not to be kept ----------------------------------------------------------------------------------


def test_none_is_kept(cache: Cache) -> None:
    calls: list[int] = []
    for _ in range(3):
        assert cache.get_or_make("a", lambda: calls.append(1)) is None
    assert len(calls) == 1
    assert cache.get("a", "default") is None
    assert not cache.add("a", 1)


def test_none_may_end_sooner(store: Any, clock: Clock) -> None:
    cache = Cache(store, CacheSettings(negative=5.0, jitter=0.0))
    cache.get_or_make("a", lambda: None, 60.0)
    cache.get_or_make("b", lambda: 1, 60.0)
    cache.get_or_make("c", lambda: None, 60.0, negative=20.0)
    cache.get_or_make("d", lambda: None, 60.0, negative=0.0)
    assert cache.get_many("abcd") == {"a": None, "b": 1, "c": None}
    clock.now += 6.0
    assert cache.get_many("abcd") == {"b": 1, "c": None}


def test_when_says_what_is_kept(cache: Cache) -> None:
    assert cache.get_or_make("a", list, when=bool) == []
    assert not cache.has("a")
    assert cache.get_or_make("a", lambda: [1], when=bool) == [1]
    assert cache.has("a")


# -- counting, adding --------------------------------------------------------------------------------------------------


def test_counting(cache: Cache, clock: Clock) -> None:
    assert cache.increment("a") == 1
    assert cache.increment("a", 4, 10.0) == 5
    assert cache.increment("a", -6) == -1
    assert cache.get("a") == -1
    cache.set("b", 41)
    assert cache.increment("b") == 42
    cache.set("c", "text")
    with pytest.raises(ValueError, match="no number"):
        cache.increment("c")
    assert cache.get("c") == "text"


def test_of_those_who_add_one_is_told_so(cache: Cache) -> None:
    assert [cache.add("a", number) for number in range(3)] == [True, False, False]
    assert cache.get("a") == 0


def test_what_nobody_can_read_is_in_nobodys_way(cache: Cache, store: Any) -> None:
    store.set("a", b"somebody else's", None)
    assert cache.add("a", 1)
    cache.set("b", 1, tags=("t",))
    cache.evict_tags("t")
    assert cache.add("b", 2)
    assert cache.get_many("ab") == {"a": 1, "b": 2}


# -- tags --------------------------------------------------------------------------------------------------------------


def test_values_go_with_their_tags(cache: Cache) -> None:
    cache.set("a", 1, tags=("x",))
    cache.set_many({"b": 2, "c": [3]}, tags=("x", "y"))
    cache.add("d", 4, tags=["y"])
    cache.get_or_make("e", lambda: 5, tags=lambda: ["z"])
    cache.set("f", 6)
    cache.set("x", 7)
    cache.evict_tags("none")
    assert len(cache.get_many("abcdefx")) == 7
    cache.evict_tags("x")
    assert cache.get_many("abcdefx") == {"d": 4, "e": 5, "f": 6, "x": 7}
    assert not cache.has("a")
    assert cache.get("b") is None
    cache.set("a", 8, tags=("x",))
    cache.evict_tags("y", "z")
    assert cache.get_many("abcdefx") == {"a": 8, "f": 6, "x": 7}
    cache.evict_tags()
    assert cache.get("a") == 8


def test_tags_live_no_longer_than_conf_says(store: Any, clock: Clock) -> None:
    cache = Cache(store, CacheSettings(tag_ttl=100.0, jitter=0.0))
    cache.set("a", 1, math.inf, tags=("x",))
    clock.now += 99.0
    assert cache.has("a")
    clock.now += 2.0
    assert not cache.has("a")


def test_one_text_is_not_several_tags(cache: Cache) -> None:
    with pytest.raises(TypeError, match=r'tags=\("user:1",\)'):
        cache.set("a", 1, tags="user:1")


# -- a store that fails ------------------------------------------------------------------------------------------------


@pytest.fixture
def shared() -> Any:
    return SharedStore()


def test_reading_goes_on_without_the_store(shared: Any, caplog: pytest.LogCaptureFixture) -> None:
    cache = Cache(shared, CacheSettings(pause=0.0))
    cache.set("a", 1)
    shared.failing = ConnectionError("refused")
    assert cache.get("a") is None
    assert cache.get("a", 5) == 5
    assert cache.get_many(["a"]) == {}
    assert not cache.has("a")
    assert [cache.get_or_make("a", lambda: 7, tags=("t",)) for _ in range(2)] == [7, 7]
    assert len(caplog.records) == 1
    assert cache.statistics().failed > 5
    shared.failing = None
    assert cache.get("a") == 1


def test_whoever_changes_something_is_told(shared: Any) -> None:
    """An old value would remain, or a number would be wrong."""
    cache = Cache(shared, CacheSettings())
    shared.failing = ConnectionError("refused")
    for change in (
        lambda: cache.set("a", 1),
        lambda: cache.set_many({"a": 1, "b": 2}),
        lambda: cache.add("a", 1),
        lambda: cache.touch("a"),
        lambda: cache.increment("a"),
        lambda: cache.delete("a"),
        lambda: cache.delete_many(["a"]),
        lambda: cache.evict_tags("t"),
        cache.clear,
    ):
        with pytest.raises(ConnectionError, match="refused"):
            change()


def test_conf_may_have_readers_told_too(shared: Any) -> None:
    cache = Cache(shared, CacheSettings(errors="raise"))
    shared.failing = ConnectionError("refused")
    for read in (lambda: cache.get("a"), lambda: cache.get_many(["a"]), lambda: cache.get_or_make("a", lambda: 1)):
        with pytest.raises(ConnectionError, match="refused"):
            read()


def test_a_store_that_failed_is_left_alone_for_a_while(shared: Any) -> None:
    cache = Cache(shared, CacheSettings(pause=60.0))
    shared.failing = ConnectionError("refused")
    cache.get("a")
    shared.calls.clear()
    assert cache.get("a") is None
    assert cache.get_many(["a"]) == {}
    assert cache.get_or_make("a", lambda: 5, tags=("t",)) == 5
    assert shared.calls == []


@pytest.mark.parametrize("call", ["get", "get_many", "add", "set", "delete", "touch"])
def test_it_may_fail_at_any_point_of_making(shared: Any, call: str) -> None:
    cache = Cache(shared, CacheSettings(pause=0.0, wait=0.02))
    cache.set("other", 1, tags=("t",))

    def before(name: str, key: Any) -> None:
        shared.failing = ConnectionError("refused") if name == call else None

    shared.before = before
    assert [cache.get_or_make("a", lambda: 5, tags=("t",)) for _ in range(3)] == [5, 5, 5]
    shared.before = shared.failing = None
    assert cache.get_or_make("a", lambda: 5) == 5


def test_who_is_stopped_at_any_point_leaves_nothing_behind(shared: Any) -> None:
    settings = CacheSettings(wait=5.0)
    cache = Cache(shared, settings)
    Cache(shared, settings).get_or_make("a", lambda: 1, tags=("t",))
    steps = len(shared.calls)
    for step in range(1, steps + 1):
        shared.inside.clear()
        shared.calls.clear()

        def before(name: str, key: Any, step: int = step) -> None:
            if len(shared.calls) == step:
                raise green.Timeout(1)

        shared.before = before
        with pytest.raises(green.Timeout):
            cache.get_or_make("a", lambda: 1, tags=("t",))
        shared.before = None
        shared.inside.delete(LEASE + "a")  # what ends by itself when its holder could not give it back
        assert cache.get_or_make("a", lambda: 2, tags=("t",)) in (1, 2)
        assert not cache._making._flights


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_statistics(cache: Cache) -> None:
    cache.get("a")
    cache.get_or_make("a", lambda: 1)
    cache.get_or_make("a", lambda: 1)
    cache.get("a")
    cache.get_many(["a", "b"])
    found = cache.statistics()
    assert (found.hits, found.misses, found.made, found.failed) == (3, 3, 1, 0)


def test_it_says_what_it_is(cache: Cache) -> None:
    assert repr(cache).startswith("<Cache default in ")


def test_closing_closes_the_store(shared: Any) -> None:
    Cache(shared).close()
    assert shared.calls == [("close", None)]
