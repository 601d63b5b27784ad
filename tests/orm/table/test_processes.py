"""Rows, counters and channels of several processes, also of such that are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from greenimi.orm import Counter
from greenimi.orm.table.tables import Tables
from greenimi.testing.support import wait_until
from tests.orm.table import worker
from tests.orm.table.worker import Sum, done, jobs

ROOT = Path(__file__).parents[3]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(driver: str, folder: Path) -> Iterator[Start]:
    with ExitStack() as ends:

        def start(*words: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, str(worker.__file__), driver, str(folder), *words]
            process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)})
            ends.callback(process.wait)
            ends.callback(process.kill)
            return process

        yield start


def test_what_several_processes_add_is_exact(running: Tables, start: Start) -> None:
    processes = [start("count", "150") for _ in range(2)]
    worker.count("150")
    assert [process.wait(60) for process in processes] == [0, 0]
    assert Counter("sum").get() == 450
    assert Sum.find("a") == Sum("a", 450, 45)


def test_what_killed_processes_did_is_done_once(running: Tables, start: Start, tmp_path: Path) -> None:
    files = [tmp_path / f"done-{number}" for number in range(2)]
    processes = [start("endlessly", str(path)) for path in files]
    for process, path in zip(processes, files, strict=True):
        wait_until(lambda path=path: path.exists() and path.stat().st_size > 100, 30.0)  # type: ignore[misc]  # checked at once
        process.kill()
        process.wait()
    told = sum(path.stat().st_size for path in files)
    row = Sum.find("a")
    assert row is not None
    assert told <= row.added <= told + 2
    assert row.added <= Counter("sum").get() <= row.added + 2
    worker.count("10")
    assert Counter("sum").get() >= told + 10


@pytest.mark.parametrize("driver", ["sqlite"])
def test_each_job_is_done_by_one_process(running: Tables, start: Start) -> None:
    processes = [start("work", "") for _ in range(2)]
    for number in range(100):
        jobs.push(number, wait=30.0)
    for _ in processes:
        jobs.push(-1, wait=30.0)
    assert [process.wait(30) for process in processes] == [0, 0]
    assert sorted(done.pop(wait=0.0) for _ in range(len(done))) == list(range(100))
