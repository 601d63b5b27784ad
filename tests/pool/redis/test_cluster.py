"""A Cluster whose slots move and whose nodes fail, under load."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import Context
from dataclasses import replace
from typing import Any

import pytest
import redis
from redis.cluster import ClusterNode
from redis.crc import key_slot

from greenimi import green
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing.services.redis_cluster import RedisCluster
from greenimi.testing.support import wait_until


@pytest.fixture
def client(redis_cluster: RedisCluster) -> Iterator[Any]:
    client = make_client(RedisSettings(cluster=redis_cluster.addresses, wait=5.0))
    client.flushall()
    yield client
    client.close()


def elsewhere(cluster: RedisCluster, slot: int) -> Any:
    """A primary that does not have the slot."""
    return next(node for node in cluster.nodes if node is not cluster.owner(slot))


def test_a_moved_slot_is_found(client: Any, redis_cluster: RedisCluster) -> None:
    client.set("key", 1)
    slot = key_slot(b"key")
    target = elsewhere(redis_cluster, slot)
    redis_cluster.move_slot(slot, target)
    assert client.incr("key") == 2
    assert client.get_node_from_key("key").port == target.port


def test_keys_on_their_way(client: Any, redis_cluster: RedisCluster) -> None:
    slot = key_slot(b"t")
    client.set("{t}:here", 1)
    target = elsewhere(redis_cluster, slot)
    redis_cluster.begin_move(slot, target)
    assert client.get("{t}:here") == b"1"
    assert client.incr("{t}:new") == 1  # ASK: it is made at the target
    assert client.get("{t}:new") == b"1"
    assert client.get("{t}:none") is None
    waiting = green.spawn(client.blpop, "{t}:list", 5)
    with client.pipeline() as pipe:
        pipe.get("{t}:here").get("{t}:new").incr("{t}:more")
        assert pipe.execute() == [b"1", b"1", 1]
    assert client.rpush("{t}:list", "x") == 1
    assert list(waiting.get(timeout=5)) == [b"{t}:list", b"x"]
    redis_cluster.move_slot(slot, target)
    assert client.mget("{t}:here", "{t}:new", "{t}:more") == [b"1", b"1", b"1"]


def test_several_keys_of_a_slot_that_moves_wait_for_it(client: Any, redis_cluster: RedisCluster) -> None:
    slot = key_slot(b"t")
    client.mset({"{t}:a": 1, "{t}:b": 2})
    target = elsewhere(redis_cluster, slot)
    redis_cluster.begin_move(slot, target)
    source = redis_cluster.owner(slot)
    source.call("MIGRATE", target.host, target.port, "{t}:a", 0, 1000)
    waiting = green.spawn(client.mget, "{t}:a", "{t}:b")  # one is here, the other there: TRYAGAIN
    green.sleep(0.1)
    redis_cluster.move_slot(slot, target)
    assert waiting.get(timeout=5) == [b"1", b"2"]


def test_slots_move_under_load_and_every_count_is_right(client: Any, redis_cluster: RedisCluster) -> None:
    keys = [f"{{{number}}}:n" for number in range(24)]
    counts = dict.fromkeys(keys, 0)
    running = True

    def work(key: str) -> None:
        while running:
            counts[key] += 1
            assert client.incr(key) == counts[key]

    greenlets = [green.spawn(work, key) for key in keys]
    for number in range(8):
        slot = key_slot(f"{number}".encode())
        redis_cluster.move_slot(slot, elsewhere(redis_cluster, slot))
    assert set(client.scan_each()) >= {key.encode() for key in keys}
    running = False
    for greenlet in greenlets:
        greenlet.get()
    assert {key: int(client.get(key)) for key in keys} == counts
    assert min(counts.values()) > 0


def test_what_may_have_been_executed_is_not_sent_twice(client: Any, redis_cluster: RedisCluster) -> None:
    client.set("key", 1)
    node = redis_cluster.owner(key_slot(b"key"))
    node.pause()
    try:
        waiting = [green.spawn(client.incr, "key"), green.spawn(client.get, "key")]
        green.sleep(0.05)
        client.client_of(client.get_node_from_key("key")).link.give_up("a test")
        with pytest.raises(redis.ConnectionError, match="unknown whether"):
            waiting[0].get(timeout=5)
    finally:
        node.resume()
    assert waiting[1].get(timeout=5) in (b"1", b"2")
    assert wait_until(lambda: client.get("key")) in (b"1", b"2")


def test_a_node_without_slots_is_asked_too(redis_cluster: RedisCluster, client: Any) -> None:
    slot = key_slot(b"t")
    source = redis_cluster.owner(slot)
    target = next(node for node in redis_cluster.nodes if node is not source)
    redis_cluster.begin_move(slot, target)
    client.nodes_manager.nodes_cache.pop(f"127.0.0.1:{target.port}")  # as if it were new
    assert client.incr("{t}:new") == 1
    client.refresh()
    assert client.incr("{t}:new") == 2
    redis_cluster.move_slot(slot, target)


def test_clients_of_nodes_that_left_are_closed_in_the_end(client: Any) -> None:
    client.settings = replace(client.settings, timeout=0.01)
    gone = client.client_of(ClusterNode("127.0.0.1", 1))
    assert not gone.link.is_open
    client.refresh()
    assert "127.0.0.1:1" in client._clients
    green.sleep(0.03)
    client.refresh()
    assert "127.0.0.1:1" not in client._clients
    with pytest.raises(redis.ConnectionError, match="was closed"):
        gone.get("key")


def test_without_any_node_the_error_says_so() -> None:
    with pytest.raises(redis.exceptions.RedisClusterException, match="reachable node"):
        make_client(RedisSettings(cluster=["127.0.0.1:1"], connect_timeout=0.5))


def test_a_replica_takes_over(start_service: Any) -> None:
    cluster = start_service("redis_cluster", replicas=1, node_timeout=0.5)
    client = make_client(RedisSettings(cluster=cluster.addresses, wait=10.0, read_from="replica"))
    client.set("key", 1)
    assert wait_until(lambda: Context().run(client.get, "key")) == b"1"  # from the replica
    owner = cluster.owner(key_slot(b"key"))
    subscription = client.subscribe("news")
    client.set_default_node(client.get_node_from_key("key"))
    owner.kill()
    assert client.ping()  # any node will do
    assert client.set("key", 2)
    assert client.get_node_from_key("key").port != owner.port
    assert wait_until(lambda: Context().run(client.get, "key") == b"2")
    assert subscription.live.wait(5)
    client.close()
