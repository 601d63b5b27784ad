"""Connections to SQLite: to a file, with a thread of their own; to memory, where there is nothing to wait for."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any

from greenimi import green
from greenimi.pool.database.results import Row, Rows
from greenimi.pool.database.sqlite_thread import Worker
from greenimi.pool.database.sqlite_turns import Turns

_NO_TURN = re.compile(r"\s*(?:PRAGMA|BEGIN\s*(?:DEFERRED)?\s*$|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|EXPLAIN)\b", re.IGNORECASE)
"""What does not write, or ends what does."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05
"""Seconds before a statement is tried again that another process stands in the way of."""

_BUSY, _BUSY_SNAPSHOT = 5, 517


def fetch(raw: sqlite3.Connection, sql: str, params: Any) -> Rows:
    """Execute a statement and read all rows."""
    cursor = raw.execute(sql, params or ())
    rows = cursor.fetchall()
    return Rows(rows, cursor.description, max(cursor.rowcount, len(rows)), cursor.lastrowid)


class MemorySession:
    """A use of the one connection to a database in memory; see Session.

    Closing it closes no connection, with which the database would be gone, but rolls back what is open.
    """

    __slots__ = ("_closed", "late", "node", "raw", "unsent", "version")

    def __init__(self, raw: sqlite3.Connection, node: str) -> None:
        self.raw = raw
        self.node = node
        self.version = 0
        self.unsent = False
        self.late = False
        self._closed = False

    @property
    def is_open(self) -> bool:
        return not self._closed

    @property
    def in_transaction(self) -> bool:
        return self.raw.in_transaction

    has_turn = False

    def run(self, sql: str, params: Any = None) -> Rows:
        if self._closed:
            raise sqlite3.ProgrammingError("the connection is closed")
        return fetch(self.raw, sql, params)

    def stream(self, sql: str, params: Any, size: int) -> tuple[Sequence[Sequence[Any]], Iterator[Row]]:
        cursor = self.raw.execute(sql, params or ())
        return cursor.description or (), cursor

    def renew(self) -> None:
        for kind, name in self.run("SELECT type, name FROM sqlite_temp_master WHERE type IN ('table', 'view')"):
            self.run(f'DROP {kind} temp."{name.replace(chr(34), 2 * chr(34))}"')
        self.run("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self.raw.in_transaction:
                self.raw.execute("ROLLBACK")
            self.raw.execute("PRAGMA query_only = OFF")


class FileSession:
    """One connection to a file; see Session.

    ``is_read``  says of a statement that it only reads; others wait for their turn, which is over when no transaction is open any more
    ``busy``     seconds that a statement waits at most for other processes
    """

    __slots__ = ("_busy", "_closed", "_is_read", "_turns", "_worker", "has_turn", "late", "node", "raw", "unsent", "version")

    def __init__(self, node: str, worker: Worker, turns: Turns, is_read: Callable[[str], bool], busy: float, version: int) -> None:
        self.raw: Any = None
        self.node = node
        self.version = version
        self.unsent = False
        self.late = False
        self.has_turn = False
        self._worker = worker
        self._turns = turns
        self._is_read = is_read
        self._busy = busy
        self._closed = False

    def open(self, path: str) -> None:
        """Connect."""
        self.call(self._open, path)

    def _open(self, path: str) -> None:
        """In the thread."""
        self.raw = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)

    def _end(self) -> None:
        """In the thread, when it is done with all else."""
        if self.raw is not None:
            self.raw.close()

    @property
    def is_open(self) -> bool:
        return not self._closed

    @property
    def in_transaction(self) -> bool:
        return not self._closed and self.raw.in_transaction

    def run(self, sql: str, params: Any = None) -> Rows:
        try:
            if not self.has_turn and not _NO_TURN.match(sql) and not self._is_read(sql):
                self._turns.take()
                self.has_turn = True
            return self._patiently(sql, params)
        except Exception:
            raise
        except BaseException:
            self.close()
            raise
        finally:
            if self.has_turn and not self._closed and not self.raw.in_transaction:
                self._give_turn()

    def stream(self, sql: str, params: Any, size: int) -> tuple[Sequence[Sequence[Any]], Iterator[Row]]:
        if not self._is_read(sql):
            found = self.run(sql, params)
            return found.description or (), iter(found)
        cursor = self.call(self.raw.execute, sql, params or ())
        return cursor.description, self._slices(cursor, size)

    def _slices(self, cursor: sqlite3.Cursor, size: int) -> Iterator[Row]:
        while rows := self.call(cursor.fetchmany, size):
            yield from rows

    def _patiently(self, sql: str, params: Any) -> Rows:
        """While others are in the way, again and again: it was not begun then."""
        pause = _FIRST_PAUSE
        until = monotonic() + self._busy
        while True:
            try:
                found: Rows = self.call(fetch, self.raw, sql, params)
                return found
            except sqlite3.OperationalError as error:
                code = getattr(error, "sqlite_errorcode", 0)
                if code & 0xFF != _BUSY or code == _BUSY_SNAPSHOT or monotonic() >= until:
                    raise
            green.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(2 * pause, _LONGEST_PAUSE)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What it returns, or raises, in the thread of this connection.  Cut short it is the end of the connection."""
        if self._closed:
            raise sqlite3.ProgrammingError("the connection is closed")
        try:
            done = self._worker.call(function, *args)
        except BaseException:
            self.close()
            raise
        if done is None:
            self.late = True
            self.close()
            raise sqlite3.OperationalError("the statement took too long, it was interrupted")
        if done.error is not None:
            raise done.error
        return done.result

    def renew(self) -> None:
        self.close()  # another one is made as soon as this one would be as new

    def close(self) -> None:
        """What is at work is interrupted and rolled back; nobody else writes before that is done."""
        if self._closed:
            return
        self._closed = True
        if self._worker.busy and self.raw is not None:
            self.raw.interrupt()
        self._worker.end(self._end, self._give_turn if self.has_turn else _nothing)

    def _give_turn(self) -> None:
        self.has_turn = False
        self._turns.give()


def _nothing() -> None:
    """There is nothing left to do."""
