"""Asking and hearing Sentinels."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.sentinel import Sentinels
from greenimi.pool.redis.settings import RedisSettings
from greenimi.testing.services.redis import Redis
from greenimi.testing.services.redis_sentinel import RedisSentinel
from greenimi.testing.support import wait_until


def asked(watched: RedisSentinel, **settings: Any) -> Sentinels:
    return Sentinels(RedisSettings(**{"sentinels": watched.addresses, "service": watched.name, **settings}))


def address(server: Any) -> Address:
    return Address(server.host, server.port)


def test_all_are_asked(redis_sentinel: RedisSentinel) -> None:
    sentinels = asked(redis_sentinel, sentinels=["127.0.0.1:1", *redis_sentinel.addresses])
    assert wait_until(lambda: sentinels.primary() == address(redis_sentinel.primary))
    assert wait_until(lambda: set(sentinels.replicas()) == {address(server) for server in redis_sentinel.replicas})


def test_a_silent_one_costs_no_more_than_a_moment(redis_sentinel: RedisSentinel) -> None:
    silent = redis_sentinel.sentinels[0]
    silent.pause()
    try:
        sentinels = asked(redis_sentinel, connect_timeout=30.0)
        assert sentinels.primary() in {address(server) for server in redis_sentinel.servers}
    finally:
        silent.resume()


def test_nobody_knows(redis_sentinel: RedisSentinel) -> None:
    with pytest.raises(redis.sentinel.MasterNotFoundError, match=r"no Sentinel says where the primary 'other' is: .*No such master"):
        asked(redis_sentinel, service="other").primary()
    assert asked(redis_sentinel, service="other").replicas() == []


def test_the_latest_fail_over_counts() -> None:
    sentinels = Sentinels(RedisSettings(sentinels=["a", "b", "c"], service="main"))
    known = {"a": ("10.0.0.1", "1", "3"), "b": ("10.0.0.2", "2", "4"), "c": ("10.0.0.1", "1", "3")}

    def answer(where: Address, questions: tuple[str, ...]) -> list[Any]:
        host, port, epoch = known[where.host]
        return [["ip", "10.0.0.9", "config-epoch", epoch], [host.encode(), port.encode()]]

    sentinels._answer = answer  # type: ignore[method-assign, assignment]
    assert sentinels.primary() == Address("10.0.0.2", 2)


def test_what_they_tell_is_heard(redis_server: Redis) -> None:
    """A server stands for a Sentinel here, since those tell nothing on demand."""
    sentinels = Sentinels(RedisSettings(sentinels=[f"127.0.0.1:{redis_server.port}"], service="main"))
    changes: list[int] = []
    sentinels.listen(lambda: changes.append(1))
    wait_until(lambda: changes)  # as soon as it is heard: something may have been missed before
    for told in ("other 10.0.0.1 1 10.0.0.2 2", "main 10.0.0.1 1 10.0.0.2 2"):
        assert redis_server.call("PUBLISH", "+switch-master", told) == 1
    wait_until(lambda: len(changes) == 2)
    assert redis_server.call("PUBLISH", "+promoted-slave", "slave 10.0.0.3:3 10.0.0.3 3 @ main 10.0.0.2 2") == 1
    wait_until(lambda: len(changes) == 3)
    sentinels.close()
    wait_until(lambda: not redis_server.call("PUBSUB", "CHANNELS", "+*"))
    assert len(changes) == 3
