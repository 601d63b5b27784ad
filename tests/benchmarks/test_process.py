"""Servers under test are started on free ports, found dead or silent, and ended with all their children."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import process
from benchmarks.paths import BenchError
from benchmarks.process import free_ports, start
from benchmarks.servers import Row, Server

ROW = Row("row", "a row", "client", "tcp", ())

STUBBORN = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
if os.fork() == 0:
    signal.pause()
while True:
    peer, _ = listener.accept()
    while data := peer.recv(100):
        peer.sendall(data)
"""


@pytest.fixture
def ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(process, "LOGS", tmp_path)
    monkeypatch.setattr(process, "STOP_SECONDS", 0.1)
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two CPUs are needed")
    return free_ports()


def server(program: str, *needs: Path) -> Server:
    return Server("probe", "", f"{sys.executable} -c {shlex.quote(program)} {{line}}", needs=needs)


def test_a_missing_file_is_named(ports: Iterator[int], tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"bench\.toml is missing"), start(server("", tmp_path / "bench.toml"), ROW, ports):
        pass


def test_a_server_that_ends_is_quoted(ports: Iterator[int]) -> None:
    with pytest.raises(BenchError, match="ended with status 1: no such app"), start(server("raise SystemExit('no such app')"), ROW, ports):
        pass


def test_wrong_answers_are_not_readiness(ports: Iterator[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "READY_SECONDS", 0.5)
    wrong = STUBBORN.replace("sendall(data)", "sendall(data.upper())")
    with pytest.raises(BenchError, match="no right answer"), start(server(wrong), ROW, ports):
        pass


def test_a_stubborn_server_is_ended_with_its_children(ports: Iterator[int]) -> None:
    with start(server(STUBBORN), ROW, ports) as running:
        running.check()
        pids = [stat.pid for stat in running._session()]
        assert len(pids) == 2
        assert running.worker_bytes() > 0
        assert running.cpu_seconds() > 0
    assert [stat for stat in running._session() if not is_zombie(stat.pid)] == []


def is_zombie(pid: int) -> bool:
    """Ended, but its parent (not us) did not ask yet."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_ports_are_given_once() -> None:
    found = free_ports()
    assert len({next(found) for _ in range(20)}) == 20
