"""The board that processes share: complete records or none, whoever is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.servers.watch.scoreboard import _HEAD, Scoreboard
from greenimi.testing.support import wait_until


def forked(function: Callable[[], object]) -> int:
    """The process id of a child that runs ``function`` and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(0)
    return pid


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_slot_holds_what_was_written_last() -> None:
    board = Scoreboard(3, 100)
    assert board.read(1) is None
    for number in range(5):
        board.write(1, b"record %d" % number)
        assert board.read(1) == b"record %d" % number
    board.write(2, b"")
    assert board.read_all() == {1: b"record 4", 2: b""}
    board.clear(1)
    assert board.read_all() == {2: b""}
    board.write(1, b"again")
    assert board.read(1) == b"again"


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=30))
def test_slots_do_not_touch_each_other(writes: list[tuple[int, bytes]]) -> None:
    board = Scoreboard(4, 40)
    for slot, data in writes:
        board.write(slot, data)
    assert board.read_all() == dict(writes)


def test_what_is_too_long_is_refused_and_the_old_record_stays() -> None:
    board = Scoreboard(1, 10)
    board.write(0, b"0123456789")
    with pytest.raises(ValueError, match=r"a record of 11 bytes; the board takes 10 \(size\)"):
        board.write(0, b"0123456789+")
    assert board.read(0) == b"0123456789"


def test_a_slot_that_is_not_there_is_named() -> None:
    board = Scoreboard(2, 10)
    for slot in (-1, 2):
        with pytest.raises(IndexError, match=f"slot {slot} of a board with 2"):
            board.read(slot)
        with pytest.raises(IndexError):
            board.write(slot, b"")


def test_a_forked_process_writes_for_all() -> None:
    board = Scoreboard(2, 100)
    os.waitpid(forked(lambda: board.write(1, b"from the child")), 0)
    assert board.read(1) == b"from the child"


def test_a_record_that_is_not_whole_is_never_read() -> None:
    board = Scoreboard(1, 100)
    board.write(0, b"first")
    board.write(0, b"second")
    start = board._place(0, 1)
    board._memory[start] ^= 1  # as if the writer had been killed after some of its bytes
    assert board.read(0) == b"first"
    _HEAD.pack_into(board._memory, 0, 7, 1 << 31, 0)  # the other head is broken, too
    assert board.read(0) is None
    board.write(0, b"third")
    assert board.read(0) == b"third"


SIZES = (1, 5000, 16000, 300)


def hammer(board: Scoreboard, slot: int) -> None:
    """Records of many sizes, each of one byte repeated, for ever."""
    number = 0
    while True:
        number += 1
        board.write(slot, bytes([number % 256]) * SIZES[number % len(SIZES)])


def test_a_reader_sees_whole_records_while_writers_hammer() -> None:
    board = Scoreboard(8)
    writers = [forked(lambda slot=slot: hammer(board, slot)) for slot in (3, 5)]  # type: ignore[misc]
    try:
        seen: set[bytes] = set()
        until = time.monotonic() + 1
        while time.monotonic() < until or len(seen) < 20:
            for data in board.read_all().values():
                assert len(set(data)) == 1
                assert len(data) in SIZES
                seen.add(data)
    finally:
        for writer in writers:
            killed(writer)


def test_a_writer_killed_in_the_middle_breaks_neither_readers_nor_its_successor() -> None:
    board = Scoreboard(1)
    for attempt in range(30):
        writer = forked(lambda: hammer(board, 0))
        try:
            before = board.read(0)
            wait_until(lambda before=before: board.read(0) != before)  # type: ignore[misc]
        finally:
            killed(writer)
        data = board.read(0)
        assert data is not None
        assert len(set(data)) == 1
        board.write(0, b"successor %d" % attempt)
        assert board.read(0) == b"successor %d" % attempt


def test_only_what_was_written_costs_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    board = Scoreboard(1000, 65536)
    board.write(1, b"x" * 100)
    assert len(board.read_all()) == 1
    assert resident() - before < 4 << 20
