"""Clients by which tests reach a Redis, and stores of locks on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from greenimi.lock.redis import RedisStore
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.settings import RedisSettings
from greenimi.pool.redis.subscriptions import Subscriptions


@contextmanager
def plain_store(url: str) -> Iterator[RedisStore]:
    """A store on a client of redis-py itself."""
    client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=2.0)

    def connect() -> Any:
        connection = client.connection_pool.connection_class(**client.connection_pool.connection_kwargs | {"protocol": 2})
        connection.connect()
        return connection

    subscriptions = Subscriptions(connect, heartbeat=1.0)
    store = RedisStore(client, subscriptions.subscribe)
    try:
        yield store
    finally:
        store.close()
        subscriptions.close()
        client.close()


@contextmanager
def own_store(**settings: Any) -> Iterator[RedisStore]:
    """A store on a client of greenimi's, for these keys of ``[redis.NAME]``."""
    client = make_client(RedisSettings(**settings))
    store = RedisStore(client, client.subscribe)
    try:
        yield store
    finally:
        store.close()
        client.close()
