"""Values in the memory of this process."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from zope.interface import implementer

from greenimi.cache.settings import CacheSettings
from greenimi.interfaces import ILocalCacheStore

__all__ = ["MemoryStore", "add_to"]

_OVERHEAD = 250
"""Bytes that each value takes besides its key and itself, roughly."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def add_to(value: Any, by: int) -> int:
    """The number in ``value`` with ``by`` added.  ValueError as contracts of stores say."""
    if not isinstance(value, bytes) or not value.removeprefix(b"-").isdigit() or len(value) > 20:
        raise ValueError("the value is no number that can be added to")
    number = int(value) + by
    if not _SMALLEST <= number <= _LARGEST:
        raise ValueError(f"the number {number} has more than 64 bits")
    return number


@implementer(ILocalCacheStore)
class MemoryStore:
    """At most ``max_entries`` and ``max_bytes``; beyond, the one that was not used for longest goes.  A larger value is not kept.

    For one operating-system thread; never blocks.
    """

    shared = True

    def __init__(self, settings: CacheSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._most = settings.max_entries
        self._room = settings.max_bytes
        self._now = now
        self._values: OrderedDict[str, tuple[Any, float, int]] = OrderedDict()  # value, end, size; last used last
        self._sweep: list[str] = []  # keys that collect has still to look at
        self.size = 0
        """Bytes that are taken."""

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str) -> Any:
        found = self._values.get(key)
        if found is None:
            return None
        if found[1] <= self._now():
            self._drop(key)
            return None
        self._values.move_to_end(key)
        return found[0]

    def get_many(self, keys: Sequence[str]) -> Sequence[Any]:
        return [self.get(key) for key in keys]

    def set(self, key: str, value: Any, lifetime: float | None) -> None:
        self._drop(key)
        size = len(key) + _OVERHEAD + (len(value) if isinstance(value, bytes) else value.size)
        if size > self._room:
            return
        self._values[key] = value, math.inf if lifetime is None else self._now() + lifetime, size
        self.size += size
        while len(self._values) > self._most or self.size > self._room:
            self._drop(next(iter(self._values)))

    def set_many(self, values: Mapping[str, Any], lifetime: float | None) -> None:
        for key, value in values.items():
            self.set(key, value, lifetime)

    def add(self, key: str, value: Any, lifetime: float | None) -> bool:
        if self.get(key) is not None:
            return False
        self.set(key, value, lifetime)
        return True

    def touch(self, key: str, lifetime: float | None) -> bool:
        value = self.get(key)
        if value is None:
            return False
        self.set(key, value, lifetime)
        return True

    def delete(self, key: str) -> bool:
        found = self.get(key) is not None
        self._drop(key)
        return found

    def delete_many(self, keys: Sequence[str]) -> int:
        return sum([self.delete(key) for key in keys])

    def clear(self) -> None:
        self._values.clear()
        self._sweep.clear()
        self.size = 0

    def increment(self, key: str, by: int, lifetime: float | None) -> int:
        value = self.get(key)
        if value is None:
            self.set(key, b"%d" % add_to(b"0", by), lifetime)
            return by
        number = add_to(value, by)
        end = self._values[key][1]
        self.set(key, b"%d" % number, None if end == math.inf else end - self._now())
        return number

    def collect(self, limit: int) -> int:
        """Look at the next ``limit`` of all, which takes a turn after the other."""
        if not self._sweep:
            self._sweep = list(self._values)
        now = self._now()
        looked = list(islice(self._sweep, len(self._sweep) - min(limit, len(self._sweep)), None))
        del self._sweep[len(self._sweep) - len(looked) :]
        over = [key for key in looked if key in self._values and self._values[key][1] <= now]
        for key in over:
            self._drop(key)
        return len(over)

    def close(self) -> None:
        self.clear()

    def _drop(self, key: str) -> None:
        found = self._values.pop(key, None)
        if found is not None:
            self.size -= found[2]
