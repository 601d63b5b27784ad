"""Locks: see :class:`greenimi.lock.front.Lock`.  Applications use ``greenimi.facades.Lock``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenimi.container.setup import Setup
    from greenimi.lock.errors import LockError, LockFailed, LockLost, LockTimeout
    from greenimi.lock.front import Lock
    from greenimi.lock.held import Held
    from greenimi.lock.settings import LockSettings

_LAZY = {
    "Held": "greenimi.lock.held",
    "Lock": "greenimi.lock.front",
    "LockError": "greenimi.lock.errors",
    "LockFailed": "greenimi.lock.errors",
    "LockLost": "greenimi.lock.errors",
    "LockSettings": "greenimi.lock.settings",
    "LockTimeout": "greenimi.lock.errors",
}
"""Imported when asked for: the decorator alone needs none of it."""

__all__ = ["Held", "Lock", "LockError", "LockFailed", "LockLost", "LockSettings", "LockTimeout", "includeme"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)


def includeme(setup: Setup) -> None:
    """Bring the locks that conf names, and those called default, each a bean of the class Lock and a service; and the drivers."""
    from greenimi.lock.configured import add_locks

    add_locks(setup)
