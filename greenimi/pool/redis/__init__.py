"""Redis: see :class:`greenimi.pool.redis.client.Redis`.  Applications use ``greenimi.facades.Redis``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from greenimi.pool.redis.settings import RedisSettings

if TYPE_CHECKING:
    from greenimi.container.setup import Setup
    from greenimi.pool.redis.client import Redis
    from greenimi.pool.redis.errors import NotSent, OwnConnectionNeeded, Unanswered

_LAZY = {
    "NotSent": "greenimi.pool.redis.errors",
    "OwnConnectionNeeded": "greenimi.pool.redis.errors",
    "Redis": "greenimi.pool.redis.client",
    "Unanswered": "greenimi.pool.redis.errors",
}
"""Imported when asked for: an application without a Redis must not pay for redis-py."""

__all__ = ["NotSent", "OwnConnectionNeeded", "Redis", "RedisSettings", "Unanswered", "includeme"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)


def includeme(setup: Setup) -> None:
    """Bring the clients that conf names, each a bean of the class Redis."""
    settings = setup.settings("redis", dict[str, RedisSettings])
    if settings:
        from greenimi.pool.redis.clients import add_clients

        add_clients(setup, settings)
