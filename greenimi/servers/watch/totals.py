"""Sums over the workers of a service, those that are gone included, so that what only grows never shrinks."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import zip_longest

import msgspec

from greenimi.servers.watch.scoreboard import Scoreboard
from greenimi.servers.watch.status_types import Numbers, ServerStatus, Totals, WorkerStatus

BASE = 0
"""The slot in which the master keeps the sums of the workers that ended."""

_REMEMBERED = 32
"""So many ended workers are told from living ones; a reader that read the slot of an older one has long done its sums."""

log = logging.getLogger("greenimi.servers")

encode = msgspec.json.Encoder().encode
_worker = msgspec.json.Decoder(WorkerStatus)
_totals = msgspec.json.Decoder(Totals)


def nothing() -> Totals:
    """The sums of no worker."""
    return {"ended": 0, "folded": [], "servers": {}, "blocked": 0, "blocked_seconds": 0.0, "cpu": 0.0, "sources": {}}


def read(board: Scoreboard) -> tuple[list[WorkerStatus], Totals]:
    """The living workers' records, by slot, and the sums of those that ended."""
    records = board.read_all()  # before the base: a worker that ends meanwhile is found in both, and told from the living, or in the base
    data = board.read(BASE)
    base = _totals.decode(data) if data is not None else nothing()
    workers = [worker_of(data) for slot, data in sorted(records.items()) if slot != BASE]
    return [worker for worker in workers if (worker["pid"], worker["since"]) not in base["folded"]], base


def worker_of(data: bytes) -> WorkerStatus:
    """A record as a worker wrote it."""
    return _worker.decode(data)


def summed(base: Totals, workers: Iterable[WorkerStatus]) -> Totals:
    """``base`` and the numbers of ``workers``, what goes up and down too."""
    found: Totals = {**base, "servers": dict(base["servers"]), "sources": {name: dict(own) for name, own in base["sources"].items()}}
    for worker in workers:
        for name, server in worker["servers"].items():
            other = found["servers"].get(name)
            found["servers"][name] = _added(server, other) if other is not None else server
        for name, numbers in worker["sources"].items():
            own = found["sources"].setdefault(name, {})
            for key, value in numbers.items():
                own[key] = own.get(key, 0) + value
        found["blocked"] += worker["blocked"]["count"]
        found["blocked_seconds"] += worker["blocked"]["seconds"]
        found["cpu"] += worker["cpu"]
    return found


def _added(one: ServerStatus, other: ServerStatus) -> ServerStatus:
    buckets = zip_longest(one["latency"]["buckets"], other["latency"]["buckets"], fillvalue=0)
    return {
        "kind": one["kind"],
        "connections": one["connections"] + other["connections"],
        "accepted": one["accepted"] + other["accepted"],
        "refused": one["refused"] + other["refused"],
        "handled": one["handled"] + other["handled"],
        "dropped": one["dropped"] + other["dropped"],
        "cut": one["cut"] + other["cut"],
        "held": one["held"] + other["held"],
        "late": one["late"] + other["late"],
        "latency": {"buckets": [sum(pair) for pair in buckets], "sum": one["latency"]["sum"] + other["latency"]["sum"]},
    }


def retire(board: Scoreboard, slot: int) -> None:
    """In the master, when the worker of a slot is gone: add what it counted to the base, and free the slot."""
    data = board.read(slot)
    if data is None:
        return
    before = board.read(BASE)
    try:
        worker = worker_of(data)
    except msgspec.DecodeError as error:  # the master must live, whatever a worker wrote
        log.error("the record in slot %d cannot be read: %s", slot, error)
        board.clear(slot)
        return
    base = summed(_totals.decode(before) if before is not None else nothing(), [_lasting(worker)])
    base["ended"] += 1
    base["folded"] = [*base["folded"], (worker["pid"], worker["since"])][-_REMEMBERED:]
    try:
        board.write(BASE, encode(base))
    except ValueError as error:  # names of servers and sources that came and went
        log.warning("the sums of ended workers begin anew: %s", error)
        board.clear(BASE)
    board.clear(slot)


def _lasting(worker: WorkerStatus) -> WorkerStatus:
    """What is left of a worker that ended: no connections, and of its sources what only grows."""
    servers: dict[str, ServerStatus] = {name: {**server, "connections": 0} for name, server in worker["servers"].items()}
    sources: Numbers = {
        name: {key: value for key, value in numbers.items() if key.endswith("_total")} for name, numbers in worker["sources"].items()
    }
    return {**worker, "servers": servers, "sources": {name: numbers for name, numbers in sources.items() if numbers}}
