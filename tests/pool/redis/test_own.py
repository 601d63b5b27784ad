from __future__ import annotations

import pytest
from redis.connection import Connection

from greenimi.pool.errors import LeaseError
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.errors import NotSent
from greenimi.testing.support import free_port, wait_until
from tests.pool.redis.conftest import MakeRedis


@pytest.fixture
def client(make_redis: MakeRedis) -> Redis:
    return make_redis()


def test_to_redis_py_a_pool(client: Redis) -> None:
    connection = client.own.get_connection()
    assert isinstance(connection, Connection)
    assert client.own.blocking.statistics().busy == 1
    client.own.release(connection)
    client.own.release(connection)
    assert client.own.get_connection() is connection
    connection.disconnect()
    client.own.release(connection)
    assert client.own.blocking.size == 0
    assert client.own.get_encoder().encode("ä") == "ä".encode()
    assert client.own.get_protocol() == 3


def test_lends(client: Redis) -> None:
    lease = client.own.lend()
    with lease as connection:
        assert client.own.pool.statistics().busy == 1
        connection.send_command("PING")
        assert connection.read_response() == b"PONG"
    with pytest.raises(LeaseError):
        lease.release()


def test_an_unread_reply_is_nobody_elses(client: Redis) -> None:
    with client.own.lend() as connection:
        connection.send_command("ECHO", "forgotten")
        wait_until(lambda: connection.unread(0))
    with client.own.lend() as other:
        assert other is not connection


def test_lost_while_idle(client: Redis) -> None:
    with client.own.lend() as connection:
        connection.send_command("CLIENT", "ID")
        number = connection.read_response()
    client.client_kill_filter(_id=number)
    wait_until(lambda: connection.unread(0))
    with client.own.lend() as other:
        assert other is not connection


def test_no_server(make_redis: MakeRedis) -> None:
    with pytest.raises(NotSent, match="refused"):
        make_redis(f"redis://127.0.0.1:{free_port()}").own.lend()


def test_fieldsets_are_kept_for_all_connections(client: Redis) -> None:
    with client.own.lend() as first, client.own.lend() as second:
        assert first.himport_registry is second.himport_registry is client.himport_registry
