"""How long a push to one connection takes, of the worker that sends it and of another one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from benchmarks.load import run
from benchmarks.outcomes import Found, say
from benchmarks.paths import FAN
from benchmarks.process import start
from benchmarks.results import Figures
from benchmarks.servers import PUSH, Row


def measure_push(row: Row, found: Found, rounds: int, seconds: int, ports: Iterator[int]) -> None:
    for server in found.servers:
        with found.noting_failure(server), start(server, row, ports) as process:
            for number in range(rounds):
                figures = push(row, process.port, seconds)
                process.check()
                found.add(server, figures)
                say(f"  round {number + 1}  {server.name:<20}{figures['times']:>10,.2f} times as long to the other worker")


def push(row: Row, port: int, seconds: int) -> Figures:
    options = [f"--seconds={seconds}", f"--connections={row.connections}", f"--size={row.size}", f"--path={PUSH}"]
    figures: dict[str, float] = json.loads(run([FAN, "push", str(port), *options], seconds))
    return {**figures, "times": figures["remote_p50_us"] / max(figures["local_p50_us"], 1)}
