"""Servers under test are started on free ports, found dead or silent, and ended with all their children."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import process
from benchmarks.paths import BenchError
from benchmarks.process import free_ports, open_files, resident, start
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


KILL = "import os, signal, sys; [os.kill(int(pid), 9) for pid in open(f'/proc/{sys.argv[1]}/task/{sys.argv[1]}/children').read().split()]"


def test_a_reload_is_over_when_the_old_workers_are_gone(ports: Iterator[int]) -> None:
    command = f"{sys.executable} -c {shlex.quote(KILL.replace('{', '{{').replace('}', '}}'))} {{pid}}"
    master = replace(server(STUBBORN.replace("signal.SIGTERM", "signal.SIGCHLD")), reload=command)
    with start(master, ROW, ports) as running:
        old = running.workers()
        running.reload(5)
        assert not running.workers() & old


@pytest.mark.parametrize(
    ("program", "complaint"),
    [("raise SystemExit('no master')", "the reload failed: no master"), ("pass", "old workers were still there")],
)
def test_a_reload_that_does_not_happen_is_told(ports: Iterator[int], program: str, complaint: str) -> None:
    running_server = replace(server(STUBBORN), reload=f"{sys.executable} -c {shlex.quote(program)} {{pid}}")
    with start(running_server, ROW, ports) as running, pytest.raises(BenchError, match=complaint):
        running.reload(1)


def test_what_a_process_holds() -> None:
    before = open_files(os.getpid())
    with Path(os.devnull).open():
        assert open_files(os.getpid()) == before + 1
    assert resident(os.getpid()) > 2**20
    assert resident(2**22 + 1) == 0


def is_zombie(pid: int) -> bool:
    """Ended, but its parent (not us) did not ask yet."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_ports_are_given_once() -> None:
    found = free_ports()
    assert len({next(found) for _ in range(20)}) == 20
