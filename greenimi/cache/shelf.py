"""Values on their way into a store and out of it: packed, dated, tagged, and whatever the store does, never wrong."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from greenimi.cache.codecs import CODECS
from greenimi.cache.entry import MISSING, Entry, Packer, Stored, Unreadable
from greenimi.cache.settings import CacheSettings
from greenimi.cache.tags import Tags
from greenimi.cache.trouble import Trouble
from greenimi.interfaces import ICacheStore, ILocalCacheStore

__all__ = ["Shelf", "Ttl"]

Ttl: TypeAlias = "float | timedelta | None"
"""Seconds; None for the cache's own, ``math.inf`` for no end, 0 or less for over already."""

_COLLECT_EVERY = 100
"""Writes after which some of what is over is removed, that many at most."""


class Shelf:
    """One store with what makes it a cache's.  Reading is patient with a store that fails (see Trouble), writing is not."""

    def __init__(self, store: ICacheStore, settings: CacheSettings, name: str) -> None:
        self.store: Any = store
        self.name = name
        self.local = bool(ILocalCacheStore.providedBy(store))  # type: ignore[attr-defined]
        self.tags = Tags(store, settings.tag_ttl)
        self.trouble = Trouble(name, settings)
        self._settings = settings
        self._packer = Packer(CODECS[settings.codec], local=self.local)
        self._get: Callable[[str], Any] = store.get
        self._writes = 0

    # -- reading ---------------------------------------------------------------------------------------------------
    def find(self, key: str) -> Entry | None:
        """What is kept and may be used."""
        if self.trouble.until and self.trouble.pausing():
            return None
        try:
            return self._look(key)
        except Exception as error:
            self.trouble.note(error)
            return None

    def _look(self, key: str) -> Entry | None:
        stored = self._get(key)
        if stored is None:
            return None
        entry = stored if type(stored) is Entry else self._open(key, stored)
        if entry is not None and entry.tags and self.tags.current(list(entry.tags)) != entry.tags:
            return None
        return entry

    def is_dead(self, key: str) -> bool:
        """There is something, but it may not be used.  Raises what the store raises."""
        return self._get(key) is not None and self._look(key) is None

    def find_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        if not keys or (self.trouble.until and self.trouble.pausing()):
            return {}
        try:
            opened = {
                key: self._open(key, stored) for key, stored in zip(keys, self.store.get_many(keys), strict=True) if stored is not None
            }
            found = {key: entry for key, entry in opened.items() if entry is not None}
            names = list({name for entry in found.values() for name in entry.tags or ()})
            versions = self.tags.current(names) if names else {}
        except Exception as error:
            self.trouble.note(error)
            return {}
        return {
            key: entry for key, entry in found.items() if all(versions[name] == version for name, version in (entry.tags or {}).items())
        }

    def _open(self, key: str, stored: Stored) -> Entry | None:
        try:
            return self._packer.open(stored)
        except Unreadable as error:
            self.trouble.say("%s holds what cannot be read: %s", key, error)
            return None

    def value(self, key: str, entry: Entry, kind: Any = Any) -> Any:
        """The value, a copy of which nobody else has; MISSING when it is no ``kind``."""
        try:
            return self._packer.value(entry, kind)
        except Unreadable as error:
            self.trouble.say("%s holds what cannot be read as %s: %s", key, kind, error)
            return MISSING

    # -- writing ---------------------------------------------------------------------------------------------------
    def lifetime(self, ttl: Ttl, *, tagged: bool = False, jitter: bool = True) -> float | None:
        """Seconds in a store; None without an end, 0.0 when it is over already.  ValueError for what is no number."""
        seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
        if seconds is None:
            seconds = self._settings.ttl or math.inf
        if math.isnan(seconds):
            raise ValueError("a ttl is a number of seconds, not nan")
        if tagged:
            seconds = min(seconds, self._settings.tag_ttl)
        if seconds <= 0:
            return 0.0
        if seconds == math.inf:
            return None
        return seconds * (1 - self._settings.jitter * random.random()) if jitter else float(seconds)  # noqa: S311 - no secret

    def pack(
        self,
        key: str,
        value: Any,
        kind: Any = Any,
        *,
        lifetime: float | None = None,
        cost: float = 0.0,
        tags: Mapping[str, bytes] | None = None,
    ) -> Stored:
        """TypeError for what cannot be kept.  With a ``cost`` it is made anew early."""
        ends = time.time() + lifetime if cost and lifetime and self._settings.early else 0.0
        try:
            return self._packer.pack(value, kind, ends, cost if ends else 0.0, tags)
        except TypeError as error:
            raise TypeError(f"cache {self.name}: {key} cannot be kept as {self._settings.codec}: {error}") from error

    def unpack(self, key: str, stored: Stored, kind: Any) -> tuple[Entry, Any]:
        """What was just packed, as everybody will get it.  TypeError when it is no ``kind``."""
        entry = self._packer.open(stored)
        try:
            return entry, self._packer.value(entry, kind)
        except Unreadable as error:
            raise TypeError(f"cache {self.name}: {key} would not come back as {kind}: {error}") from error

    def wrote(self, count: int = 1) -> None:
        """So many values were kept: now and then some of those that are over are removed."""
        self._writes += count
        if self._writes >= _COLLECT_EVERY:
            self._writes = 0
            self.store.collect(_COLLECT_EVERY)
