"""A Redis Cluster, slots that move, and nodes that take over."""

from __future__ import annotations

import pytest
from redis.exceptions import AskError, MovedError

from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.processes import wait_for
from greenimi.testing.services.redis_cluster import RedisCluster


def test_three_primaries_share_the_slots(redis_cluster: RedisCluster) -> None:
    assert [redis_cluster.owner(slot) for slot in (0, 5460, 5461, 10922, 10923, 16383)] == [
        node for node in redis_cluster.nodes for _ in range(2)
    ]
    assert redis_cluster.conf == ("redis", {"cluster": redis_cluster.addresses})
    assert redis_cluster.urls[0] == redis_cluster.url


def test_a_slot_moves_with_its_keys(redis_cluster: RedisCluster) -> None:
    slot = redis_cluster.nodes[0].call("CLUSTER KEYSLOT", "{x}1")
    source = redis_cluster.owner(slot)
    to = next(node for node in redis_cluster.nodes if node is not source)
    for number in range(150):
        source.call("SET", f"{{x}}{number}", number)
    redis_cluster.begin_move(slot, to)
    with pytest.raises(AskError):
        source.call("GET", "{x}none")
    redis_cluster.move_slot(slot, to)
    assert redis_cluster.owner(slot) is to
    assert to.call("GET", "{x}149") == b"149"
    with pytest.raises(MovedError):
        source.call("GET", "{x}149")
    redis_cluster.move_slot(slot, source)
    redis_cluster.move_slot(slot, source)  # it is there already
    assert source.call("GET", "{x}149") == b"149"


def test_a_replica_takes_over(start_service: StartService) -> None:
    cluster = start_service("redis_cluster", replicas=1, password="secret", node_timeout=0.5)
    assert len(cluster.nodes) == 6
    assert cluster.conf.keys["password"] == "secret"
    first, its_replica = cluster.nodes[0], cluster.nodes[3]
    assert its_replica.info("replication")["master_port"] == first.port
    first.kill()
    assert wait_for(lambda: cluster.owner(0) is its_replica, 20)
    assert its_replica.call("SET", "{06S}", "1") or cluster.owner(0) is its_replica
