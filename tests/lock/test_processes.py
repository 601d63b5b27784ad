"""Locks between processes, also those that are killed or stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from greenimi.lock import Lock
from greenimi.lock.machine import MachineStore
from greenimi.lock.redis import RedisStore
from greenimi.testing.support import wait_until
from tests.lock import worker
from tests.lock.worker import LEASE, WORKERS, locks

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(params=["machine", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The kind of store, and where it is."""
    kind: str = request.param
    return kind, str(tmp_path / "locks") if kind == "machine" else request.getfixturevalue("redis_url")


@pytest.fixture
def lock(place: tuple[str, str]) -> Iterator[Lock]:
    with locks(*place) as made:
        yield made


@pytest.fixture
def start(place: tuple[str, str]) -> Iterator[Start]:
    with ExitStack() as ends:

        def start(*words: str) -> subprocess.Popen[str]:
            command = [sys.executable, str(worker.__file__), *place, *words]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
            ends.callback(process.wait)
            ends.callback(process.kill)
            return process

        yield start


def line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split(maxsplit=1)


def somebody_waits(lock: Lock) -> bool:
    store = lock.store
    if isinstance(store, MachineStore):
        return bool(store._file.rows("SELECT 1 FROM waiting"))
    assert isinstance(store, RedisStore)
    return bool(store._client.exists(store._keys("a")[1]))


def test_no_count_is_lost_between_processes(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "count"
    file.write_text("0")
    for process in [start("count", str(file), "25") for _ in range(2)]:
        assert process.wait(50) == 0
    assert int(file.read_text()) == 2 * WORKERS * 25


@pytest.mark.parametrize("place", ["machine"], indirect=True)
def test_no_more_than_the_limit_between_processes(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    for process in [start("share", str(folder), "10") for _ in range(2)]:
        assert process.wait(50) == 0
    assert list(folder.iterdir()) == []


def test_a_holder_that_is_killed(start: Start, lock: Lock) -> None:
    holder = start("hold")
    said, fencing = line(holder)
    assert said == "held"
    with lock.try_hold("a", wait=LEASE * 1.2) as held:
        assert held is None  # it is renewed
    holder.kill()
    with lock.hold("a", wait=30) as held:
        assert held.fencing > int(fencing)


def test_a_holder_that_stands_still_for_longer_than_its_lease(start: Start, lock: Lock) -> None:
    holder = start("hold")
    said, fencing = line(holder)
    assert said == "held"
    holder.send_signal(signal.SIGSTOP)
    with lock.hold("a", wait=30) as held:
        assert held.fencing > int(fencing)
        holder.send_signal(signal.SIGCONT)
        said, text = line(holder)
        assert said == "lost"
        assert text.startswith("the lock 'a' was lost while it was held:")
        assert text.endswith("True\n")
        assert holder.wait(30) == 0
        assert lock.held("a")  # the other could not give back what is not his any more
        held.check()


def test_who_waits_and_is_killed_is_in_nobodys_way(start: Start, lock: Lock) -> None:
    with lock.hold("a"):
        waiting = start("hold")
        wait_until(lambda: somebody_waits(lock))
        waiting.kill()
        waiting.wait()
    with lock.hold("a", wait=0):
        pass
