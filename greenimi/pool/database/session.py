"""What every driver makes of its connection, so that the rest here need not know which driver it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, Protocol

import peewee

from greenimi.pool.database.results import Row, Rows


class Session(Protocol):
    """One connection to one server.  Used by one greenlet at a time; the resource that pools of databases hold.

    After any exception that is no Exception (a kill, a timeout) it is closed: an answer may be on its way.
    """

    raw: Any
    """The connection of the driver."""
    node: str
    """The name of the server."""
    unsent: bool
    """Of a statement that failed: the server cannot have begun it, because it was not sent as a whole."""
    late: bool
    """The server was silent for too long."""

    @property
    def is_open(self) -> bool:
        """False when it is known to be lost; asks nobody."""

    @property
    def in_transaction(self) -> bool:
        """A transaction is open, as far as the last answer says."""

    def run(self, sql: str, params: Sequence[Any] | None = None) -> Rows:
        """Execute a statement in the driver's own style of placeholders, and read all rows.  What the driver raises is raised.

        ``params`` None: nothing in the text is a placeholder.
        """

    def stream(self, sql: str, params: Sequence[Any] | None, size: int) -> tuple[Sequence[Sequence[Any]], Iterator[Row]]:
        """Execute a statement; its columns as in Rows.description, and its rows, of which about ``size`` are in memory at a time.

        Nothing else may be executed before they are read to the end.
        """

    def renew(self) -> None:
        """Make it as if just connected: no session variables, temporary tables or locks are left.  Raises when that cannot be done."""

    def close(self) -> None:
        """End it.  Never raises, waits for nobody."""


class Inherited:
    """In a process that was forked: stands for a connection that its parent holds, and does nothing to that."""

    raw = None
    unsent = True
    late = False
    is_open = False
    in_transaction = False

    def __init__(self, node: str) -> None:
        self.node = node

    def run(self, sql: str, params: Any = None) -> NoReturn:
        raise peewee.InterfaceError("the connection that is held belongs to the parent process; fork where none is held")

    def stream(self, sql: str, params: Any, size: int) -> NoReturn:
        self.run(sql)

    def renew(self) -> None:
        """It is its parent's."""

    def close(self) -> None:
        """It is its parent's."""
