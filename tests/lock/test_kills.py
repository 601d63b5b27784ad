"""Greenlets that are killed anywhere while they take, hold or give back locks: nobody else suffers, and nothing is left."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest

from greenimi import green
from greenimi.interfaces import ILockStore
from greenimi.lock import Lock, LockSettings
from greenimi.lock.machine import MachineStore
from greenimi.lock.memory import MemoryStore
from greenimi.testing.support import wait_until
from tests.lock.redis_clients import own_store

LEASE = 30.0
"""Seconds; a lock that was left behind would be missed."""

KILLS = 300
WORKERS = 12


@pytest.fixture(params=["memory", "machine", "redis", "database"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ILockStore]:
    with opened(request.param, request, tmp_path) as made:
        yield made


@contextmanager
def opened(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Any]:
    if kind == "memory":
        yield MemoryStore()
    elif kind == "machine":
        yield MachineStore(folder / "locks")
    elif kind == "redis":
        with own_store(url=request.getfixturevalue("redis_url")) as made:
            yield made
    else:
        from tests.lock.test_database import opened as opened_database

        with opened_database(request.getfixturevalue("mysql_url")) as database:
            yield database


def test_killed_anywhere(store: ILockStore) -> None:
    lock = Lock(LockSettings(lease=LEASE, wait=20.0), lambda: store)
    chance = random.Random(42)
    inside = most = taken = 0

    def work() -> None:
        nonlocal inside, most, taken
        while True:
            with lock.hold("a"):
                inside += 1
                taken += 1
                most = max(most, inside)
                try:
                    green.sleep(chance.choice((0, 0, 0.0005)))
                finally:
                    inside -= 1
            green.sleep(0)

    workers = [green.spawn(work) for _ in range(WORKERS)]
    for _ in range(KILLS):
        green.sleep(chance.choice((0, 0, 0.0005, 0.001)))
        victim = chance.randrange(WORKERS)
        workers[victim].kill(block=False)
        workers[victim] = green.spawn(work)
    gevent.killall(workers)
    assert most == 1
    assert taken > 0
    with lock.hold("a", wait=10.0):
        assert inside == 0
    wait_until(lambda: not lock.keeper._debts)
    assert (lock._held, lock._waiting, lock._lines, lock._mine) == (0, 0, {}, {})
    lock.stop()
