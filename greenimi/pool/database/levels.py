"""The levels of an open transaction: the first is the transaction itself, each further one a savepoint in the one before."""

from __future__ import annotations

import logging
import re
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Any

from greenimi.errors import GreenimiError
from greenimi.pool.database.hooks import Hook, Hooks, run_hooks
from greenimi.pool.lease import Spot, line_of
from greenimi.pool.wishes import Options

if TYPE_CHECKING:
    from greenimi.pool.database.held import Held
    from greenimi.pool.database.results import Rows
    from greenimi.pool.database.transactions import Transactions

log = logging.getLogger("greenimi.pool")

_CONTROL = re.compile(
    r"\s*(?:BEGIN(?!\s+NOT\b)|START\s+TRANSACTION|COMMIT|END|ABORT|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b", re.IGNORECASE
)
_serials = count()
_FIRST_WORDS = re.compile(r"\s*(\w+(?:\s+\w+)?)")


class TransactionError(GreenimiError):
    """A transaction cannot be what it is asked to be."""


class TransactionOver(TransactionError):
    """A transaction, or a part of it, is not open any more, though its block goes on: nothing must be taken as a part of it."""


class State(Enum):
    """Of a level.

    UNDONE   what was done in it is undone
    UNKNOWN  it ended in a way that nobody here decided, and what was done in it may be there
    """

    OPEN = "open"
    UNDONE = "undone"
    UNKNOWN = "unknown"


def check_inside(wanted: Options, outer: Options) -> None:
    """TransactionError when a transaction that was begun in another way cannot be joined so."""
    if wanted.isolation and wanted.isolation != outer.isolation:
        what = f"isolation {wanted.isolation}"
    elif wanted.read_only and not outer.read_only:
        what = "read only"
    else:
        return
    raise TransactionError(f"a transaction is open already, and it is not {what}", hint="say it where it begins, or take propagation new")


class Level:
    """One level.  ``with DB.atomic() as level:``

    number  1: the transaction, 2, 3 ...: a savepoint
    serial  grows with every level that is begun, in whichever database
    block   it belongs to a ``with`` block, which ends it, and nobody else does
    place   the line that began it
    why     it is not open any more
    told    the code of its block is the one who ended it
    """

    __slots__ = (
        "after_commits",
        "after_rollbacks",
        "block",
        "cause",
        "database",
        "held",
        "number",
        "options",
        "place",
        "serial",
        "state",
        "told",
        "why",
    )

    def __init__(self, database: Transactions, held: Held, number: int, options: Options, place: Spot, *, block: bool) -> None:
        self.database = database
        self.held = held
        self.number = number
        self.serial = next(_serials)
        self.options = options
        self.place = place
        self.block = block
        self.state = State.OPEN
        self.why = ""
        self.cause: BaseException | None = None
        self.told = False
        self.after_commits = Hooks()
        self.after_rollbacks = Hooks()

    def __repr__(self) -> str:
        return f"<Level {self.number} of {self.database.name}, begun at {line_of(self.place)}, {self.why or 'open'}>"

    # -- for applications ----------------------------------------------------------------------------------------------
    def commit(self) -> None:
        """Keep what was done in this level so far, and go on.

        Of the transaction itself that is for good: it is committed, and another one begun.  Of an inner level it is kept as far as the
        outer ones are.
        """
        self._check_innermost()
        if self.number == 1:
            commit(self)
            self.after_rollbacks.take()
            hooks = self.after_commits.take()
            try:
                self._again()
            finally:
                run_hooks(hooks)
        else:
            self.execute(f"RELEASE SAVEPOINT {self.savepoint}")
            outer: Level = self.held.transactions[-2]
            outer.after_commits.absorb(self.after_commits)
            outer.after_rollbacks.absorb(self.after_rollbacks)
            self.execute(f"SAVEPOINT {self.savepoint}")

    def rollback(self) -> None:
        """Undo what was done in this level so far, and go on."""
        self._check_innermost()
        if self.number == 1:
            undo(self.held, 0, "it was rolled back")
            if not self.held.session.is_open:
                raise self.over()
            self._again()
        else:
            self.execute(f"ROLLBACK TO SAVEPOINT {self.savepoint}")
            self.after_commits.take()
        run_hooks(self.after_rollbacks.take())

    def after_commit(self, hook: Hook) -> Hook:
        """Call it once the transaction is committed; never when this level is rolled back."""
        self.check()
        return self._add(self.after_commits, hook)

    def after_rollback(self, hook: Hook) -> Hook:
        """Call it when this level is rolled back, alone or with the transaction."""
        self.check()
        return self._add(self.after_rollbacks, hook)

    def _add(self, hooks: Hooks, hook: Hook) -> Hook:
        limit = self.database.settings.hooks
        if sum(len(level.after_commits) + len(level.after_rollbacks) for level in self.held.transactions) >= limit:
            raise TransactionError(f"{limit} things are to be done after this transaction, no more may", hint="raise hooks of the database")
        hooks.add(hook)
        return hook

    def _check_innermost(self) -> None:
        if self.database.holds.now() is not self.held:
            raise TransactionError(f"the transaction that {line_of(self.place)} began belongs to another greenlet, or is over")
        if self.held.transactions[-1] is not self:
            raise TransactionError(f"a level inside of the one that {line_of(self.place)} began is open")
        self.check()

    def _again(self) -> None:
        try:
            self.database.begin_on(self.held.session, self.options)
        except BaseException as error:
            lose(self.held, State.UNDONE, "it could not be begun again", error)
            raise
        self.state, self.why, self.cause = State.OPEN, "", None

    # -- statements ----------------------------------------------------------------------------------------------------
    @property
    def savepoint(self) -> str:
        return f"greenimi_{self.number}"

    def check(self) -> None:
        """TransactionOver when it is not open any more: what comes now would not be a part of it."""
        if self.state is not State.OPEN:
            raise self.over()

    def over(self) -> TransactionOver:
        """The error that says so."""
        error = TransactionOver(f"the transaction that {line_of(self.place)} began is over: {self.why}", hint="leave its block")
        error.__cause__ = self.cause
        return error

    def run(self, sql: str, params: Any) -> Rows:
        """A statement of the application in this level, the innermost one."""
        if _CONTROL.match(sql):
            raise TransactionError(
                f"{_first_words(sql)} would end the transaction that {line_of(self.place)} began",
                hint="transactions are begun and ended by atomic(), begin(), commit() and rollback()",
            )
        return self.execute(sql, params)

    def execute(self, sql: str, params: Any = None) -> Rows:
        """Any statement; whatever becomes of the transaction by it is noticed."""
        self.check()
        session = self.held.session
        try:
            rows = self.database._execute(session, sql, params)
        except Exception as error:
            if not session.is_open:
                lose(self.held, State.UNDONE, "its connection was lost", error)
            elif self.database.ended_by(error, session):
                lose(self.held, State.UNDONE, f"the database rolled it back: {error}", error)
            raise
        except BaseException as error:
            lose(self.held, State.UNDONE, "a statement was broken off", error)
            raise
        if not session.in_transaction:
            lose(self.held, State.UNKNOWN, f"{_first_words(sql)} ended it: the database commits before such statements", None)
            raise self.over()
        return rows


def _first_words(sql: str) -> str:
    found = _FIRST_WORDS.match(sql)
    return found[1].upper() if found else "the statement"


def lose(held: Held, state: State, why: str, cause: BaseException | None) -> None:
    """The transaction ended without anybody's will: none of its levels is open any more."""
    for level in held.transactions:
        if level.state is State.OPEN:
            level.state, level.why, level.cause = state, why, cause


# -- beginning and ending ----------------------------------------------------------------------------------------------


def open_level(database: Transactions, options: Options, place: Spot, *, block: bool) -> Level:
    """Begin a transaction or, in one, set a savepoint.  May wait for a connection."""
    holds = database.holds
    held = database._hold()
    stack: list[Level] = held.transactions
    level = Level(database, held, len(stack) + 1, options, place, block=block)
    try:
        if stack:
            outer = stack[-1]
            check_inside(options, outer.options)
            level.options = outer.options
            outer.execute(f"SAVEPOINT {level.savepoint}")
        else:
            database.check_options(options)
            database.begin_on(held.session, options)
    except BaseException as error:
        holds.leave(held, broken=not isinstance(error, Exception))
        raise
    stack.append(level)
    return level


def commit(level: Level) -> None:
    """Commit the transaction whose first level this is.  Where that fails it is rolled back, unless nobody can know."""
    held, database = level.held, level.database
    session = held.session
    if not session.in_transaction:
        lose(held, State.UNKNOWN, "something ended it", None)
        raise level.over()
    if database.is_doomed(session):
        undo(held, 0, "an error in it that was caught lets the database only roll it back")
        raise level.over()
    try:
        database.end_on(session, level.options, "COMMIT")
    except Exception as error:
        if session.is_open:
            undo(held, 0, f"it could not be committed: {error}", error)
        elif session.unsent:
            lose(held, State.UNDONE, "its connection was lost before the commit", error)
        else:
            lose(held, State.UNKNOWN, "its connection was lost in the commit", error)
            error.add_note("whether the transaction was committed is not known")
        raise
    except BaseException as error:
        lose(held, State.UNKNOWN, "its commit was broken off", error)
        log.warning(
            "database %s: the commit of what %s began was broken off; whether it was done is not known", database.name, line_of(level.place)
        )
        raise


def undo(held: Held, keep: int, why: str, cause: BaseException | None = None) -> None:
    """Roll back to where only so many levels were open; those inside are over.  Never raises an Exception: what cannot be rolled back
    otherwise is, by closing the connection."""
    undone: list[Level] = [level for level in held.transactions[keep:] if level.state is State.OPEN]
    if not undone:
        return
    first, session = undone[0], held.session
    database = first.database
    try:
        if first.number == 1:
            database.end_on(session, first.options, "ROLLBACK")
        else:
            for sql in database.undo_savepoint:
                database._execute(session, sql.format(first.savepoint), None)
    except BaseException as error:
        session.close()
        lose(held, State.UNDONE, "its connection was lost in the rollback", cause or error)
        if not isinstance(error, Exception):
            raise
        log.info("database %s: a rollback failed, the connection is closed: %s: %s", database.name, type(error).__name__, error)
    for level in undone:
        level.state, level.why, level.cause = State.UNDONE, why, cause
        level.after_commits.take()


def leave(level: Level, error: BaseException | None) -> None:
    """The end of a level: commit it or, with an error, roll it back.  Then what is to be done after it.

    Raises what went wrong with the commit; after an error that passes by nothing is raised in its place.
    """
    held, database = level.held, level.database
    stack: list[Level] = held.transactions
    hooks: list[Hook] = []
    try:
        if error is None:
            _keep(level)
        else:
            _roll_back(level, error)
    finally:
        if level in stack:  # else somebody gave the connection back already
            for _ in range(stack.index(level), len(stack)):
                inner = stack.pop()
                hooks += fate(inner, stack[-1] if stack else None)
                database.holds.leave(held, broken=not stack and error is not None and not isinstance(error, Exception))
        see_to(hooks, stack)


def see_to(hooks: list[Hook], stack: list[Level]) -> None:
    """At once; but in a block that is over nothing can be done, so that its end sees to them."""
    if stack and stack[-1].state is not State.OPEN:
        for hook in hooks:
            stack[-1].after_rollbacks.add(hook)
    else:
        run_hooks(hooks)


def _keep(level: Level) -> None:
    stack = level.held.transactions
    if level not in stack:
        raise TransactionOver(f"the transaction that {line_of(level.place)} began is over: its connection was given back")
    if level.state is not State.OPEN:
        if level.told:
            return
        raise level.over()
    problem = ""
    if stack[-1] is not level:
        problem = f"what {line_of(stack[-1].place)} began was left open in it"
    elif level.held.streaming:
        problem = "the rows of a statement were not read to the end"
    if problem:
        _roll_back(level, None)
        raise TransactionError(f"the transaction that {line_of(level.place)} began is rolled back: {problem}")
    if level.number == 1:
        commit(level)
        return
    try:
        level.execute(f"RELEASE SAVEPOINT {level.savepoint}")
    except Exception as error:
        undo(level.held, level.number - 1, f"it could not be kept: {error}", error)
        raise


def _roll_back(level: Level, error: BaseException | None) -> None:
    held = level.held
    if level.state is not State.OPEN or level not in held.transactions:
        return
    why = f"{type(error).__name__} left its block" if error is not None else "it was not ended as it should be"
    if held.streaming or (level.number == 1 and error is not None and not isinstance(error, Exception)):
        held.session.close()  # which rolls back without waiting for an answer
    if held.session.is_open:
        undo(held, level.number - 1, why)
    else:
        lose(held, State.UNDONE, why, None)


def fate(level: Level, outer: Level | None) -> list[Hook]:
    """What is to be done at once when a level is over; of a part that is kept the outer level takes over what there is."""
    level.cause = None  # it knows frames, and they this level
    if level.state is State.UNKNOWN:
        return []
    if level.state is State.UNDONE:
        return level.after_rollbacks.take()
    if outer is None:
        return level.after_commits.take()
    outer.after_commits.absorb(level.after_commits)
    outer.after_rollbacks.absorb(level.after_rollbacks)
    return []


def abandon(held: Held, why: str) -> list[Hook]:
    """The connection is given back while levels are open: they are over.  What is to be done then."""
    lose(held, State.UNDONE, why, None)
    hooks: list[Hook] = []
    while held.transactions:
        hooks += fate(held.transactions.pop(), None)
    return hooks
