"""Replicas: which statements they answer, and which of them may answer at all."""

from __future__ import annotations

import re
from contextvars import ContextVar, Token
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from greenimi.container.context import current
from greenimi.pool.database.lag import Lag
from greenimi.pool.database.results import Rows
from greenimi.pool.database.urls import nodes, replica_addresses
from greenimi.pool.pool import Pool

if TYPE_CHECKING:
    from greenimi.interfaces import IResources
    from greenimi.pool.database.database import Database
    from greenimi.pool.database.held import Held
    from greenimi.pool.database.session import Session

_CHANGES_NOTHING = re.compile(r"\s*(?:BEGIN|START|SAVEPOINT|RELEASE|ROLLBACK|SET)\b", re.IGNORECASE)
_COMMITS = re.compile(r"\s*COMMIT\b", re.IGNORECASE)

_on_primary: ContextVar[tuple[object, ...]] = ContextVar("greenimi.pool.database.on_primary", default=())
"""The databases of which this code wants the primary."""


class UsePrimary:
    """``with database.use_primary():``"""

    __slots__ = ("_database", "_tokens")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tokens: list[Token[tuple[object, ...]]] = []

    def __enter__(self) -> None:
        self._tokens.append(_on_primary.set((*_on_primary.get(), self._database)))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _on_primary.reset(self._tokens.pop())


class Replicas:
    """The replicas of one database: a pool of their own, and what goes there.

    Plain reads outside of transactions go to a replica, unless the message wrote a moment ago, or none of them is there and near enough to
    the primary.  Everything else goes to the primary, and so does a read whose replica was lost.
    """

    def __init__(self, database: Database, path: str) -> None:
        settings = database.settings
        reads = settings.reads
        self._database = database
        self._is_read = database.telling.is_read
        self._sticky = reads.sticky
        self._wrote = 0.0  # code outside of messages did, at this time
        self._resources = _Resources(database.resources)
        found = nodes(replica_addresses(settings, path), reads.pool)
        self.pool: Pool[Session] = database.make_pool(path, self._resources, found, reads.pool)
        self.lag = Lag(database, self.pool, self._resources.behind)

    def start(self) -> None:
        self.pool.start()
        self.lag.start()

    def stop(self) -> None:
        self.lag.stop()
        self.pool.stop()

    def run(self, sql: str, params: Any) -> Rows:
        """Execute a statement of a greenlet that holds no connection."""
        primary = self._database.primary
        if self._is_read(sql):
            return self._database.once(primary if self._prefer_primary() else self.pool, sql, params)
        try:
            return self._database.once(primary, sql, params)
        finally:
            self.wrote()

    def pool_for(self, sql: str) -> Pool[Session]:
        """Where a statement of a greenlet that holds no connection belongs."""
        if self._is_read(sql):
            return self._database.primary if self._prefer_primary() else self.pool
        self.wrote()
        return self._database.primary

    def note(self, sql: str, held: Held) -> None:
        """A statement runs on a connection that is held."""
        if _COMMITS.match(sql):
            if held.wrote:
                self.wrote()
        elif not self._is_read(sql) and not _CHANGES_NOTHING.match(sql):
            held.wrote = True
            self.wrote()

    def wrote(self) -> None:
        """This message, or code outside of any, may have written."""
        scope = current.get(None)
        if scope is None:
            self._wrote = monotonic()
        else:
            self._database.message(scope).wrote = monotonic()

    def _prefer_primary(self) -> bool:
        if self._database in _on_primary.get() or not any(self.lag.is_usable(node) for node in self.pool.nodes):
            return True
        scope = current.get(None)
        if scope is None:
            wrote = self._wrote
        else:
            found = scope.beans.get(self._database) if scope.beans is not None else None
            wrote = found.wrote if found is not None else 0.0
        return wrote > 0.0 and monotonic() - wrote < self._sticky


class _Resources:
    """As the primary's, but connections to a replica that is too far behind count as lost."""

    def __init__(self, inner: IResources) -> None:
        self.behind: set[str] = set()
        """Names of the replicas that are."""
        found: Any = inner  # a type checker reads the methods of a zope interface as lacking self
        self._is_open = found.is_open
        self.connect = found.connect
        self.close = found.close
        self.check = found.check
        self.reset = found.reset

    def is_open(self, session: Session) -> bool:
        return session.node not in self.behind and self._is_open(session)
