"""A memory in front of a Redis: quick, and never old for long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from greenimi import green
from greenimi.cache.front import Cache
from greenimi.cache.settings import CacheSettings
from greenimi.cache.two_level import TwoLevelStore
from greenimi.interfaces import ICacheStore
from greenimi.testing.contracts import CacheStoreContract
from greenimi.testing.services.fixtures import StartService
from greenimi.testing.support import wait_until
from tests.cache.conftest import MakeClient
from tests.cache.stores import Clock, age_keys

LONG = 3600.0
SETTINGS = CacheSettings(jitter=0.0)


def live(store: TwoLevelStore) -> TwoLevelStore:
    wait_until(store._hears)
    return store


class TestTwoLevelStore(CacheStoreContract):
    @pytest.fixture(autouse=True)
    def _redis(self, redis_url: str, make_client: MakeClient) -> Iterator[None]:
        self.client = make_client(url=redis_url)
        self.clock = Clock(1000.0)
        self.made: list[TwoLevelStore] = []
        yield
        for store in self.made:
            store.close()

    def make(self, settings: CacheSettings) -> ICacheStore:
        store = TwoLevelStore(self.client, self.client.subscribe, settings, settings.prefix, self.clock)
        self.made.append(live(store))
        return store

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        age_keys(self.client, seconds)


class Process:
    """A store with a client of its own, as another process would have."""

    def __init__(self, client: Any, settings: CacheSettings = SETTINGS) -> None:
        self.client = client
        self.clock = Clock(0.0)
        self.store = TwoLevelStore(client, client.subscribe, settings, "p:", self.clock)


@pytest.fixture
def processes(redis_url: str, make_client: MakeClient) -> Iterator[list[Process]]:
    found = [Process(make_client(url=redis_url)) for _ in range(2)]
    for process in found:
        live(process.store)
    yield found
    for process in found:
        process.store.close()


def commands(client: Any) -> int:
    return int(client.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"])


def test_what_was_read_once_is_read_from_memory(processes: list[Process]) -> None:
    one = processes[0]
    one.store.set("a", b"1", LONG)
    assert one.store.get("a") == b"1"
    before = commands(one.client)
    assert [one.store.get("a") for _ in range(10)] == [b"1"] * 10
    assert list(one.store.get_many(["a", "a"])) == [b"1", b"1"]
    assert commands(one.client) == before


@pytest.mark.parametrize("change", ["set", "set_many", "delete", "delete_many", "clear", "increment", "touch", "add", "many"])
def test_what_another_process_changes_is_forgotten(processes: list[Process], change: str) -> None:
    one, two = processes
    one.store.set("a", b"1", LONG)
    assert one.store.get("a") == two.store.get("a") == b"1"
    expected: bytes | None = b"2"
    match change:
        case "set":
            two.store.set("a", b"2", LONG)
        case "set_many":
            two.store.set_many({"a": b"2", "b": b"3"}, LONG)
        case "increment":
            assert two.store.increment("a", 1, LONG) == 2
        case "touch":
            expected = None
            two.store.touch("a", 0.001)
            wait_until(lambda: not two.client.exists("p:a"))
        case "add":
            one.client.delete("p:a")  # as Redis does that needs its memory
            assert two.store.add("a", b"2", LONG)
        case "many":
            two.store.set_many({"a": b"2", **{f"n{number}": b"x" for number in range(2000)}}, LONG)
        case _:
            expected = None
            arguments: dict[str, list[Any]] = {"delete": ["a"], "delete_many": [["a"]], "clear": []}
            getattr(two.store, change)(*arguments[change])
    wait_until(lambda: one.store.get("a") == expected)
    assert two.store.get("a") == expected


def test_a_value_that_is_changed_while_it_is_read_is_not_kept(processes: list[Process]) -> None:
    one, two = processes
    one.store.set("a", b"old", LONG)
    far: Any = one.store._far
    read = far.get_timed

    def slowly(keys: Any) -> Any:
        found = read(keys)
        two.store.set("a", b"new", LONG)
        wait_until(lambda: "a" not in one.store._reading)
        return found

    far.get_timed = slowly
    assert one.store.get("a") == b"old", "it was so when it was asked"
    far.get_timed = read
    assert one.store.get("a") == b"new"
    assert not one.store._reading


def test_who_is_stopped_while_reading_leaves_nothing_behind(processes: list[Process]) -> None:
    one = processes[0]

    def stop(keys: Any) -> Any:
        raise green.Timeout(1)

    one.store._far.get_timed = stop  # type: ignore[method-assign]
    with pytest.raises(green.Timeout):
        one.store.get("a")
    assert not one.store._reading


def test_memory_ends_no_later_than_redis(processes: list[Process]) -> None:
    one = processes[0]
    one.store.set("a", b"1", 20.0)
    one.store.set("b", b"1", LONG)
    one.store.set("c", b"1", None)
    assert list(one.store.get_many(["a", "b", "c"])) == [b"1"] * 3
    one.clock.now += 20.1
    assert list(one.store.near.get_many(["a", "b", "c"])) == [None, b"1", b"1"]
    one.clock.now += 10.0
    assert list(one.store.near.get_many(["a", "b", "c"])) == [None] * 3, "near_ttl"


def test_the_time_that_reading_takes_counts(processes: list[Process]) -> None:
    one = processes[0]
    one.store.set("a", b"1", 10.0)
    far: Any = one.store._far
    read = far.get_timed

    def slowly(keys: Any) -> Any:
        found = read(keys)
        one.clock.now += 4.0
        return found

    far.get_timed = slowly
    assert one.store.get("a") == b"1"
    one.clock.now += 5.9
    assert one.store.near.get("a") == b"1"
    one.clock.now += 0.2
    assert one.store.near.get("a") is None


def test_leases_are_never_in_memory(processes: list[Process]) -> None:
    caches = [Cache(process.store, SETTINGS) for process in processes]
    calls: list[int] = []

    def make() -> list[int]:
        calls.append(1)
        green.sleep(0.02)
        return [len(calls)]

    asking = [green.spawn(cache.get_or_make, "a", make, 60.0, tags=("t",)) for cache in caches for _ in range(20)]
    assert [greenlet.get() for greenlet in asking] == [[1]] * 40
    assert not any("%lease" in key for process in processes for key in process.store.near._values)
    caches[0].evict_tags("t")
    wait_until(lambda: caches[1].get("a") is None)
    assert caches[1].get_or_make("a", make) == [2]


def test_without_a_subscription_memory_is_not_used(start_service: StartService, make_client: MakeClient) -> None:
    """The server goes away with all that it knows, and comes back: nothing of before is given out."""
    server = start_service("redis")
    process = Process(make_client(url=server.url, wait=5.0))
    store = live(process.store)
    store.set("a", b"1", None)
    assert store.get("a") == b"1"
    assert store.near.get("a") == b"1"
    server.kill()
    wait_until(lambda: not store._hears())
    with pytest.raises(Exception, match=r".+"):
        make_client(url=server.url, wait=0.0).get("p:a")
    server.restart()
    plain = make_client(url=server.url, wait=5.0)
    plain.set("p:a", b"2")
    assert wait_until(lambda: store.get("a")) == b"2"
    live(store)
    assert store.get("a") == b"2"
    store.close()


def test_a_connection_that_died_without_a_word_is_noticed(start_service: StartService, make_client: MakeClient) -> None:
    server = start_service("redis")
    quick = {"heartbeat": 0.1, "connect_timeout": 0.2, "timeout": 0.3, "wait": 0.0}
    process = Process(make_client(url=server.url, **quick))
    store = live(process.store)
    store.set("a", b"1", None)
    assert store.get("a") == b"1"
    server.pause()
    try:
        wait_until(lambda: not store._hears())
        with pytest.raises(Exception, match=r".+"):
            store.get("a")
    finally:
        server.resume()
    assert live(store).near.get("a") is None
    store.close()


def test_a_writer_that_cannot_publish_says_so_and_forgets(processes: list[Process]) -> None:
    one = processes[0]
    one.store.set("a", b"1", LONG)
    assert one.store.get("a") == b"1"
    real, one.store._client = one.store._client, None
    with pytest.raises(AttributeError):
        one.store.set("a", b"2", LONG)
    one.store._client = real
    assert one.store.get("a") == b"2"


def test_bounds_are_those_of_conf(redis_url: str, make_client: MakeClient) -> None:
    process = Process(make_client(url=redis_url), replace(SETTINGS, max_entries=10))
    store = live(process.store)
    store.set_many({f"n{number}": b"x" for number in range(50)}, None)
    assert None not in store.get_many([f"n{number}" for number in range(50)])
    assert len(store.near) == 10
    store.close()
