"""Faults: what can happen to a worker, to the machine and by a client, and what others notice of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.soak import bad_clients, bad_machines, bad_workers
from tests.soak.places import NotRun, Verdict

FAULTS: dict[str, Callable[[Path, Verdict], None]] = {
    "a worker is killed": bad_workers.killed,
    "a worker stands still": bad_workers.stopped,
    "a worker leaks memory": bad_workers.leaking,
    "the disk of the log is full": bad_machines.full_disk,
    "the clock is set back by an hour": bad_machines.clock_set_back,
    "a hundred greenlets write to one connection": bad_clients.crowd,
    "clients that never read": bad_clients.never_reading,
}


def run(folder: Path, verdict: Verdict) -> None:
    for name, fault in FAULTS.items():
        verdict.part(name)
        try:
            fault(folder / fault.__name__, verdict)
        except NotRun as error:
            verdict.say(f"left out: {error}")
