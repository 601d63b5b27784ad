"""Redis with Sentinels, and what they do when the primary is gone."""

from __future__ import annotations

from greenimi.testing.services.fixtures import StartService


def test_sentinels_replace_a_primary_that_is_gone(start_service: StartService) -> None:
    redis = start_service("redis_sentinel", password="secret", down_after=0.3)
    assert [len(redis.servers), len(redis.sentinels), len(redis.processes)] == [3, 3, 6]
    assert redis.conf == ("redis", {"sentinels": redis.addresses, "service": "main", "password": "secret"})
    first = redis.primary
    assert first is redis.servers[0]
    assert redis.url == first.url
    assert {server.info("replication")["role"] for server in redis.replicas} == {"slave"}
    first.call("SET", "key", "value")
    for replica in redis.replicas:
        replica.catch_up()
    second = redis.fail_over()
    assert second is not first
    assert second.call("GET", "key") == b"value"
    assert redis.primary is second
    assert redis.url == second.url
