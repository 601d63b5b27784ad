"""The figures of a reload out of the phases of its load."""

from __future__ import annotations

from benchmarks.load import Phase
from benchmarks.reload import figures_of


def phase(count: int, failed: int, opened: int, p99_us: float) -> Phase:
    return Phase(count, failed, "", opened, 2.0, 100.0, p99_us, p99_us * 2)


def test_failures_count_in_every_phase_and_latency_compares_two() -> None:
    quiet = (phase(1, 0, 0, 1000), phase(1, 0, 0, 1000), phase(1, 0, 0, 0))
    middle = (phase(20, 0, 0, 1000), phase(30, 2, 60, 2500), phase(40, 4, 4, 9000))
    bad = (phase(1, 0, 0, 1000), phase(1, 0, 0, 9000), phase(1, 0, 0, 0))
    found = figures_of(500.0, phase(10, 1, 64, 9000), [bad, quiet, middle])
    assert (found["answered"], found["failed"], found["reopened"]) == (106, 7, 60)
    assert (found["before_p99_us"], found["roll_p99_us"], found["roll_max_us"], found["p99_times"]) == (1000, 2500, 18000, 2.5)
