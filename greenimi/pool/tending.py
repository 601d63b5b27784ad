"""What a pool does in the background: close what is old, report and close what is held too long, check what is free, fill up to ``min``."""

from __future__ import annotations

import logging
from bisect import insort
from contextvars import Context
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenimi import green
from greenimi.pool.lease import Slot, line_of

if TYPE_CHECKING:
    from greenimi.pool.pool import Pool

log = logging.getLogger("greenimi.pool")

_NEVER = float("inf")


class Tending:
    """For one pool: one greenlet while there is something to look after, none otherwise.  It sleeps until the next thing is due."""

    def __init__(self, pool: Pool[Any]) -> None:
        settings = pool.settings
        self.filling = False
        self._pool = pool
        self._idle = settings.idle or _NEVER
        self._heartbeat = settings.heartbeat or _NEVER
        self._report = settings.report_after or _NEVER
        self._close = settings.close_after or _NEVER
        self._shortest = min(self._idle, self._heartbeat, self._report, self._close, settings.life * 0.9 or _NEVER)
        self._greenlet: green.Greenlet | None = None
        self._woken = green.Event()

    @property
    def _needed(self) -> bool:
        if self._pool.closed:
            return False
        return (self.filling and self._pool.settings.min > 0) or (self._shortest < _NEVER and self._pool.size > 0)

    def look(self) -> None:
        """Something changed: look after it soon.  Does not wait."""
        if self._greenlet is not None:
            self._woken.set()
        elif self._needed:
            self._greenlet = Context().run(green.spawn, self._run)

    def stop(self) -> None:
        """Does not wait."""
        self.filling = False
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None

    # -- in the greenlet ---------------------------------------------------------------------------------------------
    def _run(self) -> None:
        me = self._greenlet
        try:
            while self._needed:
                self._woken.clear()
                try:
                    due = self._tend()
                except Exception:
                    log.exception("pool %s: tending it failed", self._pool.name)
                    due = monotonic() + 1.0
                seconds = min(due - monotonic(), self._shortest)
                self._woken.wait(max(0.0, seconds) if seconds < _NEVER else None)
        finally:
            if self._greenlet is me:
                self._greenlet = None

    def _tend(self) -> float:
        """Do what is due; when something is due again."""
        self._close_old()
        self._look_at_held()
        self._beat()
        retry = self._fill()
        pool = self._pool
        due = [retry]
        due += [min(slot.ends, slot.since + self._idle, self._next_beat(slot)) for slot in pool._idle]
        due += [slot.since + (self._close if slot.reported else min(self._report, self._close)) for slot in pool._held]
        return min(due)

    def _close_old(self) -> None:
        """Those that are unused for long come first among the free ones."""
        pool, now = self._pool, monotonic()
        for slot in list(pool._idle):
            spare = now - slot.since >= self._idle and pool.size > pool.settings.min
            if (spare or now >= slot.ends) and slot in pool._idle:
                pool._idle.remove(slot)
                pool._drop(slot, "it was unused for long" if spare else "it was old")

    def _look_at_held(self) -> None:
        pool, now = self._pool, monotonic()
        for slot, taken in list(pool._held.items()):
            seconds = now - slot.since
            if seconds >= self._close:
                log.error("pool %s: what %s took %.1f seconds ago is closed", pool.name, line_of(taken), seconds)
                pool._drop(slot, f"it was held for {seconds:.1f} seconds")
            elif seconds >= self._report and not slot.reported:
                slot.reported = True
                log.warning("pool %s: what %s took %.1f seconds ago was not given back yet", pool.name, line_of(taken), seconds)

    def _next_beat(self, slot: Slot) -> float:
        """It was heard of ``idle_check`` seconds before it must be checked again."""
        return slot.sure_until - self._pool.settings.idle_check + self._heartbeat

    def _beat(self) -> None:
        """Check those that are free and due, one after the other: none that is in use, and none for a taker to wait for but this one."""
        pool = self._pool
        while due := [slot for slot in pool._idle if self._next_beat(slot) <= monotonic()]:
            slot = due[0]
            pool._idle.remove(slot)
            pool._held[slot] = _HERE
            if pool._check(slot, anyway=True):
                if pool._waiters:
                    pool._free(slot, monotonic())
                else:  # for who takes one it is as long unused as before
                    del pool._held[slot]
                    insort(pool._idle, slot, key=lambda found: found.since)

    def _fill(self) -> float:
        """Connect up to ``min``.  While no node may be tried: when the next one may."""
        pool = self._pool
        missing = pool.settings.min - pool.size if self.filling else 0
        if missing <= 0 or not pool.nodes:
            return _NEVER
        if not any(node.available for node in pool.nodes):
            return monotonic() + max(0.01, min(node.ejected for node in pool.nodes))
        for _ in range(missing):
            pool._connecting.begin()
        return _NEVER


_HERE = (Tending._beat.__code__, 0)
"""The line that holds what is being checked."""
