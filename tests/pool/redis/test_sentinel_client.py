"""A client of a primary that changes."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ReadOnlyError

from greenimi import green
from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.errors import NotSent, Unanswered
from greenimi.pool.redis.pubsub import Gap, Published
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing.services.redis_sentinel import RedisSentinel
from greenimi.testing.support import wait_until


def address(server: Any) -> Address:
    return Address(server.host, server.port)


def make(service: RedisSentinel, **settings: Any) -> Any:
    return make_client(RedisSettings(sentinels=service.addresses, service=service.name, **settings))


def test_a_server_that_is_no_primary_is_not_written_to(redis_sentinel: RedisSentinel) -> None:
    client = make(redis_sentinel, wait=0.3)
    replica = next(server for server in redis_sentinel.servers if server.info("replication")["role"] == "slave")
    client.sentinels.primary = lambda: address(replica)  # as Sentinels say that lag behind
    with pytest.raises(NotSent, match="is no primary, but a slave"):
        client.set("key", 1)
    del client.sentinels.primary
    assert wait_until(lambda: _set(client))
    client.close()


def _set(client: Any) -> bool:
    try:
        return bool(client.set("key", 1))
    except NotSent:
        return False


def test_a_primary_that_became_read_only_is_left(redis_sentinel: RedisSentinel) -> None:
    client = make(redis_sentinel, wait=5.0)
    client.set("key", 1)
    losses = client.link.losses
    refusals = [ReadOnlyError("READONLY You can't write against a read only replica.")] * 2
    send = client.link.send

    def refuse_twice(data: bytes) -> Any:
        if refusals:
            raise refusals.pop()
        return send(data)

    client.link.send = refuse_twice
    assert client.incr("key") == 2
    assert client.link.losses > losses
    client.close()


def test_connections_to_the_old_primary_are_not_current(redis_sentinel: RedisSentinel) -> None:
    client = make(redis_sentinel)
    connection = client.open_connection()
    assert client.is_current(connection)
    client._set(Address("10.0.0.1", 1))
    assert not client.is_current(connection)
    connection.disconnect()
    client.close()


def test_a_fail_over_under_load(start_service: Any) -> None:
    service = start_service("redis_sentinel", replicas=1)
    client = make_client(RedisSettings(sentinels=service.addresses, service=service.name, wait=15.0))
    counts = dict.fromkeys(range(8), 0)
    unknown = dict.fromkeys(range(8), 0)
    running = True

    def work(number: int) -> None:
        while running:
            try:
                found = client.incr(f"n:{number}")
                counts[number] += 1
                assert found <= counts[number] + unknown[number]
            except Unanswered:
                unknown[number] += 1

    queue = client.subscribe("news")
    greenlets = [green.spawn(work, number) for number in counts]
    wait_until(lambda: min(counts.values()) > 0)
    before = client.address
    dead = service.primary
    dead.kill()
    wait_until(lambda: client.address != before, 20)
    done = dict(counts)
    wait_until(lambda: all(counts[number] > done[number] for number in counts))
    running = False
    for greenlet in greenlets:
        greenlet.get(timeout=20)
    assert all(count <= 1 for count in unknown.values())
    for number, count in counts.items():
        found = int(client.get(f"n:{number}"))
        assert done[number] // 2 < found <= count + unknown[number]  # the last before the kill may not have reached the replica
    assert queue.live.wait(5)
    assert isinstance(queue.get(5), Gap)
    client.publish("news", "again")
    assert queue.get(5) == Published("news", b"again")
    dead.start()  # as a primary, until a Sentinel has told it: nobody writes to it
    assert client.set("key", 1)
    assert client.address == address(service.primary)
    client.close()
