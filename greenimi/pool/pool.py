"""A pool: a bounded number of resources, such as connections to a database, each lent to one taker at a time."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from greenimi import green
from greenimi.container.context import scope
from greenimi.errors import ConfigError
from greenimi.green import thread_id
from greenimi.pool.balance import BALANCERS, Balancer, usable
from greenimi.pool.checking import fault_of
from greenimi.pool.connecting import Connecting
from greenimi.pool.errors import PoolClosed, PoolError, PoolTimeout
from greenimi.pool.lease import Lease, Slot, Spot, line_of, spot
from greenimi.pool.nodes import Node
from greenimi.pool.settings import PoolSettings, problem
from greenimi.pool.statistics import Counts, PoolStatistics, numbers_of, statistics_of
from greenimi.pool.tending import Tending
from greenimi.pool.waiting import Waiter, who_holds

if TYPE_CHECKING:
    from greenimi.interfaces import IResources

R = TypeVar("R")

log = logging.getLogger("greenimi.pool")

_pools: WeakSet[Pool[Any]] = WeakSet()
_inherited: list[Slot] = []
"""Of a parent process: closing one would end it for the parent, too."""


class Pool(Generic[R]):
    """Resources of one kind, at most ``settings.max``, made by ``resources`` at one of ``nodes``.

    Takers are served in the order in which they came: what is given back goes to whoever waits longest.  A pool belongs to the
    operating-system thread that first took something from it, or started it.
    """

    def __init__(
        self,
        name: str,
        resources: IResources,
        nodes: Sequence[Node],
        settings: PoolSettings | None = None,
        balancer: Balancer | None = None,
    ) -> None:
        """``balancer``: by default the one of ours that the settings name.  Raises ConfigError for settings or nodes that cannot be."""
        self.name = name
        self.settings = settings or PoolSettings()
        self.counts = Counts()
        wrong = problem(self.settings)
        if wrong is not None:
            raise ConfigError(f"pool {name}: {wrong[0]}: {wrong[1]}")
        if balancer is None and self.settings.balance not in BALANCERS:
            raise ConfigError(f"pool {name}: there is no balancer {self.settings.balance}", hint=f"there are: {', '.join(BALANCERS)}")
        self._resources = resources
        self._is_open = resources.is_open
        self._reset = resources.reset
        self._idle_check = self.settings.idle_check
        self._most_uses = self.settings.uses or float("inf")
        self._idle: list[Slot] = []  # what was given back last is taken first, so that those too many get old
        self._held: dict[Slot, Spot] = {}
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()  # only while nothing is idle
        self._connecting = Connecting(self, (), balancer or BALANCERS[self.settings.balance]())
        self._tending = Tending(self)
        self._thread = 0  # whose takes need no further look; 0: nobody's, as it is not in use yet or stopped
        self._owner = 0
        self.closed = False
        self._post: Any = None
        self.on_nodes: Callable[[], object] | None = None
        """Called when the nodes became others."""
        self.set_nodes(nodes)
        _pools.add(self)

    def __repr__(self) -> str:
        return f"<Pool {self.name}: {len(self._held)} in use, {len(self._idle)} idle, {len(self._waiters)} waiting>"

    @property
    def nodes(self) -> Sequence[Node]:
        """Those that are connected to: all that have a weight."""
        return self._connecting.nodes

    @property
    def size(self) -> int:
        """Resources there are, those that are being connected included."""
        return len(self._idle) + len(self._held) + len(self._connecting.attempts)

    def set_nodes(self, nodes: Sequence[Node]) -> None:
        """Connect to these from now on.  What is connected to another one is closed, at once or when it is given back.

        A node that stays must be the same object.
        """
        found = usable(self.name, nodes)
        for node in found:
            node.eject, node.eject_limit = self.settings.eject, self.settings.eject_limit
        self._connecting.nodes = found
        for slot in [slot for slot in self._idle if slot.node not in found]:
            self._idle.remove(slot)
            self._drop(slot, "its node is gone")
        for slot in self._held:
            if slot.node not in found:
                slot.ends = 0.0
        self._grow()
        self._tending.look()
        if self.on_nodes is not None:
            self.on_nodes()

    # -- taking ------------------------------------------------------------------------------------------------------
    def take(self, timeout: float | None = None) -> Lease[R]:
        """A resource, once it is this taker's turn: after ``timeout`` seconds (by default ``wait``) that is PoolTimeout.

        What was unused for long is checked first, which may take ``check_time`` seconds more.  Raises what the driver does when it cannot
        connect, PoolClosed when the pool is stopped.
        """
        if thread_id() != self._thread:
            self._begin()
        taken = spot()
        if not self._idle:
            return self._take_later(taken, timeout, first=False)
        slot = self._idle.pop()
        self._held[slot] = taken
        now = monotonic()
        if now >= slot.sure_until or not self._is_open(slot.resource):
            return self._take_checked(slot, taken, timeout)
        slot.since = now
        slot.uses += 1
        self.counts.takes += 1
        return Lease(self, slot, taken)

    def use(self, timeout: float | None = None) -> Lease[R]:
        """``with pool.use() as resource:`` takes one and gives it back.

        It is discarded when the block is left by a kill or a timeout of its greenlet: it may be in the middle of something.
        """
        return self.take(timeout)

    def bound(self) -> R:
        """The resource of the running message: the same at each call in this greenlet, given back at the end of the message.

        When it is known to be lost it is replaced.  NoScope where no message is handled.
        """
        now = scope()
        if now.beans is None:
            now.beans = {}
        key = (self, green.current_greenlet())
        lease: Lease[R] | None = now.beans.get(key)
        if lease is not None and lease.active:
            if self._is_open(lease.resource):
                return lease.resource
            lease.discard()
        lease = now.beans[key] = self.take()
        now.defer(_end, lease)
        return lease.resource

    def _take_checked(self, slot: Slot, taken: Spot, timeout: float | None) -> Lease[R]:
        """This one, or another one that is idle, once it has shown that it is well."""
        slot.since = monotonic()
        while not self._check(slot):
            if not self._idle:
                return self._take_later(taken, timeout, first=True)
            slot = self._idle.pop()
            self._held[slot] = taken
            slot.since = monotonic()
        slot.since = monotonic()
        slot.uses += 1
        self.counts.takes += 1
        return Lease(self, slot, taken)

    def _take_later(self, taken: Spot, timeout: float | None, *, first: bool) -> Lease[R]:
        """``first``: it was this taker's turn already."""
        seconds = self.settings.wait if timeout is None else timeout
        began = monotonic()
        slot = self._wait(taken, seconds, first=first)
        now = monotonic()
        counts = self.counts
        counts.waits += 1
        counts.wait_seconds += now - began
        counts.longest_wait = max(counts.longest_wait, now - began)
        counts.takes += 1
        slot.since = now
        slot.uses += 1
        return Lease(self, slot, taken)

    def _wait(self, taken: Spot, seconds: float, *, first: bool) -> Slot:
        if self.closed:  # while its resource was checked
            raise PoolClosed(f"pool {self.name} is stopped")
        if len(self._waiters) >= self.settings.queue and not first:
            self.counts.timeouts += 1
            raise PoolTimeout(f"pool {self.name}: {len(self._waiters)} wait already, no more may; {who_holds(self)}")
        waiter = Waiter(taken)
        self._waiters[waiter] = None
        if first:
            self._waiters.move_to_end(waiter, last=False)
        self._grow()
        try:
            waiter.ready.wait(max(0.0, seconds))
        except BaseException:
            self._waiters.pop(waiter, None)
            if waiter.slot is not None and not waiter.slot.gone:
                self._free(waiter.slot, monotonic())
            raise
        self._waiters.pop(waiter, None)
        if waiter.error is not None:
            try:
                raise waiter.error
            finally:
                waiter.error = None
        if waiter.slot is None:
            self.counts.timeouts += 1
            raise PoolTimeout(f"pool {self.name}: none of {self.settings.max} was free within {seconds:g} seconds; {who_holds(self)}")
        if waiter.slot.gone:
            raise PoolClosed(f"pool {self.name}: {waiter.slot.gone}")
        return waiter.slot

    def _check(self, slot: Slot, *, anyway: bool = False) -> bool:
        """Whether what was free, and is held now, can be given out; if not it is closed.  Asks its node when it must, or ``anyway``."""
        if not self._is_open(slot.resource):
            self._drop(slot, "it was lost")
            self._suspect(slot.node)
            return False
        if monotonic() < slot.sure_until and not anyway:
            return True
        self.counts.checks += 1
        try:
            error = fault_of(self._resources.check, slot.resource, self.settings.check_time)
        except BaseException:
            self._discard(slot, "its check was broken off")
            raise
        if slot.gone:  # meanwhile, by somebody else
            return False
        if error is None:
            slot.sure_until = monotonic() + self._idle_check
            return True
        self.counts.failed_checks += 1
        slot.node.failed(error)
        self._drop(slot, "it did not answer a check")
        for other in [other for other in self._idle if other.node is slot.node]:  # they are unused for longer yet
            self._idle.remove(other)
            self._drop(other, "another one of its node did not answer a check")
        return False

    def _suspect(self, node: Node) -> None:
        """One of its resources was lost: the other free ones are checked before they are given out."""
        for slot in self._idle:
            if slot.node is node:
                slot.sure_until = 0.0

    # -- giving back, called by the lease ----------------------------------------------------------------------------
    def _give_back(self, slot: Slot) -> None:
        """Reset it, and on to the next."""
        if slot.gone:
            return
        resource = slot.resource
        is_open = False
        try:
            is_open = self._is_open(resource)
            fit = is_open and self._reset(resource)
        except BaseException as error:
            if green.interrupts(error):
                self._discard(slot, "its reset was broken off")
                raise
            log.info("pool %s: a resource could not be reset: %s: %s", self.name, type(error).__name__, error)
            fit = False
        if slot not in self._held:  # closed while it was reset
            return
        now = monotonic()
        if not fit:
            self._drop(slot, "it could not be used any more")
            if not is_open:
                self._suspect(slot.node)
        elif now >= slot.ends or slot.uses >= self._most_uses:
            self._drop(slot, "it was old")
        else:
            self._free(slot, now)

    def _discard(self, slot: Slot, why: str) -> None:
        if not slot.gone:
            self._drop(slot, why)

    def _lost(self, slot: Slot, taken: Spot) -> None:
        """A lease was garbage collected, in any thread and at any moment."""
        if not slot.gone and self._post is not None:
            self._post(partial(self._free_lost, slot, taken))

    def _free_lost(self, slot: Slot, taken: Spot) -> None:
        if not slot.gone:
            self.counts.lost += 1
            log.warning("pool %s: %s took a resource and lost it: it was never given back", self.name, line_of(taken))
            self._drop(slot, "its lease was lost")

    # -- what there is -----------------------------------------------------------------------------------------------
    def _free(self, slot: Slot, now: float) -> None:
        """It is as good as new: hand it to whoever waits longest, or keep it."""
        slot.since = now
        slot.sure_until = now + self._idle_check
        slot.reported = False
        if self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            self._held[slot] = waiter.taken
            waiter.slot = slot
            waiter.ready.set()
        else:
            self._held.pop(slot, None)
            self._idle.append(slot)

    def _drop(self, slot: Slot, why: str) -> None:
        """It belongs to the pool no more, which makes room for another."""
        slot.gone = why
        self._held.pop(slot, None)
        slot.node.open -= 1
        self.counts.closed += 1
        self._close(slot.resource)
        self._grow()
        if self.size < self.settings.min:
            self._tending.look()

    def _close(self, resource: Any) -> None:
        try:
            self._resources.close(resource)
        except Exception:
            log.exception("pool %s: a resource could not be closed", self.name)

    def _grow(self) -> None:
        """Connect as many more as there are takers who wait for one, as far as there is room."""
        attempts = self._connecting.attempts
        while len(attempts) < len(self._waiters) and self.size < self.settings.max:
            self._connecting.begin()

    def _attempted(self, slot: Slot | None, error: Exception | None) -> None:
        """An attempt to connect ended; with neither it was broken off."""
        if slot is not None:
            if slot.node in self.nodes:
                self._free(slot, monotonic())
            else:
                self._drop(slot, "its node is gone")
        elif error is not None and len(self._waiters) > len(self._connecting.attempts):  # there is somebody for whom it was
            waiter, _ = self._waiters.popitem(last=False)
            waiter.error = error
            waiter.ready.set()
        self._grow()
        self._tending.look()

    # -- its life ----------------------------------------------------------------------------------------------------
    def _begin(self) -> None:
        """The first take, or one that must not be."""
        if self.closed:
            raise PoolClosed(f"pool {self.name} is stopped")
        if self._owner:
            raise self._foreign()
        self._owner = self._thread = thread_id()
        self._post = green.poster()

    def _foreign(self) -> PoolError:
        return PoolError(f"pool {self.name} belongs to another thread", hint="make a pool for each operating-system thread")

    def _forked(self) -> None:
        """This process is a new one.  What the pool holds is its parent's, who uses it yet: it is kept untouched, and never used here."""
        for slot in (*self._idle, *self._held):
            slot.gone = "it belongs to the parent process"
            slot.node.open -= 1
            _inherited.append(slot)
        self._idle.clear()
        self._held.clear()
        self._waiters.clear()
        self._connecting.attempts.clear()
        self._tending = Tending(self)
        self._thread = self._owner = 0

    def start(self) -> None:
        """Begin to keep ``min`` resources connected, in the background.  A pool that was stopped can be used again."""
        self.closed = False
        if not self._owner:
            self._begin()
        elif self._owner != thread_id():
            raise self._foreign()
        self._thread = self._owner
        self._tending.filling = True
        self._tending.look()

    def drain(self) -> None:
        """Connect nothing any more but for takers who wait."""
        self._tending.filling = False

    def stop(self) -> None:
        """Close all resources, also those in use, which are told of with the lines that took them; who waits gets PoolClosed."""
        self.closed = True
        self._thread = 0
        self._tending.stop()
        self._connecting.stop()
        waiters = list(self._waiters)
        self._waiters.clear()
        for waiter in waiters:
            waiter.error = PoolClosed(f"pool {self.name} was stopped")
            waiter.ready.set()
        now = monotonic()
        for slot, taken in list(self._held.items()):
            log.warning("pool %s is stopped: what %s took %.1f seconds ago was not given back", self.name, line_of(taken), now - slot.since)
            self._drop(slot, "the pool was stopped")
        while self._idle:
            self._drop(self._idle.pop(), "the pool was stopped")

    # -- telling -----------------------------------------------------------------------------------------------------
    def statistics(self) -> PoolStatistics:
        """What there is at this moment, and what was counted."""
        return statistics_of(self)

    def numbers(self) -> dict[str, float]:
        """For the metrics."""
        return numbers_of(self)


def _end(lease: Lease[Any]) -> None:
    """Give it back, unless that was done by hand."""
    if lease.active:
        lease.release()


def _after_fork() -> None:
    for pool in list(_pools):
        pool._forked()


os.register_at_fork(after_in_child=_after_fork)
