"""A memory in front of a Redis: what one process changes, the memories of the others forget."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from zope.interface import implementer

from greenimi.cache.making import LEASE
from greenimi.cache.memory import MemoryStore
from greenimi.cache.redis import RedisStore
from greenimi.cache.settings import CacheSettings
from greenimi.interfaces import ICacheStore

__all__ = ["Subscribe", "TwoLevelStore"]

_MOST = 1000
"""Keys of one message; of more changes at once others forget everything."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[bytes, list[str] | None]).decode


class Subscribe(Protocol):
    """How to hear what is published on a channel; a gap, without ``data``, tells that something may have been missed."""

    def __call__(self, names: str, callback: Callable[[Any], object], *, timeout: float) -> Any: ...


@implementer(ICacheStore)
class TwoLevelStore:
    """Whoever writes publishes which keys.  Memory is used only while the server is known to send what is published.

    So a value is old for as long as a message takes; when a connection dies without a word, until that is noticed (``heartbeat`` and
    ``connect_timeout`` of ``[redis.NAME]``); and in no case longer than ``near_ttl``, also when a writer died before it published.
    """

    def __init__(
        self, client: Any, subscribe: Subscribe, settings: CacheSettings, prefix: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.near = MemoryStore(settings, now)
        self._far = RedisStore(client, prefix)
        self._client = client
        self._subscribe = subscribe
        self._channel = f"{prefix}%changed"
        self._longest = settings.near_ttl
        self._now = now
        self._me = secrets.token_bytes(8)
        self._subscription: Any = None
        self._reading: dict[str, object] = {}  # what is on its way from far; whoever changes a key takes it out

    def _hears(self) -> bool:
        """Everything that is published is heard."""
        if self._subscription is None:
            self._subscription = self._subscribe(self._channel, self._hear, timeout=0)
        return bool(self._subscription.live.is_set())

    def _hear(self, heard: Any) -> None:
        data = getattr(heard, "data", None)
        sender, keys = (b"", None) if data is None else _decode(data)
        if sender != self._me:
            self._forget(keys)

    def _forget(self, keys: Sequence[str] | None) -> None:
        if keys is None:
            self._reading.clear()
            self.near.clear()
            return
        for key in keys:
            self._reading.pop(key, None)
            self.near.delete(key)

    def _changed(self, keys: Sequence[str] | None) -> None:
        """Whether or not the change succeeded: nobody knows after an error.  Leases are in no memory."""
        told = None if keys is None else [key for key in keys if not key.startswith(LEASE)]
        self._forget(told)
        if told != []:
            self._client.publish(self._channel, _encode((self._me, None if told is None or len(told) > _MOST else told)))

    # -- reading ---------------------------------------------------------------------------------------------------
    def get(self, key: str) -> bytes | None:
        if self._hears():
            found: bytes | None = self.near.get(key)
            if found is not None:
                return found
        return self._fetch([key])[0]

    def get_many(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        near = dict(zip(keys, self.near.get_many(keys), strict=True)) if self._hears() else {}
        missing = list(dict.fromkeys(key for key in keys if near.get(key) is None))
        near.update(zip(missing, self._fetch(missing), strict=True))
        return [near[key] for key in keys]

    def _fetch(self, keys: Sequence[str]) -> list[bytes | None]:
        """From far; into memory, unless somebody changes it meanwhile."""
        if not self._hears():
            return list(self._far.get_many(keys))
        mine, began = object(), self._now()
        self._reading.update(dict.fromkeys(keys, mine))
        try:
            found = self._far.get_timed(keys)
            for key, timed in zip(keys, found, strict=True):
                if timed is not None and self._reading.get(key) is mine and self._hears() and not key.startswith(LEASE):
                    value, left = timed
                    self.near.set(key, value, min(self._longest, (math.inf if left is None else left) - (self._now() - began)))
        finally:
            for key in keys:
                if self._reading.get(key) is mine:
                    del self._reading[key]
        return [None if timed is None else timed[0] for timed in found]

    # -- writing ---------------------------------------------------------------------------------------------------
    def set(self, key: str, value: bytes, lifetime: float | None) -> None:
        try:
            self._far.set(key, value, lifetime)
        finally:
            self._changed([key])

    def set_many(self, values: Mapping[str, bytes], lifetime: float | None) -> None:
        try:
            self._far.set_many(values, lifetime)
        finally:
            self._changed(list(values))

    def add(self, key: str, value: bytes, lifetime: float | None) -> bool:
        added = self._far.add(key, value, lifetime)
        if added:
            self._changed([key])
        return added

    def touch(self, key: str, lifetime: float | None) -> bool:
        try:
            return self._far.touch(key, lifetime)
        finally:
            self._changed([key])

    def delete(self, key: str) -> bool:
        try:
            return self._far.delete(key)
        finally:
            self._changed([key])

    def delete_many(self, keys: Sequence[str]) -> int:
        try:
            return self._far.delete_many(keys)
        finally:
            self._changed(list(keys))

    def clear(self) -> None:
        try:
            self._far.clear()
        finally:
            self._changed(None)

    def increment(self, key: str, by: int, lifetime: float | None) -> int:
        try:
            return self._far.increment(key, by, lifetime)
        finally:
            self._changed([key])

    def collect(self, limit: int) -> int:
        return self.near.collect(limit)

    def close(self) -> None:
        """The client is not this store's own, and stays open."""
        if self._subscription is not None:
            self._subscription.close()
        self.near.close()
