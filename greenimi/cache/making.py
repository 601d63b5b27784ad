"""Values that are made when there are none: by one for all who want them, and anew before they end."""

from __future__ import annotations

import math
import random
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

from greenimi.cache.entry import MISSING, Entry
from greenimi.cache.settings import CacheSettings
from greenimi.cache.shelf import Shelf, Ttl
from greenimi.green import Event, sleep

__all__ = ["LEASE", "Making", "Order", "is_due"]

LEASE = "%lease:"
"""What the keys of leases begin with: who has the one of a key is to make its value."""

_SHORTEST, _LONGEST = 0.005, 0.1
"""Seconds between looks at a value that another process makes."""

Made: TypeAlias = "tuple[Entry, Any]"


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants who found no value, or one that is due, which then ends at ``due``."""

    make: Callable[[], Any]
    ttl: Ttl = None
    kind: Any = Any
    tags: Sequence[str] | Callable[[], Sequence[str]] = ()
    lock: bool = True
    when: Callable[[Any], object] | None = None
    negative: float | None = None
    due: float = 0.0


_MOST_TIMES = 37
"""More than ``is_due`` can draw: the logarithm of the least number that random gives."""


def is_due(entry: Entry, early: float) -> bool:
    """Whether to make it anew now, before its end: a matter of chance, the more likely the nearer that is, and the longer it took to make.

    As all who read a value draw independently, the more of them there are the earlier one finds it due, and most likely one only:
    A. Vattani, F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", Proceedings of the VLDB Endowment 8(8),
    2015 ("XFetch").
    """
    left = entry.ends - time.time()
    cost = entry.cost * early
    return left <= cost * _MOST_TIMES and left <= cost * -math.log(1.0 - random.random())  # noqa: S311 - no secret


class Flight:
    """The making of one value.  ``void``: what comes out of it must not be kept, as it was deleted or set meanwhile."""

    __slots__ = ("done", "entry", "error", "trace", "void")

    def __init__(self) -> None:
        self.done = Event()
        self.void = False
        self.entry: Entry | None = None
        self.error: Exception | None = None
        self.trace: TracebackType | None = None


class Making:
    """Of the greenlets of this process one makes a value, and the others wait for it; of several processes one, by a lease in the store."""

    def __init__(self, shelf: Shelf, settings: CacheSettings) -> None:
        self.made = 0
        """How many values were made so far."""
        self._shelf = shelf
        self._settings = settings
        self._flights: dict[str, Flight] = {}
        self._alone = shelf.local and not shelf.store.shared  # each message for itself

    def obtain(self, key: str, order: Order) -> Any:
        """The value; whatever the making raises, to all who waited for it."""
        if not order.lock or self._alone:
            return self._make(key, order, lambda: True)[1]
        while True:
            flight = self._flights.get(key)
            if flight is None:
                return self._lead(key, order)
            found = self._read(key, order)
            if found is not None:  # it is being made anew; the old one will do
                return found[1]
            if not flight.done.wait(self._settings.wait):
                return self._make(key, order, lambda: True)[1]
            if flight.error is not None:
                raise flight.error.with_traceback(flight.trace)
            if flight.entry is not None:
                value = self._shelf.value(key, flight.entry, order.kind)
                if value is not MISSING:
                    return value
                return self._make(key, order, lambda: True)[1]
            # whoever made it was stopped: the next one tries

    def forget(self, key: str) -> None:
        """The value is being changed by somebody else: what is made now must not be kept."""
        flight = self._flights.pop(key, None)
        if flight is not None:
            flight.void = True
        if not self._shelf.local:
            self._shelf.store.delete(LEASE + key)

    def forget_all(self) -> None:
        """The same for all values that are being made in this process."""
        for key in list(self._flights):
            self.forget(key)

    # -- the one who makes it --------------------------------------------------------------------------------------
    def _lead(self, key: str, order: Order) -> Any:
        flight = self._flights[key] = Flight()
        try:
            flight.entry, value = self._make_once(key, order, flight)
            return value
        except Exception as error:
            flight.error, flight.trace = error, error.__traceback__
            raise
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.done.set()

    def _make_once(self, key: str, order: Order, flight: Flight) -> Made:
        old = self._read(key, order)
        if old is not None and old[0].ends != (order.due or -1.0):
            return old
        if self._shelf.local:
            return self._renew(key, order, old, lambda: not flight.void)
        token = secrets.token_bytes(8)
        found = self._await_lease(key, order, token, old)
        if found is not None:
            return found
        try:
            old = self._read(key, order) or old  # who had the lease before may just have kept it
            if old is not None and old[0].ends != (order.due or -1.0):
                return old
            return self._renew(key, order, old, lambda: not flight.void and self._has_lease(key, token))
        finally:
            self._release(key, token)

    def _await_lease(self, key: str, order: Order, token: bytes, old: Made | None) -> Made | None:
        """None with the lease, or when it is not to be had; else what another process has made."""
        until = time.monotonic() + self._settings.wait
        pause = _SHORTEST
        while not self._take_lease(key, token):
            if old is not None:
                return old
            if time.monotonic() > until:
                return None
            sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(pause * 1.5, _LONGEST)
            found = self._read(key, order)
            if found is not None:
                return found
        return None

    def _take_lease(self, key: str, token: bytes) -> bool:
        """True also when the store fails: then everybody makes his own."""
        trouble = self._shelf.trouble
        if trouble.until and trouble.pausing():
            return True
        try:
            return bool(self._shelf.store.add(LEASE + key, token, self._settings.lease))
        except Exception as error:
            trouble.note(error)
            return True

    def _has_lease(self, key: str, token: bytes) -> bool:
        return bool(self._shelf.store.get(LEASE + key) == token)

    def _release(self, key: str, token: bytes) -> None:
        """A lease that cannot be given back ends by itself."""
        trouble = self._shelf.trouble
        if trouble.until and trouble.pausing():
            return
        with suppress(Exception):
            if self._has_lease(key, token):
                self._shelf.store.delete(LEASE + key)

    def _renew(self, key: str, order: Order, old: Made | None, keep: Callable[[], bool]) -> Made:
        try:
            return self._make(key, order, keep)
        except Exception as error:
            if old is None:
                raise
            self._shelf.trouble.say("%s could not be made anew; the old value is used until its end", key, error=error)
            return old

    # -- making ----------------------------------------------------------------------------------------------------
    def _read(self, key: str, order: Order) -> Made | None:
        entry = self._shelf.find(key)
        if entry is None:
            return None
        value = self._shelf.value(key, entry, order.kind)
        return None if value is MISSING else (entry, value)

    def _make(self, key: str, order: Order, keep: Callable[[], bool]) -> Made:
        """What is given out is what the cache would give, also the first time.  It is kept if ``keep`` says so in the end."""
        shelf = self._shelf
        names = order.tags() if callable(order.tags) else order.tags
        versions = self._versions(names) if names else {}
        began = time.monotonic()
        result = order.make()
        cost = max(time.monotonic() - began, 1e-6)
        self.made += 1
        lifetime = self._lifetime(order, result)
        stored = shelf.pack(key, result, order.kind, lifetime=lifetime, cost=cost, tags=versions)
        made = shelf.unpack(key, stored, order.kind)
        paused = shelf.trouble.until and shelf.trouble.pausing()
        if lifetime != 0.0 and versions is not None and not paused and (order.when is None or order.when(result)):
            self._keep(key, stored, lifetime, keep)
        return made

    def _keep(self, key: str, stored: Any, lifetime: float | None, keep: Callable[[], bool]) -> None:
        try:
            if keep():
                self._shelf.store.set(key, stored, lifetime)
                self._shelf.wrote()
        except Exception as error:
            self._shelf.trouble.note(error)

    def _lifetime(self, order: Order, result: Any) -> float | None:
        if result is None:
            negative = self._settings.negative if order.negative is None else order.negative
            if negative >= 0:
                return self._shelf.lifetime(negative, tagged=bool(order.tags))
        return self._shelf.lifetime(order.ttl, tagged=bool(order.tags))

    def _versions(self, names: Sequence[str]) -> dict[str, bytes] | None:
        """None when they cannot be told: a value of these tags must not be kept then."""
        if self._shelf.trouble.until and self._shelf.trouble.pausing():
            return None
        try:
            return self._shelf.tags.versions(names)
        except Exception as error:
            self._shelf.trouble.note(error)
            return None
