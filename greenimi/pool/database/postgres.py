"""PostgreSQL by psycopg 3."""

from __future__ import annotations

import math
import re
import select
import ssl
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import peewee
from zope.interface import implementer

from greenimi.errors import MissingExtra
from greenimi.interfaces import IResources
from greenimi.pool.database.database import Database
from greenimi.pool.database.results import Row, Rows
from greenimi.pool.database.session import Session
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.database.tap import Tap
from greenimi.pool.database.tls import mode_of
from greenimi.pool.database.urls import Address
from greenimi.pool.nodes import Node

try:
    import psycopg
    from psycopg.pq import TransactionStatus
    from psycopg.waiting import Ready, Wait
except ImportError as error:
    raise MissingExtra("PostgreSQL needs psycopg", hint="pip install greenimi[postgres]") from error

T = TypeVar("T")

_TRANSIENT = frozenset({"40001", "40P01", "55P03"})
"""Serialization failure, deadlock, lock not available."""

_READ_ONLY = "25006"
_STALE_PLAN = "cached plan must not change result type"

_OUTSIDE = (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)

_SOCKET = re.compile(r"\.s\.PGSQL\.(\d+)")

_SSL_MODES = {"off": "disable", "preferred": "prefer", "required": "require", "chain": "verify-ca", "identity": "verify-full"}

_LAG = """
SELECT CASE
    WHEN NOT pg_is_in_recovery() OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE EXTRACT(EPOCH FROM now() - pg_last_xact_replay_timestamp())
END"""


class PostgreSQL(Database, peewee.PostgresqlDatabase):  # type: ignore[misc]  # what concerns transactions is ours, with more options and results of our own
    """A PostgreSQL database."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"prefer_psycopg3": True, **options})

    def make_resources(self, settings: DatabaseSettings) -> Any:
        return PostgresResources(self, settings)

    def lag_of(self, session: Session) -> float | None:
        found = session.run(self.settings.reads.lag or _LAG).fetchall()[0][0]
        return None if found is None else float(found)

    def is_doomed(self, session: Session) -> bool:
        return session.raw.pgconn.transaction_status == TransactionStatus.INERROR  # type: ignore[no-any-return]

    def is_transient(self, error: BaseException) -> bool:
        return getattr(getattr(error, "orig", None), "sqlstate", "") in _TRANSIENT


class Connection(psycopg.Connection[Row]):
    """psycopg's, which waits with watchers that are kept: it wakes up for answers only, and a wait costs little."""

    tap: Tap | None = None
    late = False

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.0, timeout: float | None = None) -> T:
        """Do what psycopg wants done.  OperationalError when the server is silent for too long."""
        if self.tap is None or timeout is not None:
            return super().wait(gen, **({"interval": interval} if interval else {}), timeout=timeout)
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(self._wait_for_answer(self.tap) if wanted == Wait.R else self._wait_for_either(wanted))
        except StopIteration as end:
            found: T = end.value
            return found

    def _wait_for_answer(self, tap: Tap) -> Ready:
        if not tap.wait():
            self.late = True
            raise psycopg.OperationalError("the server was silent for too long")
        return Ready.R

    def _wait_for_either(self, wanted: Wait) -> Ready:
        """Seldom: the system takes no more at this moment."""
        poll = select.poll()
        poll.register(self.fileno(), (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0))
        found = poll.poll()[0][1]
        return Ready((Ready.R if found & ~select.POLLOUT else 0) | (Ready.W if found & select.POLLOUT else 0))


class PostgresSession:
    """One connection; see Session."""

    __slots__ = ("_init", "_node", "_tap", "late", "node", "raw", "unsent")

    def __init__(self, raw: Connection, node: Node, settings: DatabaseSettings) -> None:
        self.raw = raw
        self.node = node.name
        self.unsent = False
        self.late = False
        self._node = node
        self._init = settings.init
        self._tap = raw.tap = Tap(raw.fileno(), settings.read_timeout)

    @property
    def is_open(self) -> bool:
        # what can be read while nothing was asked is the server's goodbye
        return not self.raw.closed and self._tap.is_idle()

    @property
    def in_transaction(self) -> bool:
        return self.raw.pgconn.transaction_status not in _OUTSIDE

    def run(self, sql: str, params: Any = None) -> Rows:
        try:
            cursor = self.raw.execute(sql, params)
            description = cursor.description
            return Rows(cursor.fetchall() if description else (), description, cursor.rowcount, None)
        except BaseException as error:
            self._failed(error)
            raise

    def stream(self, sql: str, params: Any, size: int) -> tuple[Sequence[Sequence[Any]], Iterator[Row]]:
        own = not self.in_transaction
        if own:
            self.run("BEGIN")  # which a cursor of the server needs
        cursor = self.raw.cursor(name="greenimi")
        cursor.itersize = size
        try:
            cursor.execute(sql, params)
        except BaseException as error:
            self._failed(error)
            cursor.close()
            raise
        return cursor.description or (), self._slices(cursor, own=own)

    def _slices(self, cursor: psycopg.ServerCursor[Row], *, own: bool) -> Iterator[Row]:
        try:
            yield from cursor
            cursor.close()
            if own:
                self.run("COMMIT")
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            cursor.close()  # which asks nobody when the connection is closed

    def begin(self) -> None:
        """What a new connection begins with."""
        for statement in self._init:
            self.run(statement)

    def renew(self) -> None:
        if self.in_transaction:
            self.run("ROLLBACK")
        self.run("DISCARD ALL")
        self.raw._prepared.clear()  # it looks only at a DISCARD ALL that it sees for the first time
        self.begin()

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, psycopg.Error):
            self._end()  # also a timeout that is an Exception: an answer may be on its way
            return
        self.unsent = False
        self.late = self.raw.late
        if self.late:
            self._end()
        elif error.sqlstate == _READ_ONLY and not self.in_transaction:  # another one is the primary now
            self._node.failed(error)
            self.close()
        elif _STALE_PLAN in str(error):  # a table was changed, and it was not executed
            self.unsent = True
            self.close()

    def close(self) -> None:
        if not self.raw.closed:
            self.raw.close()
        self._tap.close()

    def _end(self) -> None:
        """Without a goodbye, and without the rest of what was being sent."""
        self._tap.close()
        self.raw.close()


@implementer(IResources)
class PostgresResources:
    """Connections by psycopg."""

    def __init__(self, database: PostgreSQL, settings: DatabaseSettings) -> None:
        self._database = database
        self._settings = settings

    def connect(self, node: Node) -> PostgresSession:
        settings = self._settings
        raw = Connection.connect(
            **_where(node.settings),
            **_tls(settings, node.settings),
            autocommit=True,
            client_encoding="utf8",
            connect_timeout=max(2, math.ceil(settings.connect_timeout)),
            prepare_threshold=5 if settings.prepared else None,
        )
        raw.prepared_max = settings.prepared
        session = PostgresSession(raw, node, settings)
        try:
            session.begin()
        except BaseException:
            session.close()
            raise
        self._database.server_version = raw.pgconn.server_version
        return session

    def close(self, session: PostgresSession) -> None:
        session.close()

    def is_open(self, session: PostgresSession) -> bool:
        return session.is_open

    def check(self, session: PostgresSession) -> bool:
        session.run("SELECT 1")
        return True

    def reset(self, session: PostgresSession) -> bool:
        if session.in_transaction:
            session.run("ROLLBACK")
        return not session.in_transaction


def _where(address: Address) -> dict[str, Any]:
    """psycopg's arguments for it."""
    host, port = address.host, address.port
    if address.socket:
        path = Path(address.socket)
        named = _SOCKET.fullmatch(path.name)  # libpq wants its folder, and makes the name of the port
        host, port = (str(path.parent), int(named[1])) if named else (str(path), port)
    found = {"host": host, "port": port, "user": address.user, "password": str(address.password), "dbname": address.database}
    return {name: value for name, value in found.items() if value}


def _tls(settings: DatabaseSettings, address: Address) -> dict[str, Any]:
    """psycopg's arguments for it."""
    tls = settings.tls
    mode = mode_of(tls, local=address.is_local)
    found = {"sslmode": _SSL_MODES[mode], "sslcert": tls.certificate, "sslkey": tls.key}
    if mode in ("chain", "identity"):
        found["sslrootcert"] = tls.ca or ssl.get_default_verify_paths().cafile or "system"
    return {name: value for name, value in found.items() if value}
