"""Programs that tell what a call costs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import gevent
import pytest

from benchmarks.calls import calls, measure_calls
from benchmarks.outcomes import Found
from benchmarks.paths import BenchError
from benchmarks.programs.loop import BATCH, measure, measure_many
from benchmarks.servers import ROWS, Row, Server

needs_pinning = pytest.mark.skipif(not all(map(shutil.which, ("setpriv", "taskset"))), reason="util-linux is needed")


def program(folder: Path, text: str) -> Server:
    file = folder / "program.py"
    file.write_text(f"print({text!r})\n")
    return Server("mine", "", f"{sys.executable} {file}")


def test_calls_are_counted_and_timed() -> None:
    made = 0

    def call() -> None:
        nonlocal made
        made += 1

    found = measure(call, 0.01)
    assert made == found["calls"] >= BATCH
    assert found["calls"] % BATCH == 0
    assert found["seconds"] >= 0.01
    assert found["cpu"] > 0
    assert found["rss"] > 2**20


def test_calls_of_many_greenlets_are_counted() -> None:
    made: list[int] = []

    def call(number: int) -> None:
        made.append(number)
        gevent.sleep(0)

    found = measure_many(call, 3, 0.01)
    assert len(made) == found["calls"] >= 3
    assert made[:3] == [1, 1, 1]
    assert found["seconds"] >= 0.01


@needs_pinning
def test_figures_are_those_for_each_call(tmp_path: Path) -> None:
    server = program(tmp_path, '{"calls": 1000, "seconds": 0.5, "cpu": 0.25, "rss": 4194304}')
    assert calls(server, 1) == {"rate": 2000, "cpu_us": 250, "rss_mib": 4}


@needs_pinning
def test_a_program_that_tells_no_figures_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="it told no figures but 'hello"):
        calls(program(tmp_path, "hello"), 1)
    row = Row("mine", "", "calls", "none", (program(tmp_path, "hello"),))
    found = Found(row, ())
    measure_calls(row, found, 2, 1)
    assert "it told no figures" in found.outcomes()[0].failed


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="python is missing"):
        calls(Server("mine", "", "", needs=(tmp_path / "python",)), 1)


@needs_pinning
@pytest.mark.parametrize(
    "server",
    [server for row in ROWS if row.name in ("pool", "cache-hit", "cacheable-hit") for server in row.servers],
    ids=lambda server: server.command.partition("programs.")[2],
)
def test_those_that_need_no_service_run(server: Server) -> None:
    assert calls(server, 0)["cpu_us"] > 0
