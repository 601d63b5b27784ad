"""Reads from real replicas."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import Context
from typing import Any

import pytest

from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing.services.redis import RedisReplica
from greenimi.testing.support import wait_until


def calls(server: Any, command: str) -> int:
    """How many such commands a server has executed."""
    found: int = server.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]
    return found


@pytest.fixture
def client(redis_replica: RedisReplica) -> Iterator[Any]:
    redis_replica.primary.call("FLUSHALL")
    redis_replica.primary.call("SET", "key", "1")
    redis_replica.catch_up()
    client = make_client(RedisSettings(port=redis_replica.primary.port, replicas=[f"127.0.0.1:{redis_replica.port}"], read_from="replica"))
    client.replicas.look()
    yield client
    client.close()


def test_reads_go_to_the_replica_and_what_was_written_to_the_primary(client: Any, redis_replica: RedisReplica) -> None:
    primary = redis_replica.primary

    def message() -> None:
        before = calls(redis_replica, "get"), calls(primary, "get")
        assert client.get("key") == b"1"
        assert (calls(redis_replica, "get"), calls(primary, "get")) == (before[0] + 1, before[1])
        client.set("key", "2")
        assert client.get("key") == b"2"
        assert (calls(redis_replica, "get"), calls(primary, "get")) == (before[0] + 1, before[1] + 1)

    Context().run(message)
    redis_replica.catch_up()
    assert Context().run(client.get, "key") == b"2"


def test_a_pipeline_counts_as_a_write(client: Any, redis_replica: RedisReplica) -> None:
    def message() -> None:
        with client.pipeline() as pipe:
            pipe.set("key", "3").execute()
        before = calls(redis_replica, "get")
        assert client.get("key") == b"3"
        assert calls(redis_replica, "get") == before

    Context().run(message)


def test_scans_stay_on_one_server(client: Any, redis_replica: RedisReplica) -> None:
    before = calls(redis_replica, "scan")
    assert Context().run(lambda: list(client.scan_each())) == [b"key"]
    assert calls(redis_replica, "scan") == before


def test_without_its_replica_the_primary_answers(start_service: Any) -> None:
    replica = start_service("redis_replica")
    client = make_client(RedisSettings(port=replica.primary.port, replicas=[replica.url], read_from="replica"))
    client.replicas.look()
    replica.primary.call("SET", "key", "1")
    replica.catch_up()
    for _ in range(3):
        assert Context().run(client.get, "key") == b"1"
    replica.kill()
    for _ in range(20):
        assert Context().run(client.get, "key") == b"1"
    replica.start()
    before = calls(replica, "get")
    assert wait_until(lambda: Context().run(client.get, "key") == b"1" and calls(replica, "get") > before)
    client.close()
