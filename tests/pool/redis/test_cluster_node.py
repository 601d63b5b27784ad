"""The client of one node."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.crc import key_slot

from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.cluster_node import ClusterNodeClient
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing.services.redis_cluster import RedisCluster


def test_asking_opens_the_next_command_only(redis_cluster: RedisCluster) -> None:
    slot = key_slot(b"asked")
    source = redis_cluster.owner(slot)
    target = next(node for node in redis_cluster.nodes if node is not source)
    redis_cluster.begin_move(slot, target)
    client: Any = ClusterNodeClient(RedisSettings(), "test", address=Address(target.host, target.port))
    with pytest.raises(redis.exceptions.MovedError):
        client.hset("asked", "a", 1)
    assert client.execute_asking("HSET", "asked", "a", 1) == 1
    assert client.execute_asking("HGETALL", "asked") == {b"a": b"1"}
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.execute_asking("GET", "asked")
    with pytest.raises(redis.exceptions.MovedError):
        client.hgetall("asked")
    client.execute_asking("DEL", "asked")
    client.execute_asking("RPUSH", "asked", "x")
    assert list(client.execute_asking("BLPOP", "asked", 1)) == [b"asked", b"x"]
    client.close()
    redis_cluster.move_slot(slot, target)


def test_reading_on_a_replica_is_asked_for_on_each_connection(redis_cluster: RedisCluster) -> None:
    node = redis_cluster.nodes[0]
    client: Any = ClusterNodeClient(RedisSettings(read_from="replica"), "test", address=Address(node.host, node.port))
    before = node.info("commandstats").get("cmdstat_readonly", {"calls": 0})["calls"]
    assert client.ping()
    client.open_connection().disconnect()
    assert node.info("commandstats")["cmdstat_readonly"]["calls"] == before + 2
    client.close()
