"""Telling of statements: the event, the log of slow ones, peewee's hooks.  Nothing of it costs anything while nobody wants it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from peewee import QueryEvent

from greenimi.event import Events
from greenimi.pool.database.results import Rows
from greenimi.pool.database.routing import reader
from greenimi.pool.database.statements import masked, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenimi.pool.database.database import Database
    from greenimi.pool.database.session import Session

log = logging.getLogger("greenimi.pool.slow")


@dataclass(frozen=True, slots=True)
class StatementExecuted:
    """A statement was executed, or failed.  ``binds``: of each value its kind and length, never the value.

    Listeners run in the greenlet of the statement, before it has its rows; their exceptions go to it.
    """

    database: str
    node: str
    sql: str
    binds: tuple[str, ...]
    seconds: float
    rows: int | None
    """Rows found or changed; None when it failed."""
    error: BaseException | None = None


class Telling:
    """What one database tells, and to whom."""

    def __init__(self, database: Database, events: Events, slow: float) -> None:
        self._database = database
        self._events = events
        self.hears = events.hears
        self.slow = slow or math.inf

    @cached_property
    def is_read(self) -> Callable[[str], bool]:
        """Whether a statement only reads."""
        return reader(self._database.settings.reads.primary_functions)

    def executed(self, sql: str, params: Any, session: Session, seconds: float, rows: Rows) -> None:
        """It took so long; its rows are in memory."""
        self._tell(sql, params, session, seconds, rows.rowcount, None)

    def failed(self, sql: str, params: Any, session: Session, seconds: float, error: Exception) -> None:
        """The driver raised this."""
        if seconds >= self.slow or self.hears(StatementExecuted) or self._database.query_hooks:  # type: ignore[attr-defined]
            self._tell(sql, params, session, seconds, None, error)

    def _tell(self, sql: str, params: Any, session: Session, seconds: float, rows: int | None, error: Exception | None) -> None:
        binds = masked(params)
        name = self._database.name
        if seconds >= self.slow:
            how = f"failed with {type(error).__name__}" if error is not None else f"{rows} rows"
            log.warning("database %s at %s: %.3f s, %s: %s; binds: %s", name, session.node, seconds, how, shortened(sql), ", ".join(binds))
        for hook in self._database.query_hooks:  # type: ignore[attr-defined]
            hook(QueryEvent(sql, params, seconds, error))
        if self.hears(StatementExecuted):
            self._events.emit(StatementExecuted(name, session.node, sql, binds, seconds, rows, error))
