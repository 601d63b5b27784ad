"""Caches: see :class:`greenimi.cache.front.Cache`.  Applications use ``greenimi.facades.Cache``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenimi.cache.front import Cache, CacheStatistics
    from greenimi.cache.settings import CacheSettings
    from greenimi.container.setup import Setup

_LAZY = {
    "Cache": "greenimi.cache.front",
    "CacheSettings": "greenimi.cache.settings",
    "CacheStatistics": "greenimi.cache.front",
}
"""Imported when asked for: the decorators alone need none of it."""

__all__ = ["Cache", "CacheSettings", "CacheStatistics", "includeme"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)


def includeme(setup: Setup) -> None:
    """Bring the caches that conf names, and the one called default, each a bean of the class Cache; and the drivers."""
    from greenimi.cache.configured import add_caches

    add_caches(setup)
