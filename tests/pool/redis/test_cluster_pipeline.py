"""Pipelines and transactions on a Cluster whose slots move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.crc import key_slot

from greenimi import green
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing.services.redis_cluster import RedisCluster

KEYS = [f"{{{number}}}:n" for number in range(9)]


@pytest.fixture
def client(redis_cluster: RedisCluster) -> Iterator[Any]:
    client = make_client(RedisSettings(cluster=redis_cluster.addresses, wait=5.0))
    client.flushall()
    yield client
    client.close()


def elsewhere(cluster: RedisCluster, slot: int) -> Any:
    """A primary that does not have the slot."""
    return next(node for node in cluster.nodes if node is not cluster.owner(slot))


def test_commands_of_moved_slots_are_sent_on(client: Any, redis_cluster: RedisCluster) -> None:
    for key in KEYS:
        client.set(key, 0)
    for number in range(0, len(KEYS), 2):
        slot = key_slot(f"{number}".encode())
        redis_cluster.move_slot(slot, elsewhere(redis_cluster, slot))
    with client.pipeline() as pipe:
        for key in KEYS:
            pipe.incr(key).incr(key)
        assert pipe.execute() == [1, 2] * len(KEYS)


def test_what_may_have_been_executed_is_not_sent_again(client: Any, redis_cluster: RedisCluster) -> None:
    for key in KEYS:
        client.set(key, 1)
    node = redis_cluster.nodes[0]
    here = [client.get_node_from_key(key).port == node.port for key in KEYS]
    assert any(here)
    assert not all(here)
    node.pause()
    try:
        with client.pipeline() as pipe:
            for key in KEYS:
                pipe.incr(key)
            running = green.spawn(pipe.execute, raise_on_error=False)
            green.sleep(0.1)
            client.client_of(client.get_node(host=node.host, port=node.port)).link.give_up("a test")
            found = running.get(timeout=5)
    finally:
        node.resume()
    assert [isinstance(each, redis.ConnectionError) for each in found] == here
    assert all(int(client.get(key)) <= 2 for key in KEYS)


def test_a_node_of_ones_choice(client: Any) -> None:
    node = client.get_primaries()[0]
    with client.pipeline() as pipe:
        pipe.execute_command("DBSIZE", target_nodes=node)
        assert pipe.execute() == [0]
        pipe.execute_command("DBSIZE", target_nodes="primaries")
        with pytest.raises(redis.exceptions.RedisClusterException, match="3 nodes, which is not possible"):
            pipe.execute()


def test_a_transaction_follows_its_slot(client: Any, redis_cluster: RedisCluster) -> None:
    slot = key_slot(b"t")
    client.set("{t}:a", 1)
    redis_cluster.move_slot(slot, elsewhere(redis_cluster, slot))
    with client.pipeline(transaction=True) as pipe:
        pipe.incr("{t}:a").incr("{t}:a")
        assert pipe.execute() == [2, 3]


def test_a_transaction_waits_for_a_slot_on_its_way(client: Any, redis_cluster: RedisCluster) -> None:
    slot = key_slot(b"t")
    client.set("{t}:a", 1)
    target = elsewhere(redis_cluster, slot)
    redis_cluster.begin_move(slot, target)
    with client.pipeline(transaction=True) as pipe:
        pipe.incr("{t}:a").incr("{t}:new")
        running = green.spawn(pipe.execute)
        green.sleep(0.1)
        redis_cluster.move_slot(slot, target)
        assert running.get(timeout=5) == [2, 1]


def test_watched_keys_that_move_have_changed(client: Any, redis_cluster: RedisCluster) -> None:
    slot = key_slot(b"t")
    client.set("{t}:a", 3)
    with client.pipeline(transaction=True) as pipe:
        pipe.watch("{t}:a")
        redis_cluster.move_slot(slot, elsewhere(redis_cluster, slot))
        pipe.multi()
        pipe.incr("{t}:a")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.get("{t}:a") == b"3"

    def add(pipe: Any) -> None:
        pipe.multi()
        pipe.incr("{t}:a")

    redis_cluster.move_slot(slot, elsewhere(redis_cluster, slot))
    assert client.transaction(add, "{t}:a") == [4]


def test_unwatching(client: Any) -> None:
    client.set("{t}:a", 1)
    with client.pipeline(transaction=True) as pipe:
        pipe.watch("{t}:a")
        client.incr("{t}:a")
        pipe.unwatch()
        pipe.incr("{t}:a")
        assert pipe.execute() == [3]


def test_keys_of_several_slots_are_refused_as_redis_py_does(client: Any) -> None:
    with pytest.raises(redis.exceptions.RedisClusterException, match="same key slot"):
        client.mget("a", "b")
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", 1)
        pipe.set("b", 1)
        with pytest.raises(redis.exceptions.CrossSlotTransactionError):
            pipe.execute()
    assert client.mset_nonatomic({"a": 1, "b": 2})
    assert client.mget_nonatomic("b", "a") == [b"2", b"1"]
    assert client.delete("a", "b") == 2
