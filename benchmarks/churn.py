"""What many short connections leave behind in a worker: memory and descriptors."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence

from benchmarks.load import visits
from benchmarks.outcomes import Found, say
from benchmarks.process import Process, open_files, resident, start
from benchmarks.results import Figures
from benchmarks.servers import Row

WARM_UP_PART = 0.4  # of the visits of a run that is not full: until then a worker fills its pools and caches
SAMPLES = 30
SLICE_SECONDS = 500  # at most, for a part of the visits
PROBED_SECONDS = 0.5  # after the start, for the connection that asked whether it is ready
SETTLE_SECONDS = 10.0  # at most, until the last connections are gone


def measure_churn(row: Row, found: Found, ports: Iterator[int], *, full: bool) -> None:
    for server in found.servers:
        with found.noting_failure(server), start(server, row, ports) as process:
            figures = churn_of(row, process, row.full_visits if full else row.visits)
            found.add(server, figures)
            say(f"  {server.name:<20}{figures['slope_kib']:>8.2f} KiB per 1000 connections after {figures['visits']:,.0f}")


def churn_of(row: Row, process: Process, count: int) -> Figures:
    """Memory is looked at between slices of the visits, when no connection is open."""
    warm_up = int(row.visits * WARM_UP_PART)
    worker, size = process.worker(), max(1, (count - warm_up) // SAMPLES)
    time.sleep(PROBED_SECONDS)
    base = open_files(worker)
    come_and_go(row, process, warm_up)
    samples = [(0, resident(worker))]
    for number in range(1, SAMPLES + 1):
        come_and_go(row, process, size)
        samples.append((number * size, resident(worker)))
    process.check()
    return {
        "visits": warm_up + SAMPLES * size,
        "slope_kib": slope(samples) / 1024 * 1000,
        "grown_kib": (samples[-1][1] - samples[0][1]) / 1024,
        "files_left": settled_files(worker, base) - base,
        "worker_mib": samples[-1][1] / 2**20,
    }


def come_and_go(row: Row, process: Process, count: int) -> None:
    visits(row, process.port, SLICE_SECONDS, "--mixed", f"--visits={count}")


def settled_files(worker: int, base: int) -> int:
    """The worker's descriptors once they are not more than `base`; as many as there are when that does not come."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (found := open_files(worker)) > base and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def slope(samples: Sequence[tuple[int, int]]) -> float:
    """The line through the samples by least squares: how much the second grows by one of the first."""
    return statistics.linear_regression([x for x, _ in samples], [y for _, y in samples]).slope
