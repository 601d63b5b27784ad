"""Rates: all servers of a row run at once on one CPU, and each gets its turn of load in every round."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks.load import load
from benchmarks.outcomes import Found, say
from benchmarks.paths import BenchError
from benchmarks.probe import negotiated
from benchmarks.process import TICK, Process, start
from benchmarks.results import Figures
from benchmarks.servers import Row

WARM_UP_SECONDS = 1


def measure_rates(row: Row, found: Found, rounds: int, seconds: int, ports: Iterator[int]) -> str:
    """Fills `found`.  The version and cipher of TLS that all servers of the row speak, or nothing."""
    tls = ""
    with contextlib.ExitStack() as stack:
        running: dict[str, Process] = {}
        for server in found.servers:
            with found.noting_failure(server):
                running[server.name] = stack.enter_context(start(server, row, ports))
                if row.protocol == "https":
                    tls = agreed(tls, negotiated(running[server.name].port))
                load(row, running[server.name].port, WARM_UP_SECONDS)
        for number in range(rounds):
            turn = number % max(1, len(found.servers))  # another one begins each round, so nobody always follows the same neighbour
            for server in found.servers[turn:] + found.servers[:turn]:
                if found.has_failed(server):
                    continue
                with found.noting_failure(server):
                    figures = one_turn(row, running[server.name], seconds)
                    found.add(server, figures)
                    say(f"  round {number + 1}  {server.name:<20}{figures['rate']:>10,.0f} /s")
    return tls


def agreed(before: str, now: str) -> str:
    """BenchError when a server speaks another TLS than those before it: their rates would not compare."""
    if before and before != now:
        raise BenchError(f"it speaks {now}, others {before}")
    return now


def one_turn(row: Row, process: Process, seconds: int) -> Figures:
    before = process.cpu_seconds()
    result = load(row, process.port, seconds)
    used = process.cpu_seconds() - before
    process.check()
    figures = {
        "rate": result.count / result.seconds,
        "p50_us": result.p50_us,
        "p99_us": result.p99_us,
        "cpu_us": used * 1e6 / result.count,
        "per_cpu": result.count / max(used, TICK),
        "rss_mib": process.worker_bytes() / 2**20,
        "errors": result.errors,
    }
    return figures if result.busy is None else {**figures, "busy_percent": result.busy * 100}
