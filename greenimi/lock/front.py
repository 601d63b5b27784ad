"""What applications use: locks by name, for one holder or several, waited for in line and renewed while they are held."""

from __future__ import annotations

import logging
import math
import secrets
import time
from collections import deque
from collections.abc import Callable
from types import EllipsisType
from typing import Any, TypeVar, cast

from zope.interface import implementer

from greenimi.container.service import Tier
from greenimi.errors import GreenimiError, Overloaded
from greenimi.green import Event, Greenlet, current_greenlet, interrupts
from greenimi.interfaces import ILockStore, IService, ISharedLockStore
from greenimi.lock.errors import LockError, LockFailed, LockLost
from greenimi.lock.held import Held, OnLost, TryHold
from greenimi.lock.keeper import Keeper
from greenimi.lock.settings import SHORTEST, LockSettings

log = logging.getLogger("greenimi.lock")

T = TypeVar("T")

ANY_NUMBER = 1 << 30
_LONGEST_NAME = 500  # bytes


@implementer(IService)
class Lock:
    """The locks of one ``[lock.NAME]``.

    A lock is a name; it needs no making and leaves nothing behind.  Each taking has a token of its own, so nobody but its holder gives it
    back.  Of the greenlets of one process who wait for a lock, the first to come is the first to get it; of several processes each has one
    that asks.
    """

    tier = Tier.RESOURCES

    def __init__(self, settings: LockSettings, make_store: Callable[[], ILockStore], name: str = "default") -> None:
        """``make_store`` is called when a lock is first taken."""
        self.name = name
        self.settings = settings
        self._make_store = make_store
        self._store: ILockStore | None = None
        self._keeper: Keeper | None = None
        self._lines: dict[str, deque[Event]] = {}
        self._mine: dict[str, list[Held]] = {}
        self._held = 0
        self._waiting = 0

    # -- taking --------------------------------------------------------------------------------------------------------
    def hold(
        self,
        name: str,
        *,
        wait: float | EllipsisType | None = ...,
        lease: float | EllipsisType = ...,
        renew: bool | EllipsisType = ...,
        reentrant: bool = False,
        on_lost: OnLost = "log",
    ) -> Held:
        """``with Lock.hold("stock:42", wait=2.0) as held:`` the block runs while nobody else has the lock.

        ``wait``       seconds to wait for it; then LockTimeout.  0: try once.  None: for ever
        ``lease``      seconds after which others may have it when this process is gone, or stands still
        ``renew``      begin the lease anew while the block runs; False: it has one lease
        ``reentrant``  the greenlet that has it may begin such a block within the block
        ``on_lost``    when it is lost: ``"log"``, and the block may ask ``held.lost``; ``"raise"``: the block ends at once, by LockLost

        Defaults are those of conf.  LockFailed when the store fails, Overloaded beyond the limits of conf.
        """
        return self._held_by(name, 1, wait, lease, renew, reentrant, on_lost)

    def try_hold(
        self,
        name: str,
        *,
        wait: float | EllipsisType | None = 0.0,
        lease: float | EllipsisType = ...,
        renew: bool | EllipsisType = ...,
        reentrant: bool = False,
        on_lost: OnLost = "log",
    ) -> TryHold:
        """``with Lock.try_hold("report") as held:`` where ``held`` is None when others have it, or are in line for it."""
        return TryHold(self._held_by(name, 1, wait, lease, renew, reentrant, on_lost))

    def semaphore(
        self,
        name: str,
        limit: int,
        *,
        wait: float | EllipsisType | None = ...,
        lease: float | EllipsisType = ...,
        renew: bool | EllipsisType = ...,
        on_lost: OnLost = "log",
    ) -> Held:
        """``with Lock.semaphore("exports", limit=4):`` at most so many are in such a block at a time, each with a lease of its own."""
        if limit < 1:
            raise LockError(f"a semaphore lets in 1 or more, not {limit}")
        return self._held_by(name, limit, wait, lease, renew, False, on_lost)

    def reading(
        self,
        name: str,
        *,
        wait: float | EllipsisType | None = ...,
        lease: float | EllipsisType = ...,
        renew: bool | EllipsisType = ...,
        reentrant: bool = False,
        on_lost: OnLost = "log",
    ) -> Held:
        """Any number may read together, but nobody while somebody is writing, or waits for writing and came earlier."""
        return self._held_by(name, ANY_NUMBER, wait, lease, renew, reentrant, on_lost)

    def writing(
        self,
        name: str,
        *,
        wait: float | EllipsisType | None = ...,
        lease: float | EllipsisType = ...,
        renew: bool | EllipsisType = ...,
        reentrant: bool = False,
        on_lost: OnLost = "log",
    ) -> Held:
        """Alone: what ``hold`` does, under the name that readers use."""
        return self._held_by(name, 1, wait, lease, renew, reentrant, on_lost)

    def held(self, name: str) -> bool:
        """Whether anybody holds it at this moment, alone or with others."""
        return self._ask(name, self.store.held, _checked(name))

    def mine(self, name: str) -> Held | None:
        """What the calling greenlet holds of this name, for functions whose callers took it; None when it holds nothing, or lost it."""
        me = current_greenlet()
        return next((held for held in self._mine.get(name, ()) if held.is_of(me)), None)

    def _held_by(
        self,
        name: str,
        limit: int,
        wait: float | EllipsisType | None,
        lease: float | EllipsisType,
        renew: bool | EllipsisType,
        reentrant: bool,
        on_lost: OnLost,
    ) -> Held:
        settings = self.settings
        seconds = settings.wait if wait is ... else math.inf if wait is None else wait
        length = settings.lease if lease is ... else lease
        if not seconds >= 0:
            raise LockError(f"wait is 0 or more seconds, or None, not {seconds}")
        if not SHORTEST <= length < math.inf:
            raise LockError(f"a lease has {SHORTEST} seconds at least, and an end, not {length}")
        if on_lost not in ("log", "raise"):
            raise LockError(f'on_lost is "log" or "raise", not {on_lost!r}')
        kept = settings.renew if renew is ... else renew
        return Held(self, _checked(name), wait=seconds, lease=length, renew=kept, limit=limit, reentrant=reentrant, on_lost=on_lost)

    # -- for what is held ----------------------------------------------------------------------------------------------
    def of_greenlet(self, wanted: Held, greenlet: Greenlet) -> Held | None:
        """What the greenlet holds of this name already, where it may begin again; LockError where it would wait for itself."""
        for other in self._mine.get(wanted.name, ()):
            if other.is_of(greenlet) and (wanted.limit == 1 or other.limit == 1 or wanted.reentrant):
                if wanted.reentrant and other.limit in (1, wanted.limit):
                    return other
                raise LockError(
                    f"this greenlet holds the lock {wanted.name!r} already, and would wait for itself",
                    hint="reentrant=True lets it begin again what it holds; whoever reads cannot become a writer",
                )
        return None

    def take(self, held: Held) -> bool:
        """Have the store give it to somebody; False when others had it for as long as he waits."""
        if self._held >= self.settings.held:
            raise Overloaded(f"this process holds {self._held} locks already")
        held.token = secrets.token_hex(16)
        since = time.monotonic()
        taken = False
        if held.name not in self._lines:
            taken = self._take(held, 0.0)
        if not taken and held.wait > 0:
            taken = self._stand_in_line(held, since + held.wait)
        return taken

    def _stand_in_line(self, held: Held, until: float) -> bool:
        """Only the first in it asks the store."""
        if self._waiting >= self.settings.waiting:
            raise Overloaded(f"{self._waiting} greenlets wait for locks already")
        line = self._lines.get(held.name)
        if line is None:
            line = self._lines[held.name] = deque()
        turn = Event()
        line.append(turn)
        self._waiting += 1
        try:
            if line[0] is not turn and not turn.wait(None if until == math.inf else max(0.0, until - time.monotonic())):
                return False
            return self._take(held, max(0.0, until - time.monotonic()))
        finally:
            self._waiting -= 1
            first = line[0] is turn
            line.remove(turn)
            if not line:
                del self._lines[held.name]
            elif first:
                line[0].set()

    def _take(self, held: Held, wait: float) -> bool:
        name, token, lease = held.name, held.token, held.lease
        store = self.store
        if held.limit > 1 and not ISharedLockStore.providedBy(store):  # type: ignore[attr-defined]
            raise LockError(f"the {self.settings.driver} driver of [lock.{self.name}] gives a lock to one holder only")
        try:
            if held.limit == 1:
                found = self._ask(name, store.acquire, name, token, lease, wait)
            else:
                found = self._ask(name, cast("ISharedLockStore", store).share, name, token, lease, wait, held.limit)
        except BaseException:
            self.keeper.owe(name, token, lease)  # it may have been given without anybody's knowing
            raise
        if found is None:
            return False
        held.begin(*found)
        if time.monotonic() >= held.until:
            held.active = False
            self.keeper.owe(name, token, lease)
            raise LockLost(f"the lease of the lock {name!r} was over before anybody knew that it was given", name)
        self._held += 1
        self._mine.setdefault(name, []).append(held)
        self.keeper.add(held)
        return True

    def give_back(self, held: Held) -> bool:
        """False when it was lost before.  When the store fails now, it is tried again later, and the lock ends with its lease."""
        in_time = not held.lost
        self.leave(held)
        try:
            return self.store.release(held.name, held.token)
        except BaseException as error:
            self.keeper.owe(held.name, held.token, held.lease)
            if interrupts(error):
                raise
            log.warning("the lock %r could not be given back: %s: %s", held.name, type(error).__name__, error)
            return in_time

    def leave(self, held: Held) -> None:
        """It is not held here any more."""
        held.active = False
        self._held -= 1
        self.forget(held)
        self.keeper.done()

    def forget(self, held: Held) -> None:
        """Its greenlet does not have it, as far as beginning again goes."""
        mine = self._mine.get(held.name)
        if mine is not None and held in mine:
            mine.remove(held)
            if not mine:
                del self._mine[held.name]

    def _ask(self, name: str, function: Callable[..., T], *args: Any) -> T:
        try:
            return function(*args)
        except GreenimiError:
            raise
        except Exception as error:
            if interrupts(error):
                raise
            raise LockFailed(f"the lock {name!r} cannot be asked for: {type(error).__name__}: {error}") from error

    # -- the service ---------------------------------------------------------------------------------------------------
    @property
    def store(self) -> ILockStore:
        if self._store is None:
            self._store = self._make_store()
        return self._store

    @property
    def keeper(self) -> Keeper:
        if self._keeper is None:
            self._keeper = Keeper(self.store, self.settings.held)
        return self._keeper

    def start(self) -> None:
        """The store is made when a lock is first taken."""

    def drain(self) -> None:
        """Locks are taken until the end."""

    def stop(self) -> None:
        """Give back what is still held."""
        keeper, self._keeper = self._keeper, None
        store, self._store = self._store, None
        self._mine.clear()
        self._held = 0
        if keeper is not None:
            keeper.stop()
        if store is not None:
            store.close()


def _checked(name: object) -> str:
    try:
        if isinstance(name, str) and 0 < len(name.encode()) <= _LONGEST_NAME:
            return name
    except UnicodeEncodeError:
        pass
    raise LockError(f"a lock's name is text of 1 to {_LONGEST_NAME} bytes, not {str(name)[:40]!r}")
