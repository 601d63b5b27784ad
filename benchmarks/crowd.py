"""Very many idle WebSockets in several workers: the memory of each, the CPU time of all, and a message that must reach every one."""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.load import line, running
from benchmarks.outcomes import Found, say
from benchmarks.paths import FAN, BenchError
from benchmarks.process import Process, proportional, start
from benchmarks.results import Figures
from benchmarks.servers import BROADCAST, CROWD_IDLE, CROWD_WORKERS, Row

CLIENTS = 3  # processes: none may have as many files open as there are connections
FIRST_CONNECTIONS = 100  # opened before memory is looked at, so that what is made once does not count
LOOK_SECONDS = 60.0
BROADCASTS = 3
PATIENCE = 30.0
HOLD_SECONDS = 600
STOOD_STILL = re.compile(r"nothing else could run for ([\d.]+) s: ")
"""What a worker logs when its loop stood still, once that is over."""


@dataclass(frozen=True)
class Look:
    """Connections that are open and that ended, pings answered, messages heard; when the last one was sent and heard, in microseconds of
    the clock that all processes share.  All since the beginning."""

    open: int
    ended: int
    pings: int
    heard: int
    sent_us: int
    last_us: int


class Crowd:
    """Processes that hold connections."""

    def __init__(self, children: Sequence[subprocess.Popen[str]]) -> None:
        self._children = children

    def look(self) -> Look:
        looks = []
        for child in self._children:
            order(child, "l")
            looks.append(Look(**json.loads(line(child))))
        counts = {name: sum(getattr(each, name) for each in looks) for name in ("open", "ended", "pings", "heard")}
        return Look(**counts, sent_us=max(each.sent_us for each in looks), last_us=max(each.last_us for each in looks))

    def broadcast(self) -> tuple[int, float]:
        """One of them sends a message to all: how many did not get it, and the milliseconds until the last one had it."""
        before = self.look().heard
        order(self._children[0], "b")
        deadline = time.monotonic() + PATIENCE
        while True:
            now = self.look()
            missing = now.open - (now.heard - before)
            if missing <= 0 or time.monotonic() > deadline:
                return missing, (now.last_us - now.sent_us) / 1000
            time.sleep(0.05)


def order(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # `line` tells why it ended
        child.stdin.write(word)
        child.stdin.flush()


@contextlib.contextmanager
def crowd(row: Row, port: int, connections: int, clients: int) -> Iterator[Crowd]:
    """So many connections, held by so many processes."""
    options = [f"--seconds={HOLD_SECONDS}", f"--size={row.size}", f"--path={BROADCAST}", *(["--tls"] if row.protocol == "wss" else [])]
    with contextlib.ExitStack() as stack:
        children = []
        for number in range(clients):
            part = connections * (number + 1) // clients - connections * number // clients
            children.append(stack.enter_context(running([FAN, "hold", str(port), f"--connections={part}", *options])))
        for child in children:
            if not line(child).startswith("held"):
                raise BenchError("the idle connections could not be opened")
        yield Crowd(children)


def measure_crowd(row: Row, found: Found, ports: Iterator[int]) -> None:
    for server in found.servers:
        with found.noting_failure(server), start(server, row, ports) as process:
            figures = crowd_of(row, process)
            found.add(server, figures)
            cost = f"{figures['connection_kib']:>8.2f} KiB each, {figures['cpu_percent']:.1f} % of a core"
            say(f"  {server.name:<20}{cost}, a message to all in {figures['broadcast_ms']:.0f} ms")


def crowd_of(row: Row, process: Process) -> Figures:
    workers = all_workers(process)
    with crowd(row, process.port, FIRST_CONNECTIONS, 1):
        before = sum(map(proportional, workers))
        since = time.monotonic()
        with crowd(row, process.port, row.connections, CLIENTS) as clients:
            opened = row.connections / (time.monotonic() - since)
            after, before_looking = sum(map(proportional, workers)), len(process.said())
            time.sleep(CROWD_IDLE)  # from then on clients are pinged, as many as in any other minute
            resting = idle_figures(process, clients)
            broadcasts = [clients.broadcast() for _ in range(BROADCASTS)]
            ended = clients.look().ended
            stood_still = [float(seconds) for seconds in STOOD_STILL.findall(process.said()[before_looking:])]
    process.check()
    return {
        "connection_kib": (after - before) / row.connections / 1024,
        **resting,
        "opened": opened,
        "broadcast_ms": statistics.median(took for _, took in broadcasts),
        "missing": ended + sum(missing for missing, _ in broadcasts),
        "lost_workers": len(workers - process.workers()),
        "blocked": len(stood_still),
        "blocked_ms": max(stood_still, default=0.0) * 1000,
    }


def idle_figures(process: Process, clients: Crowd) -> Figures:
    began, pings, cpu = time.monotonic(), clients.look().pings, process.cpu_seconds()
    time.sleep(LOOK_SECONDS)
    seconds = time.monotonic() - began
    return {"cpu_percent": (process.cpu_seconds() - cpu) / seconds * 100, "pings": (clients.look().pings - pings) / seconds}


def all_workers(process: Process) -> set[int]:
    """Once each of them is there."""
    deadline = time.monotonic() + PATIENCE
    while len(found := process.workers()) < CROWD_WORKERS:
        if time.monotonic() > deadline:
            raise BenchError(f"only {len(found)} of {CROWD_WORKERS} workers came")
        time.sleep(0.1)
    return found
