from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenimi.log.sinks import FileSink, StderrSink


def test_a_file_is_put_aside_when_it_would_grow_too_large(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "deep" / "a.log"), max_bytes=10, keep=2)
    for line in (b"11111\n", b"222\n", b"333\n", b"44444444\n", b"5\n"):
        sink.write(line)
    found = {path.name: path.read_bytes() for path in (tmp_path / "deep").iterdir()}
    assert found == {"a.log": b"5\n", "a.log.1": b"44444444\n", "a.log.2": b"333\n"}


def test_without_old_files_it_is_begun_anew(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "a.log"), max_bytes=10, keep=0)
    for line in (b"1111111\n", b"2222222\n"):
        sink.write(line)
    assert [path.name for path in tmp_path.iterdir()] == ["a.log"]
    assert (tmp_path / "a.log").read_bytes() == b"2222222\n"


def test_a_batch_over_the_size_stays_whole(tmp_path: Path) -> None:
    FileSink(str(tmp_path / "a.log"), max_bytes=10).write(b"x" * 100 + b"\n")
    assert (tmp_path / "a.log").stat().st_size == 101


def test_a_file_moved_away_is_begun_anew(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "a.log"))
    sink.write(b"1\n")
    (tmp_path / "a.log").rename(tmp_path / "b.log")
    sink.write(b"2\n")
    assert (tmp_path / "a.log").read_bytes() == b"2\n"


def test_a_file_is_not_for_everybody(tmp_path: Path) -> None:
    FileSink(str(tmp_path / "a.log")).write(b"1\n")
    assert (tmp_path / "a.log").stat().st_mode & 0o007 == 0


def test_processes_share_a_file_and_its_rotation(tmp_path: Path) -> None:
    code = f"""
import sys
from greenimi.log.sinks import FileSink
sink = FileSink({str(tmp_path / "a.log")!r}, max_bytes=2000, keep=50)
for number in range(300):
    sink.write(f"{{sys.argv[1]}} {{number:04}} {{'x' * 20}}\\n".encode())
"""
    running = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abc"]
    assert [one.wait() for one in running] == [0, 0, 0]
    lines = [line for path in tmp_path.iterdir() for line in path.read_text().splitlines()]
    assert sorted(lines) == sorted(f"{name} {number:04} {'x' * 20}" for name in "abc" for number in range(300))
    assert len(list(tmp_path.iterdir())) > 10


def test_stderr_is_the_descriptor(capfd: pytest.CaptureFixture[str]) -> None:
    StderrSink().write(b"hello\n")
    assert capfd.readouterr().err == "hello\n"


def test_a_full_pipe_gets_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    answers = iter([None, 2, None, 4])

    def write(file: int, data: bytes) -> int:
        taken = next(answers)
        if taken is None:
            raise BlockingIOError
        written.append(data[:taken])
        return taken

    monkeypatch.setattr(os, "write", write)
    StderrSink().write(b"hello\n")
    assert b"".join(written) == b"hello\n"
