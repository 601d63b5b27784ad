"""Measure a row in its way."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from benchmarks.calls import measure_calls
from benchmarks.churn import measure_churn
from benchmarks.crowd import measure_crowd
from benchmarks.idle import measure_idle
from benchmarks.memory import measure_memory
from benchmarks.outcomes import Found, say
from benchmarks.push import measure_push
from benchmarks.reload import measure_reload
from benchmarks.results import RowResult
from benchmarks.rounds import measure_rates
from benchmarks.servers import Row
from benchmarks.upload import measure_upload


def measure(row: Row, only: Collection[str], rounds: int, seconds: int, ports: Iterator[int], *, full: bool) -> RowResult:
    """One row with the named servers (all of them when `only` is empty).  A server that fails is reported, not raised."""
    say(f"{row.name}: {row.title}")
    found, tls = Found(row, only), ""
    if row.load == "memory":
        measure_memory(row, found, ports)
    elif row.load == "idle":
        measure_idle(row, found, ports)
    elif row.load == "reload":
        measure_reload(row, found, ports)
    elif row.load == "churn":
        measure_churn(row, found, ports, full=full)
    elif row.load == "push":
        measure_push(row, found, rounds, seconds, ports)
    elif row.load == "crowd":
        measure_crowd(row, found, ports)
    elif row.load == "upload":
        measure_upload(row, found, ports)
    elif row.load == "calls":
        measure_calls(row, found, rounds, seconds)
    else:
        tls = measure_rates(row, found, rounds, seconds, ports)
    return RowResult(row.name, row.title, row.load, found.outcomes(), tls)
