"""What a call of a library costs: each server of the row is a program here, which makes the call for some seconds and tells its figures."""

from __future__ import annotations

import json
import shlex

from benchmarks.load import run
from benchmarks.outcomes import Found, say
from benchmarks.paths import PEERS, PROJECT, BenchError
from benchmarks.results import Figures
from benchmarks.servers import Row, Server


def measure_calls(row: Row, found: Found, rounds: int, seconds: int) -> None:
    """One after the other, each in every round."""
    for number in range(rounds):
        for server in found.servers:
            if found.has_failed(server):
                continue
            with found.noting_failure(server):
                figures = calls(server, seconds)
                found.add(server, figures)
                say(f"  round {number + 1}  {server.name:<20}{figures['cpu_us']:>10,.2f} µs")


def calls(server: Server, seconds: int) -> Figures:
    """BenchError when the program fails or tells something else than figures."""
    missing = next((path for path in server.needs if not path.exists()), None)
    if missing is not None:
        raise BenchError(f"{missing} is missing")
    command = [part.format(peers=PEERS / "bin", project=PROJECT / "bin") for part in shlex.split(server.command)]
    text = run([*command, f"--seconds={seconds}"], seconds)
    try:
        told = json.loads(text)
        return {
            "rate": told["calls"] / told["seconds"],
            "cpu_us": told["cpu"] * 1e6 / told["calls"],
            "rss_mib": told["rss"] / 2**20,
        }
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"it told no figures but {text[:100]!r}") from error
