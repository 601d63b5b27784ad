"""The fixtures of services.  Each is started when a test first asks for it, and ends with the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from greenimi.testing import services

if TYPE_CHECKING:
    from greenimi.testing.services.mariadb import MariaDB, MariaDBReplica
    from greenimi.testing.services.mosquitto import Mosquitto
    from greenimi.testing.services.postgres import Postgres
    from greenimi.testing.services.rabbitmq import RabbitMQ
    from greenimi.testing.services.redis import Redis, RedisReplica
    from greenimi.testing.services.redis_cluster import RedisCluster
    from greenimi.testing.services.redis_sentinel import RedisSentinel


class StartService(Protocol):
    """Starts a service that belongs to this test alone, for tests that do damage; it is removed after the test."""

    def __call__(self, kind: str, **settings: Any) -> Any:
        """``kind`` is one of :data:`greenimi.testing.services.KINDS`, ``settings`` are the arguments of its class."""


@pytest.fixture
def start_service() -> Iterator[StartService]:
    with ExitStack() as ends:
        yield lambda kind, **settings: ends.enter_context(services.make(kind, **settings))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with services.make("mariadb") as service:
        yield service


@pytest.fixture(scope="session")
def mariadb_replica(mariadb: MariaDB) -> Iterator[MariaDBReplica]:
    """Follows the server of ``mariadb``, which is its ``primary``."""
    with services.make("mariadb_replica", primary=mariadb) as service:
        yield service


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    with services.make("redis") as service:
        yield service


@pytest.fixture(scope="session")
def redis_replica(redis_server: Redis) -> Iterator[RedisReplica]:
    """Follows the server of ``redis_server``, which is its ``primary``."""
    with services.make("redis_replica", primary=redis_server) as service:
        yield service


@pytest.fixture(scope="session")
def redis_sentinel() -> Iterator[RedisSentinel]:
    """A primary, two replicas, three Sentinels."""
    with services.make("redis_sentinel") as service:
        yield service


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """Three primaries."""
    with services.make("redis_cluster") as service:
        yield service


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with services.make("postgres") as service:
        yield service


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    with services.make("rabbitmq") as service:
        yield service


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[Mosquitto]:
    with services.make("mosquitto") as service:
        yield service


@pytest.fixture
def mysql_url(mariadb: MariaDB) -> Iterator[str]:
    """Of a fresh schema on the server of ``mariadb``; it is dropped after the test."""
    with mariadb.schema() as name:
        yield mariadb.url_of(name)


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """Of a fresh database on the server of ``postgres``; it is dropped after the test, with the connections that were left open."""
    with postgres.schema() as name:
        yield postgres.url_of(name)


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """Of the server of ``redis_server``, emptied before the test."""
    redis_server.call("FLUSHALL")
    return redis_server.url
