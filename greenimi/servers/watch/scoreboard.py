"""A board in memory that the master and its workers share: each has a slot to write on, everybody reads all of them.

Nobody waits for anybody: a slot holds two records in turn, so the last complete one stands while the next is written, and a writer that
is killed in the middle leaves the one before.  A checksum tells complete records from half-written ones.
"""

from __future__ import annotations

import mmap
import struct
from zlib import crc32

_HEAD = struct.Struct("=QII")
"""Of a record: its number (0: there is none), length and checksum."""

_TRIES = 100
"""A reader meets two half-written records only when two writes overtake it, so once more is enough in practice."""


class Scoreboard:
    """``slots`` records of at most ``size`` bytes.  Made before the first fork; every process that is forked later shares it.

    The memory is only reserved: what was never written costs nothing.
    """

    def __init__(self, slots: int = 4096, size: int = 16384) -> None:
        self.slots = slots
        self.size = size
        self._data = -(-slots * 2 * _HEAD.size // mmap.PAGESIZE) * mmap.PAGESIZE  # heads stand apart, so that a look touches no data
        self._memory = mmap.mmap(-1, self._data + slots * 2 * size)

    def write(self, slot: int, data: bytes) -> None:
        """Replace the record of a slot, which has one writer at a time.  ValueError when the data is too long for it."""
        if len(data) > self.size:
            raise ValueError(f"a record of {len(data)} bytes; the board takes {self.size} (size)")
        number, half, _ = self._newest(slot) or (0, 1, b"")
        half = 1 - half
        start = self._place(slot, half)
        self._memory[start : start + len(data)] = data
        _HEAD.pack_into(self._memory, self._head(slot, half), number + 1, len(data), _checksum(number + 1, data))

    def read(self, slot: int) -> bytes | None:
        """The last record that was completely written; None when there is none."""
        for _ in range(_TRIES):
            found = self._newest(slot)
            if found is not None:
                return found[2]
            if not any(self._numbers(slot)):
                return None
        return None  # whoever began to write its first record was killed

    def read_all(self) -> dict[int, bytes]:
        """The records of all slots that have one."""
        return {slot: data for slot in range(self.slots) if (data := self.read(slot)) is not None}

    def clear(self, slot: int) -> None:
        """Forget the record of a slot whose writer is gone."""
        start = self._head(slot, 0)
        self._memory[start : start + 2 * _HEAD.size] = bytes(2 * _HEAD.size)

    def _newest(self, slot: int) -> tuple[int, int, bytes] | None:
        """The number, the half and the data of the last complete record."""
        return max((found for half in (0, 1) if (found := self._record(slot, half)) is not None), default=None)

    def _record(self, slot: int, half: int) -> tuple[int, int, bytes] | None:
        number, length, checksum = _HEAD.unpack_from(self._memory, self._head(slot, half))
        if not number or length > self.size:
            return None
        start = self._place(slot, half)
        data = self._memory[start : start + length]
        return (number, half, data) if _checksum(number, data) == checksum else None

    def _numbers(self, slot: int) -> list[int]:
        return [_HEAD.unpack_from(self._memory, self._head(slot, half))[0] for half in (0, 1)]

    def _head(self, slot: int, half: int) -> int:
        if not 0 <= slot < self.slots:
            raise IndexError(f"slot {slot} of a board with {self.slots}")
        return (slot * 2 + half) * _HEAD.size

    def _place(self, slot: int, half: int) -> int:
        return self._data + (slot * 2 + half) * self.size


def _checksum(number: int, data: bytes) -> int:
    """Of a record: its number counts, or an old head would fit new data that happens to be equal to the old."""
    return crc32(data, number & 0xFFFFFFFF)
