"""Values of one message: gone when its handling ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zope.interface import implementer

from greenimi.cache.memory import MemoryStore
from greenimi.cache.settings import CacheSettings
from greenimi.container.context import current
from greenimi.interfaces import ILocalCacheStore

__all__ = ["MessageStore"]


@implementer(ILocalCacheStore)
class MessageStore:
    """A memory for each message, seen by all greenlets that work on it.  Where there is no message it forgets everything at once."""

    shared = False

    def __init__(self, settings: CacheSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now = now

    def _own(self) -> MemoryStore:
        scope = current.get(None)
        if scope is None:
            return MemoryStore(self._settings, self._now)
        if scope.beans is None:
            scope.beans = {}
        found: MemoryStore | None = scope.beans.get(self)
        if found is None:
            found = scope.beans[self] = MemoryStore(self._settings, self._now)
        return found

    def get(self, key: str) -> Any:
        return self._own().get(key)

    def get_many(self, keys: Sequence[str]) -> Sequence[Any]:
        return self._own().get_many(keys)

    def set(self, key: str, value: Any, lifetime: float | None) -> None:
        self._own().set(key, value, lifetime)

    def set_many(self, values: Mapping[str, Any], lifetime: float | None) -> None:
        self._own().set_many(values, lifetime)

    def add(self, key: str, value: Any, lifetime: float | None) -> bool:
        return self._own().add(key, value, lifetime)

    def touch(self, key: str, lifetime: float | None) -> bool:
        return self._own().touch(key, lifetime)

    def delete(self, key: str) -> bool:
        return self._own().delete(key)

    def delete_many(self, keys: Sequence[str]) -> int:
        return self._own().delete_many(keys)

    def clear(self) -> None:
        self._own().clear()

    def increment(self, key: str, by: int, lifetime: float | None) -> int:
        return self._own().increment(key, by, lifetime)

    def collect(self, limit: int) -> int:
        return self._own().collect(limit)

    def close(self) -> None:
        """Each message gives back its own."""
