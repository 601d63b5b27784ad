"""Values in a Redis: the contract on every client, and that nothing else there is touched."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import RedisError, ResponseError

from greenimi.cache.front import Cache
from greenimi.cache.redis import RedisStore
from greenimi.cache.settings import CacheSettings
from greenimi.interfaces import ICacheStore
from greenimi.testing.contracts import CacheStoreContract
from greenimi.testing.services.fixtures import StartService
from greenimi.testing.support import wait_until
from tests.cache.conftest import MakeClient
from tests.cache.stores import age_keys

LONG = 3600.0


class TestRedisStore(CacheStoreContract):
    @pytest.fixture(autouse=True)
    def _redis(self, redis_url: str, make_client: MakeClient) -> None:
        self.client = make_client(url=redis_url)

    def make(self, settings: CacheSettings) -> ICacheStore:
        return RedisStore(self.client, settings.prefix)

    def pass_time(self, seconds: float) -> None:
        age_keys(self.client, seconds)


class TestRedisStoreOfRedisPy(TestRedisStore):
    @pytest.fixture(autouse=True)
    def _redis(self, redis_url: str, make_plain: MakeClient) -> None:
        self.client = make_plain(redis_url)


class TestRedisStoreOfCluster(TestRedisStore):
    @pytest.fixture(autouse=True)
    def _redis(self, redis_cluster: Any, make_client: MakeClient) -> None:
        self.client = make_client(cluster=redis_cluster.addresses)
        self.client.flushall()


@pytest.fixture
def client(redis_url: str, make_client: MakeClient) -> Any:
    return make_client(url=redis_url)


def test_clearing_leaves_others_alone(client: Any) -> None:
    store = RedisStore(client, "cache:mine:")
    client.set("cache:min", "1")
    client.set("elsewhere", "2")
    client.hset("cache:", "a", "3")
    store.set_many({f"n{number}": b"x" for number in range(1500)}, LONG)
    assert client.dbsize() == 1503
    store.clear()
    assert sorted(client.keys("*")) == [b"cache:", b"cache:min", b"elsewhere"]


def test_keys_are_below_the_prefix_and_end_by_themselves(client: Any) -> None:
    store = RedisStore(client, "p:")
    store.set("a", b"1", 100.0)
    store.set_many({"b": b"1"}, 100.0)
    store.add("c", b"1", 0.0001)
    store.increment("d", 1, 100.0)
    store.increment("d", 1, 900.0)
    store.set("e", b"1", None)
    assert {name for name in client.keys("*") if name != b"p:c"} == {b"p:a", b"p:b", b"p:d", b"p:e"}
    assert all(99 <= client.ttl(name) <= 100 for name in ("p:a", "p:b", "p:d"))
    assert client.ttl("p:e") == -1


def test_what_is_left_of_the_time_is_told(client: Any) -> None:
    store = RedisStore(client, "p:")
    store.set("a", b"1", 100.0)
    store.set("b", b"2", None)
    (value, left), other, none = store.get_timed(["a", "b", "none"])  # type: ignore[misc]
    assert value == b"1"
    assert left is not None
    assert 99 < left <= 100
    assert other == (b"2", None)
    assert none is None


def test_an_error_that_is_none_of_the_number_is_raised(client: Any) -> None:
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(ResponseError, match="maxmemory"):
            RedisStore(client, "p:").increment("a", 1, None)
    finally:
        client.config_set("maxmemory", "0")


def test_a_list_is_no_number(client: Any) -> None:
    client.lpush("p:a", "1")
    with pytest.raises(ValueError, match="no number"):
        RedisStore(client, "p:").increment("a", 1, None)


def test_a_server_that_goes_away_fails_no_reader(start_service: StartService, make_client: MakeClient) -> None:
    server = start_service("redis")
    cache = Cache(RedisStore(make_client(url=server.url, wait=0.0, connect_timeout=0.5, timeout=0.5), "p:"), CacheSettings(pause=0.0))
    cache.set("a", [1])
    server.kill()
    assert cache.get_or_make("a", lambda: [2]) == [2]
    assert cache.get("a") is None
    assert cache.get_many(["a"]) == {}
    for change in (lambda: cache.set("a", [3]), lambda: cache.delete("a"), lambda: cache.evict_tags("t")):
        with pytest.raises(RedisError):
            change()
    server.restart()
    wait_until(lambda: cache.get_or_make("a", lambda: [4]) == [4] and cache.get("a") == [4])
    assert cache.get_or_make("a", lambda: [5]) == [4]
