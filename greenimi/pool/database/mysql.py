"""MySQL and MariaDB by PyMySQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, NoReturn

import peewee
import pymysql
from pymysql import converters
from pymysql.constants import ER, FIELD_TYPE
from pymysql.cursors import SSCursor
from zope.interface import implementer

from greenimi.interfaces import IResources
from greenimi.pool.database.database import Database
from greenimi.pool.database.lag import seconds_behind
from greenimi.pool.database.mysql_transactions import MySQLTransactions
from greenimi.pool.database.results import Row, Rows
from greenimi.pool.database.session import Session
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.database.tap import Tap
from greenimi.pool.database.tls import context_for, mode_of
from greenimi.pool.database.urls import Address
from greenimi.pool.nodes import Node

IN_TRANSACTION, AUTOCOMMIT = 1, 2
"""Flags of the server's status."""

_ENDS = frozenset({ER.SERVER_SHUTDOWN, 1927, 4031})
"""Errors after which the server closes the connection: it stops; somebody killed the connection; it was unused for long."""

_READ_ONLY = frozenset({ER.OPTION_PREVENTS_STATEMENT, 1836})
"""Errors of a server that may not be written to, which at a primary means that another one is the primary now."""

_RESET_CONNECTION = 0x1F


def _fast(kind: type[date], slow: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter in C for what is written as usual; ``slow`` has its way with the rest, such as zero dates."""
    read = kind.fromisoformat

    def convert(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            return slow(text)

    return convert


DECODERS = {
    **converters.decoders,
    FIELD_TYPE.DATETIME: _fast(datetime, converters.convert_datetime),
    FIELD_TYPE.TIMESTAMP: _fast(datetime, converters.convert_datetime),
    FIELD_TYPE.DATE: _fast(date, converters.convert_date),
}
"""What makes Python values of columns, by their types."""


def _escape_view(value: memoryview, mapping: object = None) -> str:
    return f"X'{value.hex()}'"


ENCODERS = {**converters.encoders, memoryview: _escape_view}
"""What makes literals of Python values, by their types."""

QUIT = b"\x01\x00\x00\x00\x01"
"""A client's goodbye, without which the server logs that the connection was aborted."""

_UNSENT = 2006
"""PyMySQL's own error for a statement that it could not send as a whole."""

_LOST = 2013
"""Its error for a connection that ended in the middle of an answer."""

_SILENT = ("timed out",)
"""What a socket says whose time is over."""


class MySQL(MySQLTransactions, Database, peewee.MySQLDatabase):  # type: ignore[misc]  # what concerns transactions is ours, with more options and results of our own
    """A MySQL or MariaDB database."""

    mysql = True
    _is_mariadb: bool | None = None

    def make_resources(self, settings: DatabaseSettings) -> Any:
        return PyMySQLResources(settings, self._connected)

    def lag_of(self, session: Session) -> float | None:
        statement = self.settings.reads.lag
        if statement:
            return float(session.run(statement).fetchall()[0][0])
        found = session.run("SHOW REPLICA STATUS").dicts()
        return seconds_behind(found[0] if found else None)

    @property
    def mariadb(self) -> bool:
        """For peewee: which of the two it is.  When nothing was connected yet, that is done to know."""
        if self._is_mariadb is None:
            with self.primary.use():
                pass
        return bool(self._is_mariadb)

    @mariadb.setter
    def mariadb(self, value: bool) -> None:
        self._is_mariadb = value

    def _connected(self, version: str) -> None:
        """Let peewee know what the server is, so that its queries suit it."""
        if self.server_version is None:
            self._is_mariadb = "mariadb" in version.lower()
            self._set_server_version(_Version(version))  # type: ignore[attr-defined]  # its type hints leave it out


class _Version:
    """What peewee asks a connection for."""

    def __init__(self, server_version: str) -> None:
        self.server_version = server_version


class PyMySQLSession:
    """One connection; see Session."""

    __slots__ = ("_cursor", "_encrypted", "_init", "_node", "_tap", "late", "node", "raw", "unsent")

    def __init__(self, raw: Any, node: Node, settings: DatabaseSettings, *, encrypted: bool) -> None:
        self.raw = raw
        self.node = node.name
        self.unsent = False
        self.late = False
        self._cursor = raw.cursor()
        self._encrypted = encrypted
        self._init = settings.init
        self._node = node
        self._tap = Tap(raw._sock.fileno(), 0, unreachable=settings.unreachable)  # there is no public way to the descriptor

    @property
    def is_open(self) -> bool:
        # what can be read while nothing was asked is the server's goodbye
        return self.raw.open and self._tap.is_idle()

    @property
    def in_transaction(self) -> bool:
        return bool(self.raw.server_status & IN_TRANSACTION)

    def run(self, sql: str, params: Any = None) -> Rows:
        text = self._text(sql, params)
        cursor = self._cursor
        try:
            cursor.execute(text)
            found = Rows(cursor.fetchall(), cursor.description, cursor.rowcount, cursor.lastrowid)
            while cursor.nextset():
                pass  # further results, of a procedure, are dropped
            return found
        except BaseException as error:
            self._fail(error)

    def stream(self, sql: str, params: Any, size: int) -> tuple[Sequence[Sequence[Any]], Iterator[Row]]:
        text = self._text(sql, params)
        cursor = self.raw.cursor(SSCursor)
        try:
            cursor.execute(text)
        except BaseException as error:
            self._fail(error)
        return cursor.description or (), self._rows(cursor)

    def _rows(self, cursor: SSCursor) -> Iterator[Row]:
        try:
            yield from cursor
        except BaseException as error:
            self._fail(error)
        if not self.raw.open:  # somebody closed it, which PyMySQL takes for the end of the rows
            raise pymysql.OperationalError(_LOST, "Lost connection to MySQL server during query: it was closed")

    def _text(self, sql: str, params: Any) -> bytes:
        """What is sent.  An error in it is no fault of the connection, to which nothing happens."""
        self.unsent = self.late = False
        return (sql if params is None else self._cursor.mogrify(sql, params)).encode()

    def begin(self) -> None:
        """What a new connection begins with."""
        for statement in self._init:
            self.run(statement)

    def renew(self) -> None:
        try:
            self.raw._execute_command(_RESET_CONNECTION, b"")  # PyMySQL has no name for it
            self.raw._read_ok_packet()
            self.raw.set_character_set("utf8mb4")
            self.raw.autocommit(True)
        except BaseException as error:
            self._fail(error)
        self.begin()

    def _fail(self, error: BaseException) -> NoReturn:
        """Raise it.  Whatever is not the driver's own, such as a kill or a timeout of the caller, is the end of the connection."""
        cause = error.__context__
        if isinstance(cause, TimeoutError) and cause.args != _SILENT:
            error = cause  # of the caller; PyMySQL takes it for one of the socket
        if not isinstance(error, pymysql.MySQLError):
            self._end()
            raise error
        self.unsent = error.args[:1] == (_UNSENT,)
        self.late = isinstance(cause, TimeoutError)
        if ends(error, self._node):
            self.close()
        raise error

    def close(self) -> None:
        if self.raw.open and not self._encrypted and self._tap.is_idle():
            self._tap.send_now(QUIT)
        self._end()

    def _end(self) -> None:
        """Without a goodbye: after half a statement it would count as the rest of that."""
        self._tap.close()  # who waits for an answer is woken by that
        result = self.raw._result
        if result is not None:
            result.unbuffered_active = False  # else it would go on reading when it is garbage collected
        try:
            self.raw._force_close()  # the public close waits for the server
        except RuntimeError:  # another greenlet reads from it: it finds the end, and closes it itself
            pass


def ends(error: Exception, node: Node) -> bool:
    """Whether the connection is of no use after this error of the server.  One that may not be written to is left alone for a while."""
    code = error.args[0] if error.args else 0
    if code in _READ_ONLY and "read" in str(error.args[1:]).lower():
        node.failed(error)
        return True
    return code in _ENDS


@implementer(IResources)
class PyMySQLResources:
    """Connections by PyMySQL."""

    def __init__(self, settings: DatabaseSettings, connected: Any) -> None:
        self._settings = settings
        self._connected = connected

    def connect(self, node: Node) -> PyMySQLSession:
        settings, address = self._settings, node.settings
        tls = _tls(settings, address)
        raw = pymysql.connect(
            host=address.host or None,
            port=address.port,
            unix_socket=address.socket or None,
            user=address.user or None,
            password=address.password.encode(),
            database=address.database or None,
            charset="utf8mb4",
            conv={**ENCODERS, **DECODERS},
            autocommit=True,
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout or None,
            write_timeout=settings.write_timeout or None,
            **tls,
        )
        session = PyMySQLSession(raw, node, settings, encrypted="ssl_disabled" not in tls)
        try:
            session.begin()
        except BaseException:
            session.close()
            raise
        self._connected(raw.get_server_info())
        return session

    def close(self, session: PyMySQLSession) -> None:
        session.close()

    def is_open(self, session: PyMySQLSession) -> bool:
        return session.is_open

    def check(self, session: PyMySQLSession) -> bool:
        session.raw.ping(reconnect=False)
        return True

    def reset(self, session: PyMySQLSession) -> bool:
        status = session.raw.server_status
        if status & IN_TRANSACTION:
            session.run("ROLLBACK")
        return bool(status & AUTOCOMMIT)  # else the next one's statements would never be committed


def _tls(settings: DatabaseSettings, address: Address) -> dict[str, Any]:
    """PyMySQL's arguments for it."""
    if mode_of(settings.tls, local=address.is_local) == "preferred":
        return {}  # what it does where nothing is said
    context = context_for(settings.tls, local=address.is_local)
    return {"ssl": context} if context is not None else {"ssl_disabled": True}
