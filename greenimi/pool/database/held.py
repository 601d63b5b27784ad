"""The connection that a greenlet keeps for several statements: a transaction, session variables, a temporary table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from greenimi import green
from greenimi.container.context import current
from greenimi.pool.database.hooks import run_hooks
from greenimi.pool.database.levels import abandon
from greenimi.pool.database.session import Inherited

if TYPE_CHECKING:
    from greenimi.pool.database.database import Database
    from greenimi.pool.database.session import Session
    from greenimi.pool.lease import Lease


class Held:
    """What one greenlet holds of one database; made by the first who wants it, given back by the last.

    It has the attributes of peewee's own state of a connection, which peewee's methods look at.
    """

    __slots__ = (
        *("commit_callbacks", "count", "ctx", "key", "lease", "life", "marked", "scope", "session", "streaming", "transactions", "wrote"),
    )

    closed = False

    def __init__(self, lease: Lease[Session], greenlet: Any, gone: Callable[[ref[Any]], object]) -> None:
        self.lease = lease
        self.session: Session = lease.resource
        self.key = id(greenlet)
        self.life = ref(greenlet, gone)
        self.scope = current.get(None)
        """The message in which it was taken."""
        self.count = 0
        """How many want it held."""
        self.marked = False
        """The connection may have got a state of its own, which must not be given to the next."""
        self.streaming = False
        """Rows of a statement are read from it one by one, so that no other can be executed."""
        self.wrote = False
        """Something was executed that may have written.  Only kept where there are replicas."""
        self.transactions: list[Any] = []
        """Those that are open, outermost first."""
        self.ctx: list[Any] = []
        self.commit_callbacks: list[Any] = []

    @property
    def conn(self) -> Any:
        """The connection of the driver."""
        return self.session.raw


class Message:
    """What is known of one message."""

    __slots__ = ("wrote",)

    def __init__(self) -> None:
        self.wrote = 0.0
        """When it wrote last, on the monotonic clock.  Only kept where there are replicas."""


class Nothing:
    """The state of a greenlet that holds nothing, for peewee's methods."""

    closed = True
    conn = None
    ctx: Any = ()
    transactions: Any = ()
    commit_callbacks: Any = ()

    def reset(self) -> None:
        """Nothing to forget."""


NOTHING = Nothing()


class Holds:
    """Who holds a connection of a database now, by greenlet.  Nothing of it goes by contexts: a child with a copied one shares nothing."""

    __slots__ = ("__weakref__", "_by_greenlet", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_greenlet: dict[int, Held] = {}
        _all.add(self)

    def now(self) -> Held | None:
        """What the running greenlet holds."""
        found = self._by_greenlet
        return found.get(id(green.current_greenlet())) if found else None

    def enter(self) -> Held:
        """Hold a connection, or the same once more.  May wait for one."""
        held = self.now()
        if held is None:
            held = self._take()
        held.count += 1
        return held

    def leave(self, held: Held, *, broken: bool = False) -> None:
        """Want it no more.  With the last one the connection goes back; ``broken``: it is closed instead."""
        held.count -= 1
        if broken:
            held.session.close()
        if held.count == 0:
            self.end(held)

    def end(self, held: Held) -> None:
        """Give the connection back at once, whoever wants it still.  A transaction that is open is rolled back."""
        if self._by_greenlet.get(held.key) is not held:
            return
        del self._by_greenlet[held.key]
        hooks = abandon(held, "its connection was given back") if held.transactions else ()
        if held.wrote and self._database.replicas is not None:
            self._database.replicas.wrote()
        try:
            if held.streaming:
                held.session.close()  # else whoever reads on would do so beside the next user
            elif held.marked:
                held.session.renew()
        except Exception:
            held.session.close()
        finally:
            held.lease.release()
        run_hooks(hooks)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """In the block this greenlet holds nothing, as far as anybody can see; what it begins there goes on connections of its own."""
        held = self.now()
        if held is None:
            yield
            return
        del self._by_greenlet[held.key]
        try:
            yield
        finally:
            inner = self.now()
            if inner is not None:
                self.end(inner)
            self._by_greenlet[held.key] = held

    def _take(self) -> Held:
        lease = self._database.primary.take()
        greenlet = green.current_greenlet()
        held = self._by_greenlet[id(greenlet)] = Held(lease, greenlet, self._gone)
        if held.scope is not None:
            self._database.message(held.scope)  # at its end it is seen to that nothing is left
        return held

    def _gone(self, life: ref[Any]) -> None:
        """A greenlet ended that held a connection yet: with its lease that is lost, which the pool tells and cleans up."""
        for key, held in list(self._by_greenlet.items()):
            if held.life is life:
                del self._by_greenlet[key]
                held.transactions.clear()  # they know it, which would keep its lease

    def forked(self) -> None:
        """This process is a new one: what is held is its parent's, who goes on with it."""
        for held in self._by_greenlet.values():
            held.session = Inherited(held.session.node)


_all: WeakSet[Holds] = WeakSet()


def _after_fork() -> None:
    for holds in list(_all):
        holds.forked()


os.register_at_fork(after_in_child=_after_fork)


class Hold:
    """``with database.hold():``"""

    __slots__ = ("_held", "_holds")

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._held: list[Held] = []  # a stack, as one of these may be entered again

    def __enter__(self) -> Held:
        held = self._holds.enter()
        held.marked = True
        self._held.append(held)
        return held

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._holds.leave(self._held.pop(), broken=error is not None and not isinstance(error, Exception))
