"""Values in a Redis, each under a key of its own: standalone, behind Sentinels, or a Cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from zope.interface import implementer

from greenimi.interfaces import ICacheStore
from greenimi.pool.redis.scripts import Script

__all__ = ["RedisStore", "chunks", "keys_below", "milliseconds"]

_CHUNK = 500
"""Keys of one command."""

_INCREMENT = Script("""
local fresh = redis.call('EXISTS', KEYS[1]) == 0
local number = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(number) == 'table' then
    if string.find(number.err, 'not an integer') or string.find(number.err, 'overflow') or string.find(number.err, 'WRONGTYPE') then
        return false
    end
    return number
end
if fresh and ARGV[2] ~= '' then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1])
""")


def milliseconds(lifetime: float | None) -> int | None:
    return None if lifetime is None else max(1, round(lifetime * 1000))


def chunks(keys: Iterable[str]) -> Iterator[list[str]]:
    found = iter(keys)
    while some := list(islice(found, _CHUNK)):
        yield some


def keys_below(client: Any, prefix: str) -> Iterator[bytes]:
    """All keys of the server, or of the Cluster, that begin so; no command looks at more than a page of them."""
    scan = getattr(client, "scan_each", None) or client.scan_iter
    found: Iterator[bytes] = scan(match=re.sub(r"([\\*?\[\]])", r"\\\1", prefix) + "*", count=1000)
    return found


@implementer(ICacheStore)
class RedisStore:
    """Redis itself ends the values, and bounds them by its ``maxmemory``.  On a Cluster no command has keys of two nodes.

    ``client``: with the commands of redis.Redis, giving bytes.  It is not this store's own, and stays open.
    """

    def __init__(self, client: Any, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._cluster = hasattr(client, "mget_nonatomic")

    def get(self, key: str) -> bytes | None:
        found: bytes | None = self._client.get(self._prefix + key)
        return found

    def get_many(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        ask = self._client.mget_nonatomic if self._cluster else self._client.mget
        return [value for some in chunks(keys) for value in ask([self._prefix + key for key in some])]

    def get_timed(self, keys: Sequence[str]) -> Sequence[tuple[bytes, float | None] | None]:
        """The values, each with the seconds that are left of its time."""
        found: list[tuple[bytes, float | None] | None] = []
        for some in chunks(keys):
            pipeline = self._client.pipeline(transaction=False)
            for key in some:
                pipeline.get(self._prefix + key)
                pipeline.pttl(self._prefix + key)
            replies = pipeline.execute()
            found += map(_timed, replies[::2], replies[1::2])
        return found

    def set(self, key: str, value: bytes, lifetime: float | None) -> None:
        self._client.set(self._prefix + key, value, px=milliseconds(lifetime))

    def set_many(self, values: Mapping[str, bytes], lifetime: float | None) -> None:
        for some in chunks(values):
            pipeline = self._client.pipeline(transaction=False)
            for key in some:
                pipeline.set(self._prefix + key, values[key], px=milliseconds(lifetime))
            pipeline.execute()

    def add(self, key: str, value: bytes, lifetime: float | None) -> bool:
        return bool(self._client.set(self._prefix + key, value, px=milliseconds(lifetime), nx=True))

    def touch(self, key: str, lifetime: float | None) -> bool:
        name = self._prefix + key
        if lifetime is None:
            return bool(self._client.persist(name)) or bool(self._client.exists(name))
        return bool(self._client.pexpire(name, milliseconds(lifetime)))

    def delete(self, key: str) -> bool:
        return bool(self._client.unlink(self._prefix + key))

    def delete_many(self, keys: Sequence[str]) -> int:
        return self._unlink(self._prefix + key for key in keys)

    def clear(self) -> None:
        self._unlink(keys_below(self._client, self._prefix))

    def _unlink(self, names: Iterable[Any]) -> int:
        count = 0
        for some in chunks(names):
            if self._cluster:
                pipeline = self._client.pipeline(transaction=False)
                for name in some:
                    pipeline.unlink(name)
                count += sum(pipeline.execute())
            else:
                count += self._client.unlink(*some)
        return count

    def increment(self, key: str, by: int, lifetime: float | None) -> int:
        found = _INCREMENT([self._prefix + key], [by, milliseconds(lifetime) or ""], self._client)
        if found is None:
            raise ValueError("the value is no number that can be added to, or would have more than 64 bits")
        return int(found)

    def collect(self, limit: int) -> int:
        return 0

    def close(self) -> None:
        """There is nothing to give back."""


def _timed(value: bytes | None, left: int) -> tuple[bytes, float | None] | None:
    if value is None or left == 0 or left < -1:  # it ended between the two
        return None
    return value, None if left == -1 else left / 1000
