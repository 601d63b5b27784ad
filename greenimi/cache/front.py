"""The cache that applications use: values by their keys, whatever they are kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from greenimi.cache.entry import MISSING
from greenimi.cache.making import Making, Order, is_due
from greenimi.cache.settings import CacheSettings
from greenimi.cache.shelf import Shelf, Ttl
from greenimi.interfaces import ICacheStore

__all__ = ["Cache", "CacheStatistics"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Of one cache in one process: ``made`` values, and how often the store has ``failed``."""

    hits: int
    misses: int
    made: int
    failed: int


class Cache:
    """Values under keys, which are text; keys that begin with ``%`` are the cache's own.

    A value may be gone at any time before its end, and is never given out after it.  Who gets a value may change it: nobody else has the
    same object.  None is a value like others.  ``ttl`` is seconds or a timedelta; without one it is that of conf, ``math.inf`` means no
    end, and a value whose ttl is 0 or less is over already.  What a value ends sooner than that is a random share, ``jitter`` of conf.

    ``kind`` is the type of the value, as annotations name it: without it dataclasses come back as dicts, tuples as lists.

    A failing store is, for those who read, a cache without values (``errors = "compute"`` of conf) or an error; whoever writes, deletes or
    counts gets the store's error, because old values would remain.
    """

    def __init__(self, store: ICacheStore, settings: CacheSettings | None = None, name: str = "default") -> None:
        settings = settings or CacheSettings()
        self.name = name
        self.store = store
        self._shelf = Shelf(store, settings, name)
        self._find = self._shelf.find
        self._making = Making(self._shelf, settings)
        self._early = settings.early
        self._hits = 0
        self._misses = 0

    def __repr__(self) -> str:
        return f"<Cache {self.name} in {type(self.store).__name__}>"

    # -- reading ---------------------------------------------------------------------------------------------------
    def get(self, key: str, default: Any = None, *, kind: Any = Any) -> Any:
        """The value, or ``default``."""
        entry = self._find(key)
        if entry is not None:
            value = entry.value if kind is Any and not entry.coded else self._shelf.value(key, entry, kind)
            if value is not MISSING:
                self._hits += 1
                return value
        self._misses += 1
        return default

    def get_many(self, keys: Iterable[str], *, kind: Any = Any) -> dict[str, Any]:
        """The values that there are, by their keys."""
        wanted = list(dict.fromkeys(keys))
        found = {key: self._shelf.value(key, entry, kind) for key, entry in self._shelf.find_many(wanted).items()}
        values = {key: value for key, value in found.items() if value is not MISSING}
        self._hits += len(values)
        self._misses += len(wanted) - len(values)
        return values

    def has(self, key: str) -> bool:
        """There is a value at this moment."""
        return self._find(key) is not None

    def get_or_make(
        self,
        key: str,
        make: Callable[[], T],
        ttl: Ttl = None,
        *,
        kind: Any = Any,
        tags: Sequence[str] | Callable[[], Sequence[str]] = (),
        lock: bool = True,
        when: Callable[[T], object] | None = None,
        negative: float | None = None,
    ) -> T:
        """The value; where there is none, what ``make()`` returns, which is kept.  Whatever ``make`` raises is raised, and not kept.

        ``lock``      one makes it for all who want it, in all processes that share the store; they wait, ``wait`` seconds of conf at most,
                      and get the same value or the same error.  Shortly before its end one of those who read makes it anew, the longer
                      it took the last time the earlier, and the others get the old one meanwhile.  Who does so and fails gets the old one
        ``tags``      see :meth:`evict_tags`; or a function that returns them
        ``when``      ``when(value)`` says whether it is kept
        ``negative``  the ttl of None, 0 to keep none; without it that of conf
        """
        entry = self._find(key)
        due = 0.0
        if entry is not None:
            if lock and entry.ends and is_due(entry, self._early):
                due = entry.ends
            else:
                value: Any = entry.value if kind is Any and not entry.coded else self._shelf.value(key, entry, kind)
                if value is not MISSING:
                    self._hits += 1
                    return value  # type: ignore[no-any-return]
        self._misses += 1
        return self._making.obtain(key, Order(make, ttl, kind, tags, lock, when, negative, due))  # type: ignore[no-any-return]

    # -- writing ---------------------------------------------------------------------------------------------------
    def set(self, key: str, value: Any, ttl: Ttl = None, *, tags: Sequence[str] = (), kind: Any = Any) -> None:
        """Keep a value.  TypeError for one that the codec cannot tell."""
        self.set_many({key: value}, ttl, tags=tags, kind=kind)

    def set_many(self, values: Mapping[str, Any], ttl: Ttl = None, *, tags: Sequence[str] = (), kind: Any = Any) -> None:
        """Keep several."""
        lifetime = self._shelf.lifetime(ttl, tagged=bool(tags))
        if lifetime == 0.0:
            self.delete_many(values)
            return
        versions = self._shelf.tags.versions(_names(tags)) if tags else None
        stored = {_checked(key): self._shelf.pack(key, value, kind, tags=versions) for key, value in values.items()}
        for key in stored:
            self._making.forget(key)
        if len(stored) == 1:
            for key, packed in stored.items():
                self._shelf.store.set(key, packed, lifetime)
        else:
            self._shelf.store.set_many(stored, lifetime)
        self._shelf.wrote(len(stored))

    def add(self, key: str, value: Any, ttl: Ttl = None, *, tags: Sequence[str] = ()) -> bool:
        """Keep a value where there is none.  Of several who add, in all processes that share the store, one gets True."""
        lifetime = self._shelf.lifetime(ttl, tagged=bool(tags), jitter=False)
        if lifetime == 0.0:
            return not self.has(key)
        versions = self._shelf.tags.versions(_names(tags)) if tags else None
        stored = self._shelf.pack(_checked(key), value, tags=versions)
        added = bool(self._shelf.store.add(key, stored, lifetime))
        if not added and self._shelf.is_dead(key):
            self._shelf.store.delete(key)
            added = bool(self._shelf.store.add(key, stored, lifetime))
        self._shelf.wrote()
        return added

    def touch(self, key: str, ttl: Ttl = None) -> bool:
        """Begin its time anew.  False when there is no such value."""
        lifetime = self._shelf.lifetime(ttl, jitter=False)
        return self.delete(key) if lifetime == 0.0 else bool(self._shelf.store.touch(key, lifetime))

    def increment(self, key: str, by: int = 1, ttl: Ttl = None) -> int:
        """Add to a number, which begins at 0 with this ttl; what it is now.  It loses nothing, whoever else adds.

        ValueError when the value is something else, or would have more than 64 bits.
        """
        lifetime = self._shelf.lifetime(ttl, jitter=False)
        if lifetime == 0.0:
            self.delete(key)
            return by
        return int(self._shelf.store.increment(_checked(key), by, lifetime))

    # -- forgetting ------------------------------------------------------------------------------------------------
    def delete(self, key: str) -> bool:
        """Forget it.  False when there was none.  What somebody is just making for this key is not kept either."""
        self._making.forget(key)
        return bool(self._shelf.store.delete(key))

    def delete_many(self, keys: Iterable[str]) -> int:
        """Forget several; how many there were."""
        found = list(dict.fromkeys(keys))
        for key in found:
            self._making.forget(key)
        return int(self._shelf.store.delete_many(found)) if found else 0

    def evict_tags(self, *tags: str) -> None:
        """Forget all values that were kept with one of these tags, and those that are just being made with one: at once, everywhere."""
        if tags:
            self._making.forget_all()
            self._shelf.tags.evict(_names(tags))

    def clear(self) -> None:
        """Forget everything of this cache, and nothing else."""
        self._making.forget_all()
        self._shelf.store.clear()

    # -- the rest --------------------------------------------------------------------------------------------------
    def statistics(self) -> CacheStatistics:
        return CacheStatistics(self._hits, self._misses, self._making.made, self._shelf.trouble.failed)

    def close(self) -> None:
        """Give back what the store holds."""
        self._shelf.store.close()


def _checked(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key of a value is text, not {key!r}")
    return key


def _names(tags: Sequence[str]) -> list[str]:
    if isinstance(tags, str):
        raise TypeError(f'tags are several texts: tags=("{tags}",)')
    return list(dict.fromkeys(tags))
