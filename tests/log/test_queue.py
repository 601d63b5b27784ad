from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from greenimi import green
from greenimi.log.queue import WriteQueue
from greenimi.log.sinks import Sink


class Slow:
    """A sink that waits to be opened, like a disk that hangs."""

    def __init__(self) -> None:
        self.data = b""
        self.begun = green.native_event()
        self.gate = green.native_event()

    def write(self, data: bytes) -> None:
        self.begun.set()
        self.gate.wait()
        self.data += data

    @property
    def lines(self) -> list[str]:
        return self.data.decode().splitlines()


class Held(WriteQueue):
    """Its thread never starts: what waits is there to see."""

    def _start(self) -> None:
        pass


class Gathering:
    def __init__(self) -> None:
        self.data = b""
        self.broken = False

    def write(self, data: bytes) -> None:
        if self.broken:
            raise OSError("no space left")
        self.data += data

    @property
    def lines(self) -> list[str]:
        return self.data.decode().splitlines()


def held(sink: Sink, capacity: int = 10) -> WriteQueue:
    return Held(capacity, lambda lost: [(sink, b"lost %d\n" % lost)])


def line(number: int) -> bytes:
    return b"%d\n" % number


def test_lines_of_both_kinds_keep_their_order() -> None:
    sink = Gathering()
    queue = held(sink)
    for number in range(8):
        queue.push(sink, line(number), urgent=number % 3 == 0)
    assert sink.lines == []
    queue.stop()
    assert sink.lines == [str(number) for number in range(8)]


def test_when_full_the_oldest_that_is_not_urgent_goes_and_is_counted() -> None:
    sink = Gathering()
    queue = held(sink, capacity=3)
    queue.push(sink, b"urgent\n", urgent=True)
    for number in range(8):
        queue.push(sink, line(number), urgent=False)
    assert queue.dropped == 5
    queue.stop()
    assert sink.lines == ["urgent", "5", "6", "7", "lost 5"]


def test_an_urgent_line_without_room_is_written_at_once() -> None:
    sink = Gathering()
    queue = held(sink, capacity=2)
    for number in range(4):
        queue.push(sink, line(number), urgent=True)
    assert sink.lines == ["2", "3"]
    queue.stop()
    assert sorted(sink.lines) == ["0", "1", "2", "3"]
    assert queue.dropped == 0


def test_the_caller_does_not_wait_for_a_disk_that_hangs() -> None:
    sink = Slow()
    queue = WriteQueue(10, lambda lost: [(sink, b"lost %d\n" % lost)])
    queue.push(sink, line(0), urgent=False)
    sink.begun.wait()
    for number in range(1, 21):
        queue.push(sink, line(number), urgent=False)
    assert queue.dropped == 10
    sink.gate.set()
    queue.stop()
    assert sink.lines == ["0", *(str(number) for number in range(11, 21)), "lost 10"]


def test_after_stop_lines_are_written_at_once() -> None:
    sink = Gathering()
    queue = WriteQueue(10, lambda lost: [])
    queue.stop()
    queue.push(sink, line(1), urgent=False)
    queue.push(sink, line(2), urgent=True)
    queue.stop()
    assert sink.lines == ["1", "2"]


def test_lines_a_sink_refused_are_counted_and_told_once_it_works() -> None:
    sink = Gathering()
    queue = held(sink)
    sink.broken = True
    queue.push(sink, line(1), urgent=False)
    queue.push(sink, line(2), urgent=True)
    queue.stop()
    assert queue.dropped == 2
    sink.broken = False
    queue.push(sink, line(3), urgent=False)
    assert sink.lines == ["3", "lost 2"]


def test_when_no_thread_can_be_had_the_caller_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(green, "native_thread_start", refuse)
    sink = Gathering()
    queue = WriteQueue(10, lambda lost: [])
    queue.push(sink, line(1), urgent=False)
    assert sink.lines == ["1"]


def test_a_child_process_writes_its_own_lines_only(tmp_path: Path) -> None:
    code = f"""
import logging, os, sys
from greenimi import green
green.patch()
from greenimi.log import HandlerSettings, LogSettings, configure
from greenimi.log.queue import WriteQueue
configure(LogSettings(handlers=(HandlerSettings(kind="file", path={str(tmp_path / "a.log")!r}),)))
log = logging.getLogger("shop")
start, WriteQueue._start = WriteQueue._start, lambda self: None   # what the parent says waits until after the fork
log.info("from the parent")
child = os.fork()
WriteQueue._start = start
if child == 0:
    log.info("from the child")
    sys.exit(0)
os.waitpid(child, 0)
log.info("after the child")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=30)
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert [row.split(" shop ")[1] for row in lines] == ["from the child", "from the parent", "after the child"]


def test_ten_thousand_lines_of_greenlets_are_all_there_at_exit(tmp_path: Path) -> None:
    code = f"""
from greenimi import green
green.patch()
import logging
from greenimi.log import HandlerSettings, LogSettings, configure
configure(LogSettings(handlers=(HandlerSettings(kind="file", path={str(tmp_path / "a.log")!r}),)))
log = logging.getLogger("shop")
def handler(who):
    for number in range(100):
        log.info("line %d %d", who, number)
        if number % 10 == 0:
            green.sleep(0)
jobs = [green.spawn(handler, who) for who in range(100)]
for job in jobs:
    job.join()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert sorted(row.split(" line ")[1] for row in lines) == sorted(f"{who} {number}" for who in range(100) for number in range(100))
