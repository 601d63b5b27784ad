"""A lock that somebody holds, or is about to."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from greenimi.green import Greenlet, current_greenlet, throw_soon
from greenimi.lock.errors import LockError, LockLost, LockTimeout

if TYPE_CHECKING:
    from greenimi.lock.front import Lock

log = logging.getLogger("greenimi.lock")

OnLost = Literal["log", "raise"]


class _Interrupt(BaseException):
    """Thrown into the holder of a lost lock; leaves its block as LockLost.

    Not an Exception: what the block waits for is cut short, and whoever swallows exceptions there must not go on.
    """


class Held:
    """``with Lock.hold(...) as held:``; the lock is taken when the block begins, and given back when it ends, however it does.

    ``name``     of the lock
    ``fencing``  a number that grows with every taking of the lock: whoever takes the results of the work can tell an older holder by it
    ``lease``    seconds for which it is given, and each time renewed

    It belongs to the greenlet that began the block.
    """

    __slots__ = (
        "_again",
        "_count",
        "_holder",
        "_interrupt",
        "_lock",
        "_reason",
        "_told",
        "_used",
        "active",
        "fencing",
        "lease",
        "limit",
        "name",
        "on_lost",
        "reentrant",
        "renew",
        "token",
        "until",
        "wait",
    )

    def __init__(
        self, lock: Lock, name: str, *, wait: float, lease: float, renew: bool, limit: int, reentrant: bool, on_lost: OnLost
    ) -> None:
        self.name = name
        self.wait = wait
        self.lease = lease
        self.renew = renew
        self.limit = limit
        """With how many it is shared; 1: with nobody."""
        self.reentrant = reentrant
        self.on_lost = on_lost
        self.token = ""
        self.fencing = 0
        self.active = False
        """It was taken, and not given back yet."""
        self.until = 0.0
        """When the lease is over, by ``time.monotonic()``."""
        self._lock = lock
        self._holder: Greenlet | None = None
        """While it is held: a handler's greenlet that somebody refers to takes no other message, but ends; so it is seen when the block
        was not ended."""
        self._again: Held | None = None  # what the same greenlet holds already, and this one only counts
        self._interrupt: _Interrupt | None = None
        self._reason = ""
        self._told = False
        self._used = False
        self._count = 1  # blocks of the holder that have it

    # -- for the holder ------------------------------------------------------------------------------------------------
    @property
    def lost(self) -> bool:
        """Somebody else may hold it: a renewal failed, or the lease is over.  Once True, it stays so."""
        if self._again is not None:
            return self._again.lost
        if not self._reason and self.active and time.monotonic() >= self.until:
            self._reason = f"its lease of {self.lease:g} seconds was over"
        return bool(self._reason)

    def check(self) -> None:
        """Raise LockLost when it is lost: before what cannot be undone."""
        if self.lost:
            raise LockLost(f"the lock {self.name!r} was lost: {self.reason}", self.name)

    @property
    def reason(self) -> str:
        """Why it was lost."""
        return self._reason if self._again is None else self._again.reason

    def __repr__(self) -> str:
        state = "lost" if self.lost else "held" if self.active or self._again is not None else "not held"
        return f"<Held {self.name!r}, {state}>"

    # -- the block -----------------------------------------------------------------------------------------------------
    def __enter__(self) -> Held:
        if not self.take():
            raise LockTimeout(f"the lock {self.name!r} was not free{_within(self.wait)}", self.name)
        return self

    def take(self) -> bool:
        """What beginning the block does; False when others have it."""
        if self._used:
            raise LockError(f"this taking of the lock {self.name!r} was used before", hint="call Lock.hold for each block")
        self._used = True
        me = current_greenlet()
        again = self._again = self._lock.of_greenlet(self, me)
        if again is not None:
            again._count += 1
            self.fencing = again.fencing
            return True
        if not self._lock.take(self):
            return False
        self._holder = me
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        held = self._again or self
        self._again = None
        held._count -= 1
        if held._count == 0 and held.active:  # it is not when its greenlet ended before the block did
            held._end(error)

    def _end(self, error: BaseException | None) -> None:
        self._holder = None
        kept = self._lock.give_back(self)
        text = f"the lock {self.name!r} was lost while it was held: {self._reason or 'its store did not know it any more'}"
        if error is not None and error is self._interrupt:
            self._interrupt = None
            raise LockLost(text, self.name) from None
        if kept:
            return
        self._tell(text)
        if self.on_lost == "raise" and error is None:
            raise LockLost(text, self.name)

    # -- for the keeper ------------------------------------------------------------------------------------------------
    def begin(self, fencing: int, since: float) -> None:
        self.fencing = fencing
        self.until = since + self.lease
        self.active = True

    def is_of(self, greenlet: Greenlet) -> bool:
        return self._holder is greenlet

    @property
    def abandoned(self) -> bool:
        """Its greenlet has ended, without ending the block."""
        return self._holder is not None and bool(self._holder.dead)

    def lose(self, reason: str) -> None:
        """It is lost: say so, and to the holder at once if it wants that."""
        self._reason = self._reason or reason
        self._tell(f"the lock {self.name!r} was lost while it was held: {self._reason}")
        self._lock.forget(self)
        if self.on_lost == "raise" and self._holder is not None and self._interrupt is None:
            self._interrupt = _Interrupt(self.name)
            throw_soon(self._holder, self._interrupt, lambda: self.active)

    def abandon(self) -> None:
        self.on_lost = "log"
        self.lose("its greenlet has ended")
        self._holder = None
        self._lock.leave(self)

    def _tell(self, text: str) -> None:
        if not self._told:
            self._told = True
            log.warning(text)


class TryHold:
    """``with Lock.try_hold(...) as held:``; ``held`` is None when others have the lock."""

    __slots__ = ("_held", "_taken")

    def __init__(self, held: Held) -> None:
        self._held = held
        self._taken = False

    def __enter__(self) -> Held | None:
        self._taken = self._held.take()
        return self._held if self._taken else None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._taken:
            self._held.__exit__(kind, error, trace)


def _within(wait: float) -> str:
    return f" within {wait:g} seconds" if wait > 0 else ""
