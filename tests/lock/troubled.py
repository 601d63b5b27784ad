"""A store that fails when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from greenimi.interfaces import ISharedLockStore
from greenimi.lock.memory import MemoryStore


@implementer(ISharedLockStore)
class TroubledStore:
    """A MemoryStore: before (and after) a call of ``what`` goes through, ``trouble[what]()`` (``trouble["after " + what]()``) is called."""

    def __init__(self) -> None:
        self.real = MemoryStore()
        self.trouble: dict[str, Callable[[], object]] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.closed = False

    def _do(self, what: str, *args: Any) -> Any:
        self.calls.append((what, *args))
        self.trouble.get(what, lambda: None)()
        result = getattr(self.real, what)(*args)
        self.trouble.get(f"after {what}", lambda: None)()
        return result

    def acquire(self, name: str, token: str, lease: float, wait: float) -> tuple[int, float] | None:
        return self._do("acquire", name, token, lease, wait)  # type: ignore[no-any-return]

    def share(self, name: str, token: str, lease: float, wait: float, limit: int) -> tuple[int, float] | None:
        return self._do("share", name, token, lease, wait, limit)  # type: ignore[no-any-return]

    def renew(self, name: str, token: str, lease: float) -> bool:
        return self._do("renew", name, token, lease)  # type: ignore[no-any-return]

    def release(self, name: str, token: str) -> bool:
        return self._do("release", name, token)  # type: ignore[no-any-return]

    def held(self, name: str) -> bool:
        return self._do("held", name)  # type: ignore[no-any-return]

    def close(self) -> None:
        self.closed = True


def failing() -> None:
    """Trouble: the store cannot be reached."""
    raise ConnectionError("nobody there")
