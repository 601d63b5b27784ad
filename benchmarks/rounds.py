"""Measure a row: all its servers run at once on one CPU, and each gets its turn of load in every round."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator

from benchmarks.load import held, load
from benchmarks.paths import BenchError
from benchmarks.process import Process, start
from benchmarks.results import Figures, Outcome, RowResult, medians
from benchmarks.servers import Row, Server

WARM_UP_SECONDS = 1
FIRST_CONNECTIONS = 100  # opened before memory is looked at, so that what is made once does not count


def measure(row: Row, only: Collection[str], rounds: int, seconds: int, ports: Iterator[int]) -> RowResult:
    """One row with the named servers (all of them when `only` is empty).  A server that fails is reported, not raised."""
    servers = [server for server in row.servers if not only or server.name in only]
    say(f"{row.name}: {row.title}")
    outcomes = measure_memory(row, servers, ports) if row.load == "memory" else measure_rates(row, servers, rounds, seconds, ports)
    return RowResult(row.name, row.title, outcomes)


def measure_rates(row: Row, servers: list[Server], rounds: int, seconds: int, ports: Iterator[int]) -> list[Outcome]:
    failed: dict[str, str] = {}
    found: dict[str, list[Figures]] = {server.name: [] for server in servers}
    with contextlib.ExitStack() as stack:
        running: dict[str, Process] = {}
        for server in servers:
            with noting_failure(server, failed):
                running[server.name] = stack.enter_context(start(server, row, ports))
                load(row, running[server.name].port, WARM_UP_SECONDS)
        for number in range(rounds):
            turn = number % max(1, len(servers))  # another one begins each round, so nobody always follows the same neighbour
            for server in servers[turn:] + servers[:turn]:
                if server.name in failed:
                    continue
                with noting_failure(server, failed):
                    figures = one_turn(row, running[server.name], seconds)
                    found[server.name].append(figures)
                    say(f"  round {number + 1}  {server.name:<20}{figures['rate']:>10,.0f} /s")
    return [outcome(server, found[server.name], failed.get(server.name, "")) for server in servers]


def one_turn(row: Row, process: Process, seconds: int) -> Figures:
    before = process.cpu_seconds()
    result = load(row, process.port, seconds)
    used = process.cpu_seconds() - before
    process.check()
    return {
        "rate": result.count / result.seconds,
        "p50_us": result.p50_us,
        "p99_us": result.p99_us,
        "cpu_us": used * 1e6 / result.count,
        "rss_mib": process.worker_bytes() / 2**20,
        "errors": result.errors,
    }


def measure_memory(row: Row, servers: list[Server], ports: Iterator[int]) -> list[Outcome]:
    """Memory hardly varies, so each server is started once."""
    failed: dict[str, str] = {}
    found: dict[str, list[Figures]] = {server.name: [] for server in servers}
    for server in servers:
        with noting_failure(server, failed), start(server, row, ports) as process:
            figures = memory_of(process, row.connections)
            found[server.name].append(figures)
            say(f"  {server.name:<20}{figures['worker_mib']:>8.1f} MiB {figures['connection_kib']:>8.1f} KiB a connection")
    return [outcome(server, found[server.name], failed.get(server.name, "")) for server in servers]


def memory_of(process: Process, connections: int) -> Figures:
    after_start = process.worker_bytes()
    with held(process.port, FIRST_CONNECTIONS):
        few = process.worker_bytes()
        with held(process.port, connections):
            many = process.worker_bytes()
            process.check()
    return {"worker_mib": after_start / 2**20, "connection_kib": (many - few) / connections / 1024}


@contextlib.contextmanager
def noting_failure(server: Server, failed: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except (BenchError, OSError) as error:
        failed[server.name] = str(error)
        say(f"  {server.name} is left out: {error}")


def outcome(server: Server, rounds: list[Figures], failed: str) -> Outcome:
    if failed or not rounds:
        return Outcome(server.name, server.about, failed=failed or "not measured")
    return Outcome(server.name, server.about, medians(rounds), rounds)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
