"""Our visiting load client: it comes and goes, with TLS or without, politely or not, and lets no wrong answer pass."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

Serving = Callable[..., AbstractContextManager[int]]

HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


def hello(data: bytes) -> bytes:
    return HELLO


def drive(visit: Path, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [visit, str(port), "-c2", "-t10", "-ehello", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=40, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("tls", [False, True])
def test_each_visit_is_a_new_connection(visit: Path, serving: Serving, tls: bool) -> None:
    with serving(hello, tls=tls) as port:
        done = drive(visit, port, "-n12", *(["--tls"] if tls else []))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["count"] == 12
    assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["max_us"] + 5
    assert figures["load"] > 0


@pytest.mark.parametrize("tls", [False, True])
def test_three_of_four_mixed_visits_ask_nothing_or_do_not_listen(visit: Path, serving: Serving, tls: bool) -> None:
    asked: list[bytes] = []

    def count(data: bytes) -> bytes:
        asked.append(data)
        return HELLO if data.endswith(b"\r\n\r\n") else b""

    with serving(count, tls=tls) as port:
        done = drive(visit, port, "-n40", "--mixed", *(["--tls"] if tls else []))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["count"] == 40
    whole = sum(data.endswith(b"\r\n\r\n") for data in asked)
    assert 10 <= whole <= 20  # those that wait for the answer, and what is read of those that were reset


@pytest.mark.parametrize("tls", [False, True])
def test_held_connections_are_answered_once(visit: Path, serving: Serving, tls: bool) -> None:
    asked: list[bytes] = []

    def count(data: bytes) -> bytes:
        asked.append(data)
        return HELLO

    with serving(count, tls=tls) as port:
        done = drive(visit, port, "-c80", "--hold", *(["--tls"] if tls else []))
    assert (done.returncode, done.stdout) == (0, "held 80\n"), done.stderr
    assert len(asked) == 80


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (HELLO.replace(b"200", b"500"), "status"),
        (HELLO.replace(b"hello", b"jello"), "body"),
        (HELLO.replace(b": 5", b": 4"), "length"),
        (HELLO + HELLO, "more than one answer"),
        (b"", "closed"),
    ],
)
def test_wrong_answers_end_the_run(visit: Path, serving: Serving, answer: bytes, complaint: str) -> None:
    with serving(lambda data: answer) as port:
        done = drive(visit, port)
    assert done.returncode == 1
    assert complaint in done.stderr


def test_a_server_without_tls_is_told_from_one_with(visit: Path, serving: Serving) -> None:
    with serving(hello) as port:
        done = drive(visit, port, "--tls")
    assert done.returncode == 1
    assert "handshake" in done.stderr


@pytest.mark.parametrize("options", [[], ["0"], ["9", "-c0"], ["9", "--mixed", "--hold"], ["9", "-p" + "x" * 3000]])
def test_wrong_use_is_told(visit: Path, options: list[str]) -> None:
    done = subprocess.run([visit, *options], check=False, capture_output=True, text=True, timeout=10)
    assert done.returncode == 2
    assert "see --help" in done.stderr
