"""The tables of the machine store: its triggers count what is there, and whoever changes them gives the file another name."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from pathlib import Path

from greenimi.hub.machine_schema import SCHEMA
from greenimi.hub.machine_store import MachineStore
from tests.hub.store_model import Clock

COUNTED = {
    "SELECT number FROM counts WHERE kind = 'records'": "SELECT count(*) FROM records",
    "SELECT number FROM counts WHERE kind = 'histories'": "SELECT count(*) FROM histories",
    "SELECT number FROM counts WHERE kind = 'claims'": "SELECT count(*) FROM claims WHERE until IS NOT NULL",
    "SELECT number FROM counts WHERE kind = 'seats'": "SELECT count(*) FROM seats WHERE until IS NOT NULL",
    "SELECT name, connections FROM rooms ORDER BY id": (
        "SELECT name, (SELECT count(*) FROM seats WHERE room = rooms.id) FROM rooms ORDER BY id"
    ),
    "SELECT name, members FROM rooms ORDER BY id ": (
        "SELECT name, (SELECT count(*) FROM members WHERE room = rooms.id AND seats > 0) FROM rooms ORDER BY id"
    ),
    "SELECT id, seats FROM members ORDER BY id": (
        "SELECT id, (SELECT count(*) FROM seats WHERE member = members.id) FROM members ORDER BY id"
    ),
    "SELECT count(*) FROM rooms WHERE id NOT IN (SELECT room FROM members)": "SELECT 0",
    "SELECT count(*) FROM messages WHERE history NOT IN (SELECT id FROM histories)": "SELECT 0",
    "SELECT count(*) FROM seats WHERE (process IS NULL) <> (until IS NOT NULL)": "SELECT 0",
    "SELECT count(*) FROM claims WHERE (process IS NULL) <> (until IS NOT NULL)": "SELECT 0",
}
"""What is kept, and what is there."""


def test_another_schema_has_another_file(tmp_path: Path) -> None:
    """When this fails: raise the number in the name of the file, and then here."""
    MachineStore(tmp_path).close()
    digest = hashlib.sha256("\n".join(SCHEMA).encode()).hexdigest()[:16]
    assert {path.name: digest for path in tmp_path.iterdir()} == {"store-1.sqlite3": "ab20687dc97ff8db"}


def do_something(store: MachineStore, chance: random.Random) -> None:
    connection, user, group = chance.randrange(40), f"user{chance.randrange(12)}", f"room{chance.randrange(8)}"
    process = connection % 4
    chance.choice(
        (
            lambda: store.keep(bytes([connection]) * 32, b"record", 5.0),
            lambda: store.take(bytes([connection]) * 32),
            lambda: store.claim(user, connection, process),
            lambda: store.release(user, connection, chance.choice((0.0, 5.0))),
            lambda: store.inherit(user, chance.randrange(40), connection, process),
            lambda: store.enter(group, user, connection, process, b"info", chance.randrange(6)),
            lambda: store.enter(group, user, connection, process, b"info", 0),
            lambda: store.leave(group, connection, chance.choice((0.0, 5.0))),
            lambda: store.append(group, b"message", 3, 5.0),
            lambda: store.size(group),
        )
    )()


def tidy_up(store: MachineStore, chance: random.Random) -> None:
    chance.choice((lambda: store.bury(chance.randrange(4)), lambda: store.expired(chance.randrange(9)), lambda: store.collect(3)))()


def test_counts_are_what_is_there(tmp_path: Path) -> None:
    clock = Clock()
    store = MachineStore(tmp_path, kept=20, histories=5, clock=clock)
    chance = random.Random(1)
    file = sqlite3.connect(tmp_path / "store-1.sqlite3")
    for _ in range(40):
        for _ in range(25):
            do_something(store, chance)
        tidy_up(store, chance)
        clock.now += 1.0
        for kept, there in COUNTED.items():
            assert file.execute(kept).fetchall() == file.execute(there).fetchall(), kept
    file.close()
