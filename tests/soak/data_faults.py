"""Faults of databases and of the way to them: what happens to servers and connections, and what those notice who ask."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from greenimi import green
from tests.soak import bad_databases, bad_locks, bad_redis, data_growth
from tests.soak.measures import descriptors
from tests.soak.places import NotRun, Verdict

EMBEDDED_FAULTS: dict[str, Callable[[str, Verdict], None]] = {
    "askers give up at any moment": bad_databases.given_up,
    "500 askers share 10 connections": bad_databases.starving,
    "millions of statements": data_growth.database,
}
"""Of a database without a server."""

SERVER_FAULTS: dict[str, Callable[[str, Verdict], None]] = {
    "the server is killed and started again": bad_databases.killed,
    "the server closes connections that are not used": bad_databases.cut_by_the_server,
    "the server ends connections at work": bad_databases.killed_connections,
    "the network swallows everything": bad_databases.silent,
    "connections are cut in the middle of answers": bad_databases.cut_in_the_middle,
    "the primary becomes read-only": bad_databases.read_only,
    "there are too few connections": bad_databases.exhausted,
    **EMBEDDED_FAULTS,
}

REPLICA_FAULTS: dict[str, Callable[[str, Verdict], None]] = {
    "a replica is killed": bad_databases.replica_killed,
}

DATABASE_FAULTS = {
    "mysql": {**SERVER_FAULTS, **REPLICA_FAULTS},
    "mysqlclient": {**SERVER_FAULTS, **REPLICA_FAULTS},
    "postgres": SERVER_FAULTS,
    "sqlite": EMBEDDED_FAULTS,
}
"""By driver."""

REDIS_FAULTS: dict[str, Callable[[Verdict], None]] = {
    "the server is killed and started again": bad_redis.killed,
    "the server stands still": bad_redis.stopped,
    "the network swallows everything": bad_redis.silent,
    "connections are cut in the middle of answers": bad_redis.cut_in_the_middle,
    "askers give up at any moment": bad_redis.given_up,
    "a replica is killed": bad_redis.replica_killed,
    "Sentinels put another in the place of a primary that was killed": bad_redis.failed_over,
    "slots of a Cluster move": bad_redis.slots_moved,
    "a primary of a Cluster is killed": bad_redis.node_killed,
    "the holder of a lock stands still for longer than it is his": bad_locks.holder_paused,
    "millions of commands": data_growth.redis,
}


def run(folder: Path, verdict: Verdict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=folder / "log", filemode="w", format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for title, fault in _faults():
        verdict.part(title)
        logging.getLogger("soak").warning("== %s", title)
        before = _descriptors()
        try:
            fault(verdict)
        except NotRun as error:
            verdict.say(f"left out: {error}")
        except Exception as error:
            verdict.check(ok=False, text=f"it came to its end ({error!r})")
        after = _descriptors(before)
        verdict.check(after <= before, f"no file stayed open ({before} before, {after} after)")


def _faults() -> list[tuple[str, Callable[[Verdict], None]]]:
    databases = [
        (f"{driver}: {title}", partial(fault, driver)) for driver, faults in DATABASE_FAULTS.items() for title, fault in faults.items()
    ]
    return [*databases, *((f"redis: {title}", fault) for title, fault in REDIS_FAULTS.items())]


def _descriptors(most: int = 0) -> int:
    """Files that this process has open, as soon as they are no more than ``most``, or after two seconds."""
    until = time.monotonic() + 2
    while True:
        gc.collect()
        found = descriptors(os.getpid())
        if found <= most or time.monotonic() > until:
            return found
        green.sleep(0.05)
