"""Memory of a worker, and of each of many idle connections.  It hardly varies, so each server is looked at once."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.load import held
from benchmarks.outcomes import Found, say
from benchmarks.process import Process, start
from benchmarks.results import Figures
from benchmarks.servers import Row

FIRST_CONNECTIONS = 100  # opened before memory is looked at, so that what is made once does not count


def measure_memory(row: Row, found: Found, ports: Iterator[int]) -> None:
    for server in found.servers:
        with found.noting_failure(server), start(server, row, ports) as process:
            figures = memory_of(row, process)
            found.add(server, figures)
            say(f"  {server.name:<20}{figures['worker_mib']:>8.1f} MiB {figures['connection_kib']:>8.1f} KiB a connection")


def memory_of(row: Row, process: Process) -> Figures:
    after_start = process.worker_bytes()
    with held(row.protocol, process.port, FIRST_CONNECTIONS):
        few = process.worker_bytes()
        with held(row.protocol, process.port, row.connections):
            many = process.worker_bytes()
            process.check()
    return {"worker_mib": after_start / 2**20, "connection_kib": (many - few) / row.connections / 1024}
