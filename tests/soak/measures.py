"""Figures of a process that are read from outside of it, and of lists of numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` (0.99) of all values do not exceed.  ValueError without values."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered), -int(-len(ordered) * share // 1)) - 1)]


def in_ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def cpu_seconds(pid: int) -> float:
    """Processor time that a process used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def descriptors(pid: int) -> int:
    """Files that a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


class Cpu:
    """The share of one core that a process uses from now on."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._from = (time.monotonic(), cpu_seconds(pid))

    @property
    def share(self) -> float:
        began, used = self._from
        return (cpu_seconds(self._pid) - used) / (time.monotonic() - began)
