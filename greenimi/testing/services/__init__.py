"""Private servers of databases and brokers, on free ports of 127.0.0.1, in folders of their own: for tests and for developers.

    with services.make("mariadb") as mariadb:
        mariadb.url

Nothing is imported here but the ground: a kind of service is looked up when one is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

KINDS: Mapping[str, str] = {
    "mariadb": "greenimi.testing.services.mariadb:MariaDB",
    "mariadb_replica": "greenimi.testing.services.mariadb:MariaDBReplica",
    "redis": "greenimi.testing.services.redis:Redis",
    "redis_replica": "greenimi.testing.services.redis:RedisReplica",
    "redis_sentinel": "greenimi.testing.services.redis_sentinel:RedisSentinel",
    "redis_cluster": "greenimi.testing.services.redis_cluster:RedisCluster",
    "postgres": "greenimi.testing.services.postgres:Postgres",
    "rabbitmq": "greenimi.testing.services.rabbitmq:RabbitMQ",
    "mosquitto": "greenimi.testing.services.mosquitto:Mosquitto",
}
"""The kinds of services and their classes."""


def make(kind: str, **settings: Any) -> Any:
    """A service that is not started yet, see :mod:`greenimi.testing.services.service`.

    ``settings`` are the arguments of its class.  ValueError for a kind that there is not.
    """
    try:
        module, _, name = KINDS[kind].partition(":")
    except KeyError:
        raise ValueError(f"no service is called {kind!r}; there are: {', '.join(KINDS)}") from None
    return getattr(import_module(module), name)(**settings)
