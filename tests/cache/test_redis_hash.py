"""Values in the hashes of a Redis."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi.cache.redis_hash import RedisHashStore
from greenimi.cache.settings import CacheSettings
from greenimi.interfaces import ICacheStore
from greenimi.testing.contracts import CacheStoreContract
from tests.cache.conftest import MakeClient
from tests.cache.stores import age_fields

LONG = 3600.0


class TestRedisHashStore(CacheStoreContract):
    @pytest.fixture(autouse=True)
    def _redis(self, redis_url: str, make_client: MakeClient) -> None:
        self.client = make_client(url=redis_url)

    def make(self, settings: CacheSettings) -> ICacheStore:
        return RedisHashStore(self.client, settings.prefix)

    def pass_time(self, seconds: float) -> None:
        age_fields(self.client, seconds)


class TestRedisHashStoreOfCluster(TestRedisHashStore):
    @pytest.fixture(autouse=True)
    def _redis(self, redis_cluster: Any, make_client: MakeClient) -> None:
        self.client = make_client(cluster=redis_cluster.addresses)
        self.client.flushall()


@pytest.fixture
def client(redis_url: str, make_client: MakeClient) -> Any:
    return make_client(url=redis_url)


def test_where_values_are(client: Any) -> None:
    store = RedisHashStore(client, "p:")
    store.set_many({"cart->1": b"x", "cart->2": b"y", "plain": b"z"}, None)
    client.hset("p", "a", "somebody else's")
    assert sorted(client.keys("*")) == [b"p", b"p:", b"p:cart"]
    assert client.hgetall("p:cart") == {b"1": b":x", b"2": b":y"}
    assert client.hgetall("p:") == {b"plain": b":z"}
    store.clear()
    assert client.keys("*") == [b"p"]


@pytest.mark.parametrize("count", [40, 3000])
def test_what_is_over_is_removed_from_all_hashes(client: Any, count: int) -> None:
    store = RedisHashStore(client, "p:")
    store.set_many({f"h{number % 3}->over{number}": b"x" for number in range(count)}, 10.0)
    store.set_many({"h1->alive": b"x", "plain": b"y"}, LONG)
    age_fields(client, 20.0)
    removed = [store.collect(500) for _ in range(40)]
    assert max(removed) <= 500
    assert sum(removed) == count
    assert sum(client.hlen(name) for name in client.keys("p:*")) == 2


def test_a_field_that_was_spoilt_is_an_error_for_counting_only(client: Any) -> None:
    store = RedisHashStore(client, "p:")
    client.hset("p:", "a", ":text")
    assert store.get("a") == b"text"
    with pytest.raises(ValueError, match="no number"):
        store.increment("a", 1, None)
    assert client.hget("p:", "a") == b":text"
