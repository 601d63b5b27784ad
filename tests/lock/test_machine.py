"""Locks that the processes of one machine share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenimi import green
from greenimi.errors import StartError
from greenimi.interfaces import ISharedLockStore
from greenimi.lock.machine import MachineStore
from greenimi.testing.contracts import SharedLockStoreContract
from greenimi.testing.support import wait_until

LONG = 3600.0


class TestMachineStore(SharedLockStoreContract):
    @pytest.fixture(autouse=True)
    def _stores(self, tmp_path: Path) -> Iterator[None]:
        self._folder = tmp_path / "locks"
        self._made: list[MachineStore] = []
        yield
        for store in self._made:
            store.close()

    def make(self) -> ISharedLockStore:
        self._made.append(MachineStore(self._folder))
        return self._made[-1]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_the_dead_left_behind_is_removed(tmp_path: Path) -> None:
    clock = Clock()
    store = MachineStore(tmp_path / "locks", now=clock)
    for number in range(50):
        assert store.acquire(f"a{number}", "1", 10.0, 0.0) is not None
    assert store._file.rows("SELECT count(*) FROM holders") == [(50,)]
    clock.now += 60.0
    assert store.acquire("b", "1", 10.0, 0.0) is not None
    assert store._file.rows("SELECT count(*) FROM holders") == [(1,)]
    store.close()


def test_nothing_is_kept_of_a_lock_that_nobody_has(tmp_path: Path) -> None:
    store = MachineStore(tmp_path / "locks")
    assert store.acquire("a", "1", LONG, 0.0) is not None
    waiting = green.spawn(store.acquire, "a", "2", LONG, 10.0)
    wait_until(lambda: store._file.rows("SELECT count(*) FROM waiting") == [(1,)])
    waiting.kill()
    assert store._file.rows("SELECT count(*) FROM waiting") == [(0,)]
    assert store.release("a", "1")
    assert store._file.rows("SELECT count(*) FROM holders") == [(0,)]
    store.close()


def test_a_folder_that_others_can_enter(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    with pytest.raises(StartError, match="can be entered by others"):
        MachineStore(folder)


def test_close_leaves_no_bell_behind(tmp_path: Path) -> None:
    store = MachineStore(tmp_path / "locks")
    assert store.acquire("a", "1", LONG, 0.0) is not None
    assert store.acquire("a", "2", LONG, 0.05) is None
    assert list((tmp_path / "locks").glob("*.bell"))
    store.close()
    assert not list((tmp_path / "locks").glob("*.bell"))
