"""Redis and a replica of it."""

from __future__ import annotations

import socket

import pytest
from redis.exceptions import AuthenticationError, ReadOnlyError

from greenimi.testing.services.fixtures import StartService
from greenimi.testing.services.redis import Redis, RedisReplica


def test_nothing_is_on_disk_unless_asked(start_service: StartService) -> None:
    redis = start_service("redis")
    redis.call("SET", "key", "value")
    redis.restart()
    assert redis.call("GET", "key") is None


def test_the_unix_socket_and_the_url(redis_server: Redis) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(redis_server.socket))
        client.sendall(b"PING\r\n")
        assert client.recv(10) == b"+PONG\r\n"
    assert redis_server.url == f"redis://127.0.0.1:{redis_server.port}/0"
    assert redis_server.conf == ("redis", {"url": redis_server.url})


def test_passwords_and_options(start_service: StartService) -> None:
    redis = start_service("redis", password='p@ss "word', options={"databases": "3"})
    assert redis.url.startswith("redis://:p%40ss%20%22word@127.0.0.1:")
    assert redis.call("CONFIG GET", "databases")["databases"] == "3"
    redis.password = ""
    with pytest.raises(AuthenticationError):
        redis.call("PING")


def test_redis_url_is_empty(redis_server: Redis, redis_url: str) -> None:
    assert redis_url == redis_server.url
    assert redis_server.call("DBSIZE") == 0
    redis_server.call("SET", "left", "over")


def test_redis_url_is_empty_again(redis_server: Redis, redis_url: str) -> None:
    assert redis_server.call("DBSIZE") == 0


def test_a_replica_follows_and_refuses_writes(redis_server: Redis, redis_replica: RedisReplica) -> None:
    assert redis_replica.primary is redis_server
    assert redis_replica.conf == ("redis", {"url": redis_server.url, "replicas": [redis_replica.url]})
    redis_server.call("SET", "key", "value")
    redis_replica.catch_up()
    assert redis_replica.call("GET", "key") == b"value"
    with pytest.raises(ReadOnlyError):
        redis_replica.call("SET", "key", "other")


def test_a_replica_with_a_primary_of_its_own(start_service: StartService) -> None:
    replica = start_service("redis_replica", password="secret")
    primary = replica.primary
    assert replica.urls == [primary.url, replica.url]
    assert len(replica.processes) == len(replica.folders) == 2
    primary.kill()
    primary.start()
    replica.restart()
    primary.call("SET", "key", "value")
    replica.catch_up()
    assert replica.call("GET", "key") == b"value"
    replica.remove()
    assert primary.processes == []
