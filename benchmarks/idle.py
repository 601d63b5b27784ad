"""CPU time of servers that nobody asks anything.  They idle side by side."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from benchmarks.outcomes import Found, say
from benchmarks.process import start
from benchmarks.servers import Row

SETTLE_SECONDS = 3.0  # what a start leaves to do
IDLE_SECONDS = 20.0  # the clock of /proc ticks 100 times a second: less could not tell a half per cent from a quarter


def measure_idle(row: Row, found: Found, ports: Iterator[int]) -> None:
    with contextlib.ExitStack() as stack:
        running = []
        for server in found.servers:
            with found.noting_failure(server):
                running.append(stack.enter_context(start(server, row, ports)))
        time.sleep(SETTLE_SECONDS)
        since = time.monotonic()
        before = [process.cpu_seconds() for process in running]
        time.sleep(IDLE_SECONDS)
        after = [process.cpu_seconds() for process in running]
        seconds = time.monotonic() - since
        for process, then, now in zip(running, before, after, strict=True):
            with found.noting_failure(process.server):
                process.check()
                figures = {"cpu_percent": (now - then) / seconds * 100, "worker_mib": process.worker_bytes() / 2**20}
                found.add(process.server, figures)
                say(f"  {process.server.name:<20}{figures['cpu_percent']:>8.2f} % of a core")
