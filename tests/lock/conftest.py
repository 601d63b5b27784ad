"""Fixtures of the tests of locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from greenimi.lock import Lock, LockSettings
from tests.lock.troubled import TroubledStore

MakeLock = Callable[..., Lock]


@pytest.fixture
def store() -> TroubledStore:
    return TroubledStore()


@pytest.fixture
def make_lock(store: TroubledStore) -> Iterator[MakeLock]:
    """``make_lock(LockSettings(...))`` has its locks in ``store``; it is stopped at the end."""
    made: list[Lock] = []

    def make(settings: LockSettings | None = None) -> Lock:
        made.append(Lock(settings or LockSettings(), lambda: store))
        return made[-1]

    yield make
    store.trouble.clear()
    for lock in made:
        lock.stop()


@pytest.fixture
def lock(make_lock: MakeLock) -> Lock:
    return make_lock()
