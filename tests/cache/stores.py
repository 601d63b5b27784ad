"""A clock to set, stores that fail or dawdle on demand, and clients of Redis for stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from zope.interface import implementer

from greenimi.cache.memory import MemoryStore
from greenimi.cache.settings import CacheSettings
from greenimi.interfaces import ICacheStore
from greenimi.pool.redis.clients import make_client
from greenimi.pool.redis.settings import RedisSettings


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@implementer(ICacheStore)
class SharedStore:
    """Bytes in this process, told apart from a memory: as if several processes had it in common.

    ``failing``: what every call raises.  ``before``: called with the name of each call and its first argument, before it is made.
    """

    def __init__(self, settings: CacheSettings | None = None, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.inside = MemoryStore(settings or CacheSettings(), clock)
        self.failing: Exception | None = None
        self.before: Callable[[str, Any], object] | None = None
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inside, name)

        def call(*args: Any) -> Any:
            first = args[0] if args else None
            self.calls.append((name, first))
            if self.before is not None:
                self.before(name, first)
            if self.failing is not None:
                raise self.failing
            assert all(isinstance(value, bytes) for value in args[1:2] if name in ("set", "add"))
            return method(*args)

        return call


@contextmanager
def plain_client(url: str) -> Iterator[Any]:
    """A client of redis-py itself."""
    client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=2.0)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def own_client(**settings: Any) -> Iterator[Any]:
    """A client of greenimi's, for these keys of ``[redis.NAME]``."""
    client = make_client(RedisSettings(**settings))
    try:
        yield client
    finally:
        client.close()


def age_keys(client: Any, seconds: float) -> None:
    """Have all keys of a server end so much earlier."""
    for name in list(client.scan_iter()):
        left = client.pttl(name)
        if left > 0:
            client.pexpire(name, max(0, left - round(seconds * 1000)))


def age_fields(client: Any, seconds: float) -> None:
    """The same for the fields of hashes that a RedisHashStore keeps."""
    for name in list(client.scan_iter()):
        for field, kept in client.hgetall(name).items():
            ends, _, value = kept.partition(b":")
            if ends:
                client.hset(name, field, b"%d:%b" % (int(ends) - round(seconds * 1000), value))
