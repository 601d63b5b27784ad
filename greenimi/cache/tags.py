"""Tags: what many values have in common, and go by together."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

from greenimi.interfaces import ICacheStore

__all__ = ["Tags"]

_PREFIX = "%tag:"


class Tags:
    """Each tag has a version in the store, and a value remembers those that its tags had before it was made.

    A tag is evicted by forgetting its version: all values with another one are as good as gone, wherever they are, at once, and also those
    that are just being made from what was true before.
    """

    def __init__(self, store: ICacheStore, ttl: float) -> None:
        self._store = store
        self._ttl = ttl

    def versions(self, names: Iterable[str]) -> dict[str, bytes]:
        """The version of each, which those that have none get now; kept for as long again as a value with tags may live."""
        keys = {name: _PREFIX + name for name in names}
        found = dict(zip(keys, self._store.get_many(list(keys.values())), strict=True))
        return {name: self._kept(key, found[name]) for name, key in keys.items()}

    def _kept(self, key: str, version: bytes | None) -> bytes:
        if version is not None and self._store.touch(key, self._ttl):
            return version
        new = secrets.token_bytes(8)
        if self._store.add(key, new, self._ttl):
            return new
        return self._store.get(key) or new  # somebody else was first

    def current(self, names: Sequence[str]) -> Mapping[str, bytes | None]:
        """The versions as they are, None for those that have none."""
        return dict(zip(names, self._store.get_many([_PREFIX + name for name in names]), strict=True))

    def evict(self, names: Iterable[str]) -> None:
        self._store.delete_many([_PREFIX + name for name in names])
