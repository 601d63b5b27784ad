"""What a worker counts, written on the scoreboard once a second, for ``greenimi status`` and the metrics."""

from __future__ import annotations

import gc
import logging
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zope.interface import implementer

from greenimi.container.service import Tier
from greenimi.event import Events
from greenimi.event.lifecycle import WorkerDraining, WorkerStarted
from greenimi.interfaces import IService
from greenimi.servers.master.limits import resident_bytes
from greenimi.servers.watch.scoreboard import Scoreboard
from greenimi.servers.watch.totals import encode

if TYPE_CHECKING:
    from greenimi.servers.doors import Doors
    from greenimi.servers.watch.guard import Guard
    from greenimi.servers.watch.status_types import (
        BlockedReport,
        BlockedStatus,
        HandlersStatus,
        LoopStatus,
        Numbers,
        ServerStatus,
        WorkerStatus,
    )

State = Literal["booting", "ready", "draining"]
Source = Callable[[], Mapping[str, float]]

_REPORTS = 5
_REPORT = 500
"""So many reports of blocked loops are kept, and so many characters of each."""

_SELDOM = 10
"""Every so many seconds what is dearer is looked at."""

OWN_FAMILIES = {"blocked", "connections", "cpu", "handlers", "message", "messages", "replies", "worker", "workers"}
"""How the names of our own metrics begin."""

_FDS = Path("/proc/self/fd")

log = logging.getLogger("greenimi.servers")


@implementer(IService)
class Statistics:
    """A service: from start to stop it writes this process's record once a second, and at its end.

    board    where it writes: one of its own until :meth:`report_to`, so that metrics work without a master, too.
    state    booting until the application started, then ready, draining from the moment it takes no new work.
    sources  what other rooms count; see :meth:`add_source`.
    """

    tier = Tier.WORK

    def __init__(self, doors: Callable[[], Doors], events: Events) -> None:
        self.board = Scoreboard(2)
        self.state: State = "booting"
        self.sources: dict[str, Source] = {}
        self.since = time.time()
        self._doors = doors
        self._slot = 1
        self._place = 0
        self._generation = 1
        self._fds = 0
        self._count = 0
        self._told: Numbers = {}
        self._failed: set[str] = set()
        events.on(WorkerStarted, lambda _: self.become("ready"))
        events.on(WorkerDraining, lambda _: self.become("draining"))

    def report_to(self, board: Scoreboard, slot: int, *, place: int, generation: int) -> None:
        """Write in ``slot`` of the master's board from now on.  Before ``start``."""
        self.board = board
        self._slot, self._place, self._generation = slot, place, generation

    def add_source(self, name: str, source: Source) -> None:
        """Have the numbers that ``source()`` gives, by their names, among those of this worker.  A name again replaces the source.

        It is called once a second, in the hub: it must not wait for anything.  What ends in ``_total`` only grows.  ``pool.main`` with
        ``{"busy": 3}`` becomes the metric ``greenimi_pool_busy{name="main"}``.  ValueError for a family that is taken or malformed.
        """
        family = name.partition(".")[0]
        if family in OWN_FAMILIES or not re.fullmatch("[a-z][a-z0-9]*", family):
            raise ValueError(f"{name!r} cannot name a source of statistics; write family or family.name, the family not one of our own")
        self.sources[name] = source

    def remove_source(self, name: str) -> None:
        """Ask it once more, and never again.  Its counters stay among the numbers, as they must not shrink; the rest is gone."""
        if name in self.sources:
            told = self._numbers().pop(name, {})
            del self.sources[name]
            if counters := {key: value for key, value in told.items() if key.endswith("_total")}:
                self._told[name] = counters

    # -- as a service ------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self._fds = open_descriptors()
        self._doors().runtime.each_second.append(self._each_second)
        self.write()

    def drain(self) -> None:
        self.become("draining")

    def stop(self) -> None:
        """Write the last record: what the worker counted outlives it."""
        each_second = self._doors().runtime.each_second
        if self._each_second in each_second:
            each_second.remove(self._each_second)
            self.become("draining")

    def become(self, state: State) -> None:
        """Change the state, and tell at once."""
        self.state = state
        self.write()

    @property
    def overloaded(self) -> bool:
        """The worker takes no more messages now."""
        return bool(self._doors().runtime.handlers.overloaded)

    # -- the record --------------------------------------------------------------------------------------------------
    def _each_second(self, now: float) -> None:
        self._count += 1
        if self._count % _SELDOM == 0:
            self._fds = open_descriptors()
        self.write()

    def write(self) -> None:
        """Write the record.  What makes it too long for the board is left out, the sources first."""
        status = self.status()
        left_out: list[dict[str, object]] = [{}, {"sources": {}}, {"sources": {}, "blocked": {**status["blocked"], "reports": []}}]
        for less in left_out:
            try:
                self.board.write(self._slot, encode({**status, **less}))
            except ValueError as error:
                self._once("record", "the statistics are not complete: %s", error)
            else:
                return

    def status(self) -> WorkerStatus:
        """What there is to tell now."""
        doors = self._doors()
        runtime = doors.runtime
        return {
            "pid": os.getpid(),
            "place": self._place,
            "generation": self._generation,
            "state": self.state,
            "since": self.since,
            "at": time.time(),
            "servers": {name: _server(server) for name, server in doors.servers.items()},
            "handlers": _handlers(runtime.handlers),
            "loop": _loop(doors.guard),
            "blocked": _blocked(doors.guard),
            "memory": resident_bytes(),
            "cpu": time.process_time(),
            "fds": self._fds,
            "collections": [generation["collections"] for generation in gc.get_stats()],
            "sources": self._numbers(),
        }

    def _numbers(self) -> Numbers:
        """Of a source that fails, what it told last: its counters must not shrink."""
        for name, source in self.sources.items():
            try:
                self._told[name] = {str(key): _finite(value) for key, value in source().items()}
            except Exception as error:
                self._once(name, "the statistics of %s failed: %s: %s", name, type(error).__name__, error)
        return self._told

    def _once(self, what: str, text: str, *args: Any) -> None:
        """Log what would be said again every second."""
        if what not in self._failed:
            self._failed.add(what)
            log.warning(text, *args)


def _finite(value: float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} cannot be added to anything")
    return number


def _server(server: Any) -> ServerStatus:
    """Not every kind of server counts everything."""
    rates = getattr(server, "rates", None)
    return {
        "kind": server.kind,
        "connections": len(getattr(server, "connections", ())),
        "accepted": getattr(server, "accepted_count", 0),
        "refused": getattr(server, "refused", 0),
        "handled": server.handled,
        "dropped": getattr(server, "dropped", 0),
        "cut": getattr(server, "cut_count", 0),
        "held": 0 if rates is None else rates.held,
        "late": getattr(server, "late_replies", 0),
        "latency": {"buckets": server.latency.buckets, "sum": server.latency.sum},
    }


def _handlers(pool: Any) -> HandlersStatus:
    return {"size": pool.size, "busy": pool.busy, "waiting": pool.waiting, "limit": pool.limit, "overloaded": pool.overloaded}


def _loop(guard: Guard) -> LoopStatus:
    return {"lag": guard.lag, "max_lag": guard.lag_max}


def _blocked(guard: Guard) -> BlockedStatus:
    last = list(guard.reports)[-_REPORTS:]
    reports: list[BlockedReport] = [{"when": one.when, "seconds": one.seconds, "where": one.where[:_REPORT]} for one in last]
    return {"count": guard.count, "seconds": guard.seconds, "reports": reports}


def open_descriptors() -> int:
    """How many file descriptors this process has open; 0 where the system does not tell."""
    try:
        return _FDS.stat().st_size or sum(1 for _ in _FDS.iterdir())  # newer kernels tell the number as the size
    except OSError:
        return 0
