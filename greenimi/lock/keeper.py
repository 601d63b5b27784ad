"""Who renews the locks that are held, and gives back what could not be given back at once: one greenlet for all of them."""

from __future__ import annotations

import logging
import math
import time
from contextvars import Context
from heapq import heapify, heappop, heappush
from itertools import count

from greenimi.green import Event, Greenlet, spawn, timeout
from greenimi.interfaces import ILockStore
from greenimi.lock.held import Held

log = logging.getLogger("greenimi.lock")

_PARTS = 3
"""A lease is renewed when so much of it is over: two more tries are left then."""

_SOONEST = 0.02
"""Seconds between two tries, and that one may take, at least."""


class _TooLate(BaseException):
    """Ends a question to the store that has no answer in time.

    Not an Exception: a connection that was left in the middle of an answer must not be used again.
    """


class Debt:
    """A token under which the store may hold a lock that nobody here uses."""

    __slots__ = ("active", "name", "token", "until")

    def __init__(self, name: str, token: str, until: float) -> None:
        self.name = name
        self.token = token
        self.until = until
        self.active = True


class Keeper:
    """Renews in time, one lock after the other; a lock that cannot be renewed, or whose greenlet has ended, is told of and given up.

    The greenlet starts when it is first needed.  Nothing is done for a lock that is given back before its first renewal.
    """

    def __init__(self, store: ILockStore, limit: int) -> None:
        """``limit``: debts that are kept at most; beyond it a lock ends with its lease."""
        self._store = store
        self._limit = limit
        self._heap: list[tuple[float, int, Held | Debt]] = []  # the soonest first; with some that are given back
        self._numbers = count()
        self._active = 0
        self._debts = 0
        self._wakes = math.inf
        self._changed = Event()
        self._greenlet: Greenlet | None = None

    # -- what there is to keep -----------------------------------------------------------------------------------------
    def add(self, held: Held) -> None:
        self._active += 1
        self._push(self._first_visit(held), held)

    def done(self) -> None:
        """One of those that were added is not active any more."""
        self._active -= 1
        if len(self._heap) > 2 * (self._active + self._debts) + 64:
            self._heap = [entry for entry in self._heap if entry[2].active]
            heapify(self._heap)

    def owe(self, name: str, token: str, lease: float) -> None:
        """Give back what may be held under this token, as soon as that can be; after its lease there is no need to."""
        if self._debts < self._limit:
            self._debts += 1
            self._push(0.0, Debt(name, token, time.monotonic() + lease))

    def _first_visit(self, held: Held) -> float:
        return held.until - held.lease * (_PARTS - 1) / _PARTS if held.renew else held.until

    def _push(self, due: float, what: Held | Debt) -> None:
        heappush(self._heap, (due, next(self._numbers), what))
        if due < self._wakes:
            self._wakes = due
            self._changed.set()
            if self._greenlet is None:
                self._start()

    def _start(self) -> None:
        self._greenlet = Context().run(spawn, self._run)  # it belongs to no message
        self._greenlet.rawlink(self._ended)

    def _ended(self, greenlet: Greenlet) -> None:
        """In the hub: somebody has killed it."""
        if greenlet is self._greenlet:
            self._start()

    # -- keeping -------------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        while True:
            self._changed.clear()
            while self._heap and self._heap[0][0] <= time.monotonic():
                what = heappop(self._heap)[2]
                if what.active:
                    try:
                        again = self._pay(what) if isinstance(what, Debt) else self._visit(what)
                    except Exception:
                        log.exception("the lock %r could not be looked after", what.name)
                        again = time.monotonic() + 1.0
                    except BaseException:
                        heappush(self._heap, (0.0, next(self._numbers), what))
                        raise
                    if again:
                        heappush(self._heap, (again, next(self._numbers), what))
            self._wakes = self._heap[0][0] if self._heap else math.inf
            if not self._changed.is_set():
                self._changed.wait(max(0.0, self._wakes - time.monotonic()) if self._heap else None)

    def _visit(self, held: Held) -> float:
        """When to look again; 0 for never."""
        if held.abandoned:
            held.abandon()
            self.owe(held.name, held.token, held.lease)
            return 0.0
        if held.lost:
            held.lose(held.reason)
            return time.monotonic() + held.lease  # whether its greenlet has ended
        asked = time.monotonic()
        renewed = None
        try:
            with timeout(max(_SOONEST, held.until - asked), _TooLate):
                renewed = self._store.renew(held.name, held.token, held.lease)
        except (Exception, _TooLate) as error:
            log.warning("the lock %r could not be renewed: %s: %s", held.name, type(error).__name__, error)
        if not held.active:
            return 0.0
        if renewed is False:
            held.lose("its store does not know it any more")
            return time.monotonic() + held.lease
        if renewed and not held.lost:
            held.until = asked + held.lease
            return self._first_visit(held)
        return min(held.until, time.monotonic() + max(_SOONEST, held.lease / 10))

    def _pay(self, debt: Debt) -> float:
        now = time.monotonic()
        if now < debt.until:
            try:
                with timeout(max(_SOONEST, debt.until - now), _TooLate):
                    self._store.release(debt.name, debt.token)
            except (Exception, _TooLate) as error:
                log.info("the lock %r could not be given back yet: %s: %s", debt.name, type(error).__name__, error)
                return min(debt.until, time.monotonic() + 0.5)
        self._debts -= 1
        debt.active = False
        return 0.0

    def stop(self) -> None:
        """Give back what is still held, one try each."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()
        for _, _, what in self._heap:
            if what.active:
                what.active = False
                try:
                    self._store.release(what.name, what.token)
                except Exception as error:
                    log.warning("the lock %r could not be given back: %s: %s", what.name, type(error).__name__, error)
        self._heap.clear()
        self._active = self._debts = 0
