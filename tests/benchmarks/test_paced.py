"""Our paced load client: it asks at its rate, follows the rules of keep-alive, and counts what fails without giving up."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

Serving = Callable[..., AbstractContextManager[int]]

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
LAST = HELLO.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")


@pytest.fixture(scope="module")
def paced(compiled: Callable[..., Path]) -> Path:
    return compiled("paced")


def drive(paced: Path, port: int, *options: str, told: str = "") -> list[dict[str, Any]]:
    command: list[str | Path] = [paced, str(port), "-c2", "-r100", "-t1", "-ehello", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=40, input=told)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_it_asks_at_its_rate_over_few_connections(paced: Path, serving: Serving) -> None:
    with serving(lambda data: HELLO) as port:
        (phase,) = drive(paced, port)
    assert 95 <= phase["count"] <= 101
    assert (phase["failed"], phase["opened"], phase["reason"]) == (0, 2, "")


def test_a_byte_ends_a_phase(paced: Path, serving: Serving) -> None:
    with serving(lambda data: HELLO) as port:
        phases = drive(paced, port, told="..")
    assert len(phases) == 3
    assert 95 <= sum(phase["count"] for phase in phases) <= 101
    assert 0.9 <= sum(phase["seconds"] for phase in phases) <= 5


def test_an_announced_end_is_no_failure(paced: Path, serving: Serving) -> None:
    with serving(lambda data: LAST) as port:
        (phase,) = drive(paced, port)
    assert phase["failed"] == 0
    assert phase["opened"] == phase["count"] >= 95


def test_waiting_for_a_connection_is_part_of_the_latency(paced: Path, serving: Serving) -> None:
    """More is asked for than one connection can carry, so later requests leave later and later."""
    with serving(lambda data: HELLO) as port:
        (phase,) = drive(paced, port, "-c1", "-r1000000")
    assert phase["max_us"] > 300_000
    assert phase["failed"] == 0


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"", "without an answer"),
        (HELLO[:-2] + b"xx", "body"),
        (HELLO.replace(b"200", b"503"), "status"),
    ],
)
def test_failed_requests_are_counted_and_the_run_goes_on(paced: Path, serving: Serving, wrong: bytes, reason: str) -> None:
    number = count(1)
    with serving(lambda data: wrong if next(number) == 3 else HELLO) as port:
        (phase,) = drive(paced, port)
    assert phase["failed"] == 1
    assert reason in phase["reason"]
    assert phase["opened"] == 3
    assert 94 <= phase["count"] <= 100


def test_nobody_there_is_a_failure_of_each_request(paced: Path, serving: Serving) -> None:
    with serving(lambda data: HELLO) as port:
        pass
    (phase,) = drive(paced, port, "-t0.2")
    assert phase["count"] == 0
    assert 15 <= phase["failed"] <= 21
    assert "refused" in phase["reason"]


@pytest.mark.parametrize("options", [[], ["0"], ["9", "-r0"], ["9", "-c5000"]])
def test_wrong_use_is_told(paced: Path, options: list[str]) -> None:
    done = subprocess.run([paced, *options], check=False, capture_output=True, text=True, timeout=10)
    assert done.returncode == 2
    assert "see --help" in done.stderr
