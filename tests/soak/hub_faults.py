"""Faults of the Hub: what happens to workers, to the folder where they meet, and by clients, and what others notice of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.soak import bad_members, bad_relays
from tests.soak.places import NotRun, Verdict

FAULTS: dict[str, Callable[[Path, Verdict], None]] = {
    "a worker is killed in the middle of a fan-out": bad_relays.killed,
    "a worker stands still": bad_relays.stopped,
    "the run folder has no room": bad_relays.full_folder,
    "members of a group that never read": bad_members.never_reading,
    "a flood of opens and closes": bad_members.flood,
    "tokens that are none": bad_members.forged_tokens,
    "connections that never were": bad_members.ids_from_nowhere,
    "groups without end": bad_members.endless_groups,
}


def run(folder: Path, verdict: Verdict) -> None:
    for name, fault in FAULTS.items():
        verdict.part(name)
        try:
            fault(folder / fault.__name__, verdict)
        except NotRun as error:
            verdict.say(f"left out: {error}")
