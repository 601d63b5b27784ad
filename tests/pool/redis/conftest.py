"""Fixtures of the tests of Redis clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from greenimi.pool.redis.client import Redis


class MakeRedis(Protocol):
    def __call__(self, url: str = ..., **settings: Any) -> Redis: ...


@pytest.fixture
def make_redis(redis_url: str) -> Iterator[MakeRedis]:
    """``make_redis(timeout=1.0)``: a client of the server of ``redis_url``, or of another one; closed at the end."""
    made: list[Redis] = []

    def make(url: str = redis_url, **settings: Any) -> Redis:
        made.append(Redis.from_url(url, **settings))
        return made[-1]

    yield make
    for client in made:
        client.close()
