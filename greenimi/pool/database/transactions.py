"""Transactions of a database: blocks, begin and commit by hand, functions that are transactional."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakSet

import peewee

from greenimi import green
from greenimi.event import Events
from greenimi.pool.database.hooks import Hook
from greenimi.pool.database.levels import (
    Level,
    State,
    TransactionError,
    TransactionOver,
    check_inside,
    fate,
    leave,
    lose,
    open_level,
    see_to,
    undo,
)
from greenimi.pool.lease import line_of, spot
from greenimi.pool.wishes import Options, Wish

if TYPE_CHECKING:
    from greenimi.pool.database.held import Held, Hold, Holds
    from greenimi.pool.database.results import Rows
    from greenimi.pool.database.session import Session
    from greenimi.pool.database.settings import DatabaseSettings
    from greenimi.pool.pool import Pool

log = logging.getLogger("greenimi.pool")

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0
"""Seconds before a transaction is tried again: of the first time, and at most; less by up to a half at random."""

_MOST_CAUSES = 20


class Atomic:
    """``with database.atomic() as level:`` or ``@database.atomic()``

    The outermost one is a transaction: committed when the block is left, rolled back when an exception leaves it.  One inside of another
    is a part of it: an exception that leaves it undoes that part, nothing it does commits the outer one.
    """

    __slots__ = ("_database", "_levels", "_options", "_required")

    def __init__(self, database: Transactions, options: Options, *, required: bool = False) -> None:
        self._database = database
        self._options = options
        self._required = required
        self._levels: list[Level] = []  # a stack, as one of these may be entered again

    def __enter__(self) -> Level:
        if self._required:
            self._database.level_required("a savepoint")
        level = open_level(self._database, self._options, spot(), block=True)
        self._levels.append(level)
        return level

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        leave(self._levels.pop(), error)

    def __call__(self, function: F) -> F:
        @wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with Atomic(self._database, self._options, required=self._required):
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]


class Transactions:
    """The methods of a database that concern transactions, and what each kind of database says of its own."""

    name: str
    settings: DatabaseSettings
    holds: Holds
    primary: Pool[Session]

    if TYPE_CHECKING:  # of the database

        def _execute(self, session: Session, sql: str, params: Any) -> Rows: ...
        def _hold(self) -> Held: ...
        def hold(self) -> Hold: ...

    undo_savepoint: ClassVar[tuple[str, ...]] = ("ROLLBACK TO SAVEPOINT {}", "RELEASE SAVEPOINT {}")
    """What undoes a part of a transaction and leaves no savepoint behind."""

    isolations: ClassVar[tuple[str, ...]] = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")

    # -- blocks ------------------------------------------------------------------------------------------------------
    def atomic(self, isolation: str = "", *, read_only: bool = False) -> Atomic:
        """``with DB.atomic() as level:`` a transaction; inside of another one a part of it that can be rolled back alone.

        ``isolation``  read uncommitted, read committed, repeatable read or serializable; by default the server's own
        ``read_only``  it writes nothing, and the database refuses to let it

        Both belong to the outermost one; an inner one that asks for something else is refused (TransactionError).
        """
        return Atomic(self, Options.of(isolation, read_only=read_only))

    def transaction(self, isolation: str = "", *, read_only: bool = False) -> Atomic:
        """peewee's other name for :meth:`atomic`."""
        return Atomic(self, Options.of(isolation, read_only=read_only))

    def savepoint(self, sid: str | None = None) -> Atomic:
        """As :meth:`atomic`, but in a transaction only.  ``sid`` is there for peewee's sake: savepoints have names of their own."""
        return Atomic(self, Options(), required=True)

    def manual_commit(self) -> Any:
        """peewee's block in which transactions are begun and ended by hand, which can be done anywhere: it only holds a connection."""
        return self.hold()

    # -- by hand -----------------------------------------------------------------------------------------------------
    def begin(self, isolation: str = "", *, read_only: bool = False) -> Level:
        """Begin a transaction or, in one, a part of it; :meth:`commit` or :meth:`rollback` ends it, at the latest the end of the message
        rolls it back.  A block cannot be forgotten: :meth:`atomic`."""
        return open_level(self, Options.of(isolation, read_only=read_only), spot(), block=False)

    def commit(self) -> None:
        """End what the last :meth:`begin` began.  The outermost one is committed; an inner one is kept as far as the outer ones are."""
        level = self.level_required("commit()")
        if level.block:
            raise TransactionError(f"the block that {line_of(level.place)} began is committed at its end, and by nobody else")
        try:
            level.check()
        except TransactionOver as error:
            leave(level, error)
            raise
        leave(level, None)

    def rollback(self, levels: int | None = None) -> None:
        """Roll back the last levels, all by default.  Those of :meth:`begin` are over; in a block that is rolled back nothing can be done
        any more, and the blocks around it raise TransactionOver at their ends."""
        level = self.level_required("rollback()")
        stack: list[Level] = level.held.transactions
        if levels is not None and not 1 <= levels <= len(stack):
            raise TransactionError(f"{levels} levels cannot be rolled back, {len(stack)} are open")
        for each in reversed(stack if levels is None else stack[-levels:]):
            each.told = True
            if each.block:  # the one whose code this is
                break
        self.undo_levels(len(stack) if levels is None else levels, f"{line_of(spot())} rolled it back")

    def session_start(self) -> Level:
        """peewee's name for :meth:`begin`."""
        return self.begin()

    def session_commit(self) -> bool:
        """:meth:`commit`; False when nothing is open."""
        if self.level() is None:
            return False
        self.commit()
        return True

    def session_rollback(self) -> bool:
        """Roll back the innermost level; False when nothing is open."""
        if self.level() is None:
            return False
        self.rollback(1)
        return True

    # -- what is open ------------------------------------------------------------------------------------------------
    def level(self) -> Level | None:
        """The innermost open level of this greenlet."""
        held = self.holds.now()
        return held.transactions[-1] if held is not None and held.transactions else None

    def level_required(self, what: str) -> Level:
        """The innermost level.  TransactionError when there is none."""
        level = self.level()
        if level is None:
            raise TransactionError(f"{what} needs a transaction of the database {self.name}, and none is open here")
        return level

    def in_transaction(self) -> bool:
        """This greenlet is in a transaction."""
        return self.level() is not None

    def transaction_depth(self) -> int:
        """How many levels are open."""
        level = self.level()
        return 0 if level is None else len(level.held.transactions)

    def top_transaction(self) -> Level | None:
        """peewee's name for :meth:`level`."""
        return self.level()

    # -- afterwards --------------------------------------------------------------------------------------------------
    def after_commit(self, hook: Hook) -> Hook:
        """Call it once the transaction is committed, never when the level that is open now is rolled back.  Without a transaction: at once.

        Of all levels those of the innermost ones come first.  They run outside of the transaction; their errors are logged.
        """
        level = self.level()
        if level is None:
            hook()
            return hook
        return level.after_commit(hook)

    def after_rollback(self, hook: Hook) -> Hook:
        """Call it when the level that is open now is rolled back, alone or with the transaction.  Without a transaction: never."""
        level = self.level()
        return hook if level is None else level.after_rollback(hook)

    def join_events(self, events: Events) -> None:
        """Have ``Events.emit(..., after_commit=True)`` go by the transactions of this database, too."""
        if not isinstance(events.after_commit_hook, AfterCommit):
            events.after_commit_hook = AfterCommit()
        events.after_commit_hook.databases.add(self)

    # -- what each kind of database says -----------------------------------------------------------------------------
    def begin_on(self, session: Session, options: Options) -> None:
        """Begin a transaction."""
        words = ["BEGIN"]
        if options.isolation:
            words.append(f"ISOLATION LEVEL {options.isolation}")
        if options.read_only:
            words.append("READ ONLY")
        self._execute(session, " ".join(words), None)

    def end_on(self, session: Session, options: Options, verb: str) -> None:
        """``verb``: COMMIT or ROLLBACK."""
        self._execute(session, verb, None)

    def is_doomed(self, session: Session) -> bool:
        """The transaction can only be rolled back."""
        return False

    def ended_by(self, error: Exception, session: Session) -> bool:
        """The database rolled the transaction back when a statement failed in this way.  May ask it."""
        return not session.in_transaction

    def is_transient(self, error: BaseException) -> bool:
        """A deadlock, a lock that was not free in time, or the like: the same transaction may well succeed another time."""
        return False

    def check_new(self, held: Held) -> None:
        """TransactionError when no other transaction can be begun beside the one of this greenlet."""
        if self.primary.settings.max == 1:
            raise TransactionError(
                "a new transaction beside the open one needs a second connection, and the pool has one", hint="raise max"
            )

    def check_options(self, options: Options) -> None:
        """TransactionError when there is no such isolation."""
        if options.isolation and options.isolation not in self.isolations:
            raise TransactionError(f"there is no isolation {options.isolation}", hint=f"there are {', '.join(self.isolations).lower()}")

    # -- for @transactional --------------------------------------------------------------------------------------------
    def undo_levels(self, levels: int, why: str) -> None:
        """Roll back the innermost levels.  Those of blocks stay until their blocks end."""
        level = self.level_required("a rollback")
        held = level.held
        stack: list[Level] = held.transactions
        keep = max(0, len(stack) - levels)
        if held.streaming:
            held.session.close()
        if held.session.is_open:
            undo(held, keep, why)
        else:
            lose(held, State.UNDONE, why, None)
        hooks: list[Hook] = []
        for over in reversed([level for level in stack[keep:] if not level.block]):
            stack.remove(over)
            hooks += fate(over, None)
            self.holds.leave(held)
        see_to(hooks, stack)

    def call(self, wish: Wish, function: Callable[[], T], name: str) -> T:
        """What the function returns, called in a transaction as it wishes."""
        level = self.level()
        if wish.propagation == "mandatory" and level is None:
            raise TransactionError(f"{name} can only be called in a transaction of the database {self.name}")
        if level is None or wish.propagation == "new":
            return self._call_outermost(wish, function, name, level)
        if wish.propagation == "nested":
            return self._call_nested(wish, function, name)
        level.check()
        check_inside(wish.options, level.options)
        try:
            return function()
        except BaseException as error:
            self._undo_after(error, level, wish.levels if wish.rollback == "part" else 0, name)
            raise

    def _call_outermost(self, wish: Wish, function: Callable[[], T], name: str, outer: Level | None) -> T:
        if outer is not None:
            self.check_new(outer.held)
        pause = _FIRST_PAUSE
        for left in range(wish.retry, -1, -1):
            try:
                with nullcontext() if outer is None else self.holds.aside(), Atomic(self, wish.options):
                    return function()
            except Exception as error:
                if not left or not self._was_transient(error):
                    raise
                log.info("database %s: %s is tried again: %s: %s", self.name, name, type(error).__name__, error)
            green.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise AssertionError("the last time returns or raises")

    def _call_nested(self, wish: Wish, function: Callable[[], T], name: str) -> T:
        try:
            with Atomic(self, wish.options):
                return function()
        except BaseException as error:
            level = self.level()
            if level is not None and (wish.rollback == "all" or wish.levels > 1):
                self._undo_after(error, level, 0 if wish.rollback == "all" else wish.levels - 1, name)
            raise

    def _undo_after(self, error: BaseException, level: Level, levels: int, name: str) -> None:
        """An error left a function: roll back the last levels, 0 for all.  ``level``: the one in which it was called."""
        if self.level() is not level or level.state is not State.OPEN:
            return
        if not isinstance(error, Exception):
            level.held.session.close()  # a kill or a timeout passes by: this is no time to wait for the database
        self.undo_levels(levels or len(level.held.transactions), f"{type(error).__name__} left {name}")

    def _was_transient(self, error: BaseException) -> bool:
        """Whether that is why, at first or in the end."""
        found: BaseException | None = error
        for _ in range(_MOST_CAUSES):
            if found is None:
                break
            if isinstance(found, peewee.PeeweeException) and self.is_transient(found):
                return True
            found = found.__cause__ or found.__context__
        return False


class AfterCommit:
    """Keeps deliveries of events until after the commit: of the transaction that this greenlet began last, of whichever database."""

    def __init__(self) -> None:
        self.databases: WeakSet[Any] = WeakSet()

    def __call__(self, deliver: Callable[[], None]) -> bool:
        levels = [level for database in self.databases if (level := database.level()) is not None]
        if not levels:
            return False
        last = max(levels, key=lambda level: level.held.transactions[0].serial)
        if last.state is State.OPEN:  # else what it tells of was undone
            last.after_commit(deliver)
        return True
