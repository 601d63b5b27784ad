"""SQLite: the embedded database, in a file or in memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import peewee
from zope.interface import implementer

from greenimi.errors import ConfigError
from greenimi.event import Events
from greenimi.interfaces import IResources
from greenimi.pool.database.database import Database
from greenimi.pool.database.levels import TransactionError
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.database.sqlite_sessions import FileSession, MemorySession
from greenimi.pool.database.sqlite_thread import Worker
from greenimi.pool.database.sqlite_turns import Turns
from greenimi.pool.database.urls import addresses
from greenimi.pool.nodes import Node
from greenimi.pool.pool import Pool
from greenimi.pool.wishes import Options

if TYPE_CHECKING:
    from greenimi.pool.database.held import Held
    from greenimi.pool.database.session import Session

MEMORY = ("", ":memory:")
"""Names of a database in memory."""

_LOCKS = ("DEFERRED", "IMMEDIATE", "EXCLUSIVE")
_BUSY, _LOCKED = 5, 6


class SQLite(Database, peewee.SqliteDatabase):  # type: ignore[misc]  # what concerns transactions is ours, with more options and results of our own
    """A SQLite database.

    In a file: each connection has a native thread of its own; readers and the one writer do not stand in each other's way (WAL); writers
    wait for their turn, first come first served, and transactions that may write have it from their beginning.  In memory: all share one
    connection, transactions exclude each other, and statements are executed at once, in the loop.
    """

    isolations = (*Database.isolations, *_LOCKS)

    def __init__(
        self,
        name: str,
        settings: DatabaseSettings,
        *,
        events: Events | None = None,
        make_pool: Callable[..., Pool[Any]] = Pool,
        **options: Any,
    ) -> None:
        path = f"database.{name}"
        if settings.replicas or len(settings.urls) > 1:
            raise ConfigError(f"{path}: a SQLite database is one file, and has no replicas")
        self.in_memory = addresses(settings, path)[0].database in MEMORY
        if self.in_memory:
            pool = settings.pool
            settings = replace(settings, pool=replace(pool, max=1, min=min(pool.min, 1)))
        super().__init__(name, settings, events=events, make_pool=make_pool, **options)

    def make_resources(self, settings: DatabaseSettings) -> Any:
        return MemoryResources(self, settings) if self.in_memory else FileResources(self, settings)

    def stop(self) -> None:
        super().stop()
        self.resources.end()

    # -- transactions ------------------------------------------------------------------------------------------------
    def begin_on(self, session: Session, options: Options) -> None:
        if options.read_only:
            self._execute(session, "PRAGMA query_only = ON", None)
            self._execute(session, "BEGIN", None)
        else:
            self._execute(session, f"BEGIN {options.isolation if options.isolation in _LOCKS else 'IMMEDIATE'}", None)

    def end_on(self, session: Session, options: Options, verb: str) -> None:
        self._execute(session, verb, None)
        if options.read_only:
            self._execute(session, "PRAGMA query_only = OFF", None)

    def is_transient(self, error: BaseException) -> bool:
        return getattr(getattr(error, "orig", None), "sqlite_errorcode", 0) & 0xFF in (_BUSY, _LOCKED)

    def check_new(self, held: Held) -> None:
        if getattr(held.session, "has_turn", False):
            raise TransactionError("a new transaction beside the open one could never write: SQLite has one writer at a time")
        super().check_new(held)

    # -- what peewee registers with connections -----------------------------------------------------------------------
    def register_function(self, *args: Any, **options: Any) -> Any:
        return self._for_all(super().register_function, *args, **options)

    def register_aggregate(self, *args: Any, **options: Any) -> Any:
        return self._for_all(super().register_aggregate, *args, **options)

    def register_window_function(self, *args: Any, **options: Any) -> Any:
        return self._for_all(super().register_window_function, *args, **options)

    def register_collation(self, *args: Any, **options: Any) -> Any:
        return self._for_all(super().register_collation, *args, **options)

    def attach(self, *args: Any, **options: Any) -> Any:
        return self._for_all(super().attach, *args, **options)

    def detach(self, *args: Any, **options: Any) -> Any:
        return self._for_all(super().detach, *args, **options)

    def load_extension(self, *args: Any, **options: Any) -> Any:
        return self._for_all(super().load_extension, *args, **options)

    def _for_all(self, register: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Also connections that are there already must have it: the one in memory gets it, those to a file are replaced."""
        if not self.in_memory:
            self.resources.version += 1
        elif self.resources.raw is not None and self.is_closed():
            with self.hold():  # with which peewee sees an open connection
                return register(*args, **options)
        return register(*args, **options)


@implementer(IResources)
class MemoryResources:
    """The one connection to a database in memory.  A process that was forked begins with an empty one."""

    def __init__(self, database: SQLite, settings: DatabaseSettings) -> None:
        self._database = database
        self._settings = settings
        self._process = 0
        self.raw: sqlite3.Connection | None = None

    def connect(self, node: Node) -> MemorySession:
        if self.raw is None or self._process != os.getpid():
            self._process = os.getpid()
            self.raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self.raw.execute("PRAGMA foreign_keys = ON")
            self._database._add_conn_hooks(self.raw)  # type: ignore[attr-defined]  # its type hints leave it out
            for statement in self._settings.init:
                self.raw.execute(statement)
        return MemorySession(self.raw, "memory")

    def close(self, session: MemorySession) -> None:
        session.close()

    def is_open(self, session: MemorySession) -> bool:
        return session.is_open

    def check(self, session: MemorySession) -> bool:
        return session.is_open

    def reset(self, session: MemorySession) -> bool:
        if session.in_transaction:
            session.run("ROLLBACK")
        return True

    def end(self) -> None:
        """The database is gone."""
        if self.raw is not None:
            self.raw.close()
            self.raw = None


@implementer(IResources)
class FileResources:
    """Connections to a file."""

    def __init__(self, database: SQLite, settings: DatabaseSettings) -> None:
        self._database = database
        self._settings = settings
        self._turns = Turns(settings.busy)
        self.version = 0
        """Of what is registered with connections: those of an older one are replaced."""

    def connect(self, node: Node) -> FileSession:
        database, settings = self._database, self._settings
        worker = Worker(settings.read_timeout)
        session = FileSession(node.name, worker, self._turns, database.telling.is_read, settings.busy, self.version)
        try:
            session.open(node.settings.database)
            for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA foreign_keys = ON"):
                session.run(statement)
            session.call(database._add_conn_hooks, session.raw)  # type: ignore[attr-defined]
            for statement in settings.init:
                session.run(statement)
        except BaseException:
            session.close()
            raise
        if session.version != self.version:  # something was registered meanwhile
            session.close()
            return self.connect(node)
        return session

    def close(self, session: FileSession) -> None:
        session.close()

    def is_open(self, session: FileSession) -> bool:
        return session.is_open and session.version == self.version

    def check(self, session: FileSession) -> bool:
        session.run("SELECT 1")
        return True

    def reset(self, session: FileSession) -> bool:
        if session.in_transaction:
            session.run("ROLLBACK")
        return True

    def end(self) -> None:
        """Nothing is left but the sessions, which the pool closes."""
