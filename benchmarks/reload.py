"""A reload under load: requests come at half of the rate that the server can do; what fails and what waits is counted.

Servers and load are not kept apart here: workers and master may use both CPUs, as in life, and the client sits on one of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.load import Phase, load, paced
from benchmarks.outcomes import Found, say
from benchmarks.process import Process, start
from benchmarks.results import Figures
from benchmarks.servers import Row

FULL_SECONDS = 2  # to find out what the server can do
SETTLE_SECONDS = 1.0  # the first paced requests open the connections
ROLLS = 5
BEFORE_SECONDS, AFTER_SECONDS = 8.0, 2.0  # before: about as long as a roll, or the hundredth is found less exactly
ROLL_SECONDS = 60.0  # at most, until the last old worker is gone


def measure_reload(row: Row, found: Found, ports: Iterator[int]) -> None:
    for server in found.servers:
        with found.noting_failure(server), start(server, row, ports) as process:
            figures = reload_of(row, process)
            found.add(server, figures)
            say(f"  {server.name:<20}{figures['failed']:>6.0f} failed of {figures['rate'] * figures['roll_seconds']:,.0f} during the roll")


def reload_of(row: Row, process: Process) -> Figures:
    full = load(replace(row, load="wrk"), process.port, FULL_SECONDS)
    rate = full.count / full.seconds / 2
    rolls = []
    with paced(row, process.port, rate, int(ROLLS * (BEFORE_SECONDS + AFTER_SECONDS) + ROLL_SECONDS) + 10) as client:
        time.sleep(SETTLE_SECONDS)
        first = client.end_phase()
        for _ in range(ROLLS):
            time.sleep(BEFORE_SECONDS)
            before = client.end_phase()
            process.reload(ROLL_SECONDS)
            during = client.end_phase()
            time.sleep(AFTER_SECONDS)
            rolls.append((before, during, client.end_phase()))
    for phase in (first, *(phase for roll in rolls for phase in roll)):
        if phase.failed:
            say(f"  {phase.failed} requests failed: {phase.reason}")
    return figures_of(rate, first, rolls)


Roll = tuple[Phase, Phase, Phase]
"""What the client saw before a reload, in it, and after it."""


def figures_of(rate: float, first: Phase, rolls: Sequence[Roll]) -> Figures:
    """Failures of all rolls; latencies of the middle one, by how much worse it got."""
    phases = [first, *(phase for roll in rolls for phase in roll)]
    before, during, _ = sorted(rolls, key=_times)[len(rolls) // 2]
    return {
        "rate": rate,
        "answered": sum(phase.count for phase in phases),
        "failed": sum(phase.failed for phase in phases),
        "reopened": during.opened,
        "roll_seconds": during.seconds,
        "before_p99_us": before.p99_us,
        "roll_p99_us": during.p99_us,
        "roll_max_us": max(roll[1].max_us for roll in rolls),
        "p99_times": _times((before, during, during)),
    }


def _times(roll: Roll) -> float:
    """How many times as long the slowest hundredth waited in a roll as before it."""
    before, during, _ = roll
    return during.p99_us / max(before.p99_us, 1)
