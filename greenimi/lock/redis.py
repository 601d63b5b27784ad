"""Locks in a Redis, for all who use it: standalone, behind Sentinels, or a Cluster."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol
from zlib import crc32

from zope.interface import implementer

from greenimi.green import Event
from greenimi.interfaces import ISharedLockStore
from greenimi.lock.redis_scripts import ACQUIRE, HELD, RELEASE, RENEW

_SPREAD = 256
"""Parts that locks are spread over: each has a number of its own for fencing, and is on one node of a cluster."""

_LONGEST = 60.0
"""Seconds after which who waits asks again in any case."""

Grant = tuple[int, float]


class Subscribe(Protocol):
    """How to hear what is published on a channel; a gap is told when something may have been missed."""

    def __call__(self, names: str, callback: Callable[[Any], object], *, timeout: float) -> Any: ...


@implementer(ISharedLockStore)
class RedisStore:
    """Each call is one script: one round trip.  A lock that nobody waits for is released without telling anybody.

    Who waits has one subscription in common with all others of its process, and asks again when the lock was released, or when the lease
    that was in its way is over.
    """

    def __init__(self, client: Any, subscribe: Subscribe, prefix: str = "lock:default:") -> None:
        """``client``: with the commands of redis.Redis."""
        self._client = client
        self._subscribe = subscribe
        self._prefix = prefix
        self._channel = f"{prefix}released"
        self._subscription: Any = None
        self._waiting: dict[str, list[Event]] = {}

    def acquire(self, name: str, token: str, lease: float, wait: float) -> Grant | None:
        return self.share(name, token, lease, wait, 1)

    def share(self, name: str, token: str, lease: float, wait: float, limit: int) -> Grant | None:
        began = time.monotonic()
        keys = self._keys(name)
        grant, _ = self._ask(keys, token, lease, limit, 0.0, 0.0)
        if grant is not None or wait <= 0:
            return grant
        heard = Event()
        self._waiting.setdefault(name, []).append(heard)
        try:
            self._listen()
            while True:
                heard.clear()
                waited = time.monotonic() - began
                left = min(wait - waited, _LONGEST)
                grant, pause = self._ask(keys, token, lease, limit, waited, max(0.0, left))
                if grant is not None:
                    return grant
                if left <= 0:
                    return None
                heard.wait(min(pause, left))
        finally:
            self._waiting[name].remove(heard)
            if not self._waiting[name]:
                del self._waiting[name]
            if grant is None:
                self._run(RELEASE, keys[:2], token, self._channel, name)

    def _ask(self, keys: list[str], token: str, lease: float, limit: int, waited: float, wait: float) -> tuple[Grant | None, float]:
        """The grant; without one, after how many seconds to ask again."""
        asked = time.monotonic()
        found = int(self._run(ACQUIRE, keys, token, _milliseconds(lease), limit, _milliseconds(waited), _milliseconds(wait)))
        return ((found, asked), 0.0) if found > 0 else (None, -found / 1000)

    def renew(self, name: str, token: str, lease: float) -> bool:
        return bool(self._run(RENEW, self._keys(name)[:1], token, _milliseconds(lease)))

    def release(self, name: str, token: str) -> bool:
        return bool(self._run(RELEASE, self._keys(name)[:2], token, self._channel, name))

    def held(self, name: str) -> bool:
        return bool(self._run(HELD, self._keys(name)[:1]))

    def _run(self, script: Any, keys: list[str], *args: object) -> Any:
        return script(keys, args, self._client)

    def _keys(self, name: str) -> list[str]:
        """All of one part are together on a cluster, because they have the same text in braces."""
        part = f"{self._prefix}{{{crc32(name.encode()) % _SPREAD:02x}}}"
        return [f"{part}:held:{name}", f"{part}:waiting:{name}", f"{part}:fencing"]

    # -- hearing of releases -------------------------------------------------------------------------------------------
    def _listen(self) -> None:
        """Does not wait: when the subscription begins to work a gap is told, and everybody asks again."""
        if self._subscription is None or self._subscription.closed:
            self._subscription = self._subscribe(self._channel, self._hear, timeout=0)

    def _hear(self, heard: Any) -> None:
        """In the greenlet that reads for all subscribers.  ``heard`` without data is a gap."""
        data = getattr(heard, "data", None)
        found = self._waiting.values() if data is None else [self._waiting.get(_text(data), [])]
        for events in found:
            for event in events:
                event.set()

    def close(self) -> None:
        """The client is not this store's own, and stays open."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None


def _milliseconds(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode()
