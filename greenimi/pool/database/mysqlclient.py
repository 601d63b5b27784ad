"""MySQL and MariaDB by mysqlclient, whose C code does the work; the hub does the waiting.

A statement is sent, its answer is waited for as for any socket, and when all of it has arrived the C code reads it without waiting.  What
does not fit into that (large statements, answers of more than a network buffer, encrypted connections) is done in a native thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar
from weakref import WeakKeyDictionary

import pymysql
from pymysql.constants import CR
from pymysql.constants.FIELD_TYPE import BLOB, JSON, LONG_BLOB, MEDIUM_BLOB, STRING, TINY_BLOB, VAR_STRING, VARCHAR
from pymysql.converters import escape_item, through
from zope.interface import implementer

from greenimi import green
from greenimi.errors import MissingExtra
from greenimi.interfaces import IResources
from greenimi.pool.database.mysql import AUTOCOMMIT, DECODERS, ENCODERS, IN_TRANSACTION, QUIT, MySQL, ends
from greenimi.pool.database.results import Row, Rows
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.database.tap import Tap
from greenimi.pool.database.tls import mode_of
from greenimi.pool.nodes import Node

try:
    from MySQLdb import MySQLError, _mysql
    from MySQLdb.constants import FLAG
except ImportError as error:
    raise MissingExtra("the driver mysqlclient needs the library of that name", hint="pip install greenimi[mysqlclient]") from error

T = TypeVar("T")

_BUFFER = 16 * 1024
"""Bytes that the server sends at once, and that a socket surely takes at once."""

_SLICE = 500
"""Rows that are made into Python values before others get their turn."""

_THREADS = 32
"""Connects and large answers that may wait in C at a time."""

_pools: WeakKeyDictionary[Any, green.ThreadPool] = WeakKeyDictionary()

_MORE_RESULTS = 8

_TEXTS = (STRING, VAR_STRING, VARCHAR, TINY_BLOB, BLOB, MEDIUM_BLOB, LONG_BLOB)
_CONVERTERS = {kind: convert for kind, convert in DECODERS.items() if convert is not through}
_CONVERTERS |= dict.fromkeys(_TEXTS, ((FLAG.BINARY, bytes), (None, str)))
_CONVERTERS[JSON] = str
"""As PyMySQL has them, so that both drivers give the same values."""


class MySQLClient(MySQL):
    """A MySQL or MariaDB database by mysqlclient."""

    def make_resources(self, settings: DatabaseSettings) -> Any:
        return MySQLClientResources(settings, self._connected)


def _threads() -> green.ThreadPool:
    """Those of this hub."""
    hub = green.current_hub()
    found = _pools.get(hub)
    if found is None:
        found = _pools[hub] = green.ThreadPool(_THREADS)
    return found


class MySQLClientSession:
    """One connection; see Session."""

    __slots__ = (
        *("_closed", "_encrypted", "_init", "_lock", "_node", "_status", "_tap", "_threads", "_unread"),
        *("late", "node", "raw", "unsent"),
    )

    def __init__(self, raw: Any, node: Node, settings: DatabaseSettings, *, encrypted: bool) -> None:
        self.raw = raw
        self.node = node.name
        self.unsent = False
        self.late = False
        self._node = node
        self._init = settings.init
        self._tap = Tap(raw.fileno(), settings.read_timeout, peeks=_BUFFER + 1, unreachable=settings.unreachable)
        self._unread = self._tap.unread
        self._encrypted = encrypted
        self._status = AUTOCOMMIT  # of the last answer
        self._closed = False
        self._lock = green.native_lock()
        self._threads = 0  # that use the connection now

    @property
    def is_open(self) -> bool:
        return not self._closed and not self._unread(0)

    @property
    def in_transaction(self) -> bool:
        return bool(self._status & IN_TRANSACTION)

    @property
    def commits(self) -> bool:
        """Each statement is committed by itself, as far as the last answer says."""
        return bool(self._status & AUTOCOMMIT)

    def run(self, sql: str, params: Any = None) -> Rows:
        self._send(sql, params)
        try:
            if self._has_arrived():
                result, affected, last_id = self._read()
            else:
                result, affected, last_id = self._in_thread(self._read_all)
            if result is None:
                return Rows((), None, affected, last_id)
            rows = result.fetch_row(_SLICE)
            if len(rows) == _SLICE:
                rows = self._fetch(result, rows)
            return Rows(rows, result.describe(), len(rows), None)
        except BaseException as error:
            self._fail(error)

    def stream(self, sql: str, params: Any, size: int) -> tuple[Sequence[Sequence[Any]], Iterator[Row]]:
        self._send(sql, params)
        try:
            self._status |= IN_TRANSACTION
            self._wait()
            result = self._in_thread(self._begin)
        except BaseException as error:
            self._fail(error)
        if result is None:
            return (), iter(())
        return result.describe(), self._slices(result, size)

    def _slices(self, result: Any, size: int) -> Iterator[Row]:
        try:
            while rows := self._in_thread(result.fetch_row, size):
                yield from rows
            self._in_thread(self._drop_rest)
        except BaseException as error:
            self._fail(error)

    def begin(self) -> None:
        """What a new connection begins with."""
        self._in_thread(self._make_ready)

    def renew(self) -> None:
        address = self._node.settings
        try:
            self._in_thread(self.raw.change_user, address.user, str(address.password), address.database or None)
            self.begin()
        except BaseException as error:
            self._fail(error)

    def _make_ready(self) -> None:
        self.raw.set_character_set("utf8mb4")
        self.raw.autocommit(True)
        for statement in self._init:
            self.raw.query(statement.encode())
            self.raw.store_result()

    # -- sending -----------------------------------------------------------------------------------------------------
    def _send(self, sql: str, params: Sequence[Any] | None) -> None:
        if self._closed:
            raise pymysql.InterfaceError(0, "the connection is closed")
        self.unsent = self.late = False
        text = (sql if params is None else sql % self._literals(params)).encode()
        try:
            if len(text) < _BUFFER and not self._encrypted:
                self.raw.send_query(text)
            else:
                self._in_thread(self.raw.send_query, text)
        except BaseException as error:
            self.unsent = isinstance(error, MySQLError)
            self._fail(error)

    def _literals(self, params: Any) -> Any:
        if isinstance(params, dict):
            return {name: self._literal(value) for name, value in params.items()}
        return tuple([self._literal(value) for value in params])

    def _literal(self, value: Any) -> str:
        """As PyMySQL writes it."""
        kind = type(value)
        if kind is int:
            return str(value)
        if isinstance(value, str):
            return self.raw.string_literal(value.encode()).decode()  # type: ignore[no-any-return]
        if isinstance(value, bytes | bytearray):
            return f"X'{value.hex()}'"
        if kind in (tuple, list, set, frozenset):
            return f"({','.join([self._literal(one) for one in value])})"
        if kind not in ENCODERS:
            return self._literal(str(value))
        return escape_item(value, mapping=ENCODERS)  # type: ignore[no-any-return]

    # -- receiving ---------------------------------------------------------------------------------------------------
    def _wait(self) -> None:
        if not self._tap.wait():
            self.late = True
            raise MySQLError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query: it was silent for too long")
        if self._closed:
            raise MySQLError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query: it was closed")

    def _has_arrived(self) -> bool:
        """Wait for the answer.  True when all of it can be read without waiting; its status is known then."""
        self._wait()
        status = None if self._encrypted else status_of(self._tap.peek(), self._status)
        if status is None or status & _MORE_RESULTS:
            self._status |= IN_TRANSACTION  # in doubt there is one
            return False
        self._status = status
        return True

    def _read(self) -> tuple[Any, int, int]:
        """The result, None where there are no rows; how many rows were changed; the last id that was made."""
        raw = self.raw
        raw.read_query_result()
        result = raw.store_result()
        return (result, 0, 0) if result is not None else (None, raw.affected_rows(), raw.insert_id())

    def _read_all(self) -> tuple[Any, int, int]:
        """In a thread: the first result; others, of a procedure, are dropped."""
        found = self._read()
        self._drop_rest()
        return found

    def _begin(self) -> Any:
        """In a thread: what its rows are read from."""
        self.raw.read_query_result()
        return self.raw.use_result()

    def _drop_rest(self) -> None:
        """In a thread: further results."""
        while self.raw.next_result() == 0:
            self.raw.discard_result()

    def _fetch(self, result: Any, rows: Sequence[Row]) -> Sequence[Row]:
        """The rest of many rows, others having their turn between."""
        found = list(rows)
        while rows:
            green.sleep(0)
            rows = result.fetch_row(_SLICE)
            found += rows
        return found

    # -- threads and ends --------------------------------------------------------------------------------------------
    def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        with self._lock:
            self._threads += 1
        found: T = green.in_thread(self._used, function, args, pool=_threads())
        return found

    def _used(self, function: Callable[..., T], args: Any) -> T:
        """In a thread, which closes the connection itself when that was wished for meanwhile: C code must not lose it in use."""
        try:
            return function(*args)
        finally:
            with self._lock:
                self._threads -= 1
                over = self._closed and not self._threads
            if over:
                self.raw.close()

    def _fail(self, error: BaseException) -> NoReturn:
        """Raise PyMySQL's error for one of mysqlclient.  What the client itself found wrong, or a kill, is the end of the connection."""
        if not isinstance(error, MySQLError):
            self._end()
            raise error
        code = error.args[0] if error.args else 0
        if CR.CR_ERROR_FIRST <= code <= CR.CR_ERROR_LAST:
            self._end()
        elif ends(error, self._node):
            self.close()
        raise as_pymysql(error) from error

    def close(self) -> None:
        if not self._closed and not self._threads and not self._encrypted and self._tap.is_idle():
            self._tap.send_now(QUIT)
        self._end()

    def _end(self) -> None:
        """Without a goodbye: after half a statement it would count as the rest of that."""
        with self._lock:
            over = not self._closed and not self._threads
            self._closed = True
        self._tap.close()  # nothing of what follows, or what a thread is at, waits any more
        if over:
            self.raw.close()


def as_pymysql(error: Exception) -> Exception:
    """PyMySQL's error for the same fault, so that both drivers raise the same."""
    code = error.args[0] if error.args else 0
    kind = pymysql.err.error_map.get(code) or getattr(pymysql.err, type(error).__name__, pymysql.OperationalError)
    if kind is pymysql.err.MySQLError:
        kind = pymysql.OperationalError
    return kind(*error.args)  # type: ignore[no-any-return]


def status_of(data: memoryview, before: int = 0) -> int | None:
    """The status of the server at the end of an answer; None while the end is not there.

    ``before``  what it was: an error does not tell, but may have ended a transaction, or have begun none.
    """
    size = len(data)
    if size < 9 or size > _BUFFER:
        return None
    if data[4] == 0xFF and size == 4 + _length(data):
        return before | IN_TRANSACTION
    if data[4] == 0 and size == 4 + _length(data):  # rows changed, id, status: numbers of one to nine bytes
        at = 5 + _WIDTHS.get(data[5], 1)
        at += _WIDTHS.get(data[at], 1)
        return data[at] | data[at + 1] << 8
    if data[-5] == 0xFE and data[-9:-6] == _FIVE:
        return data[-2] | data[-1] << 8
    if size > 11 and data[-7] == 0xFE and data[-11:-8] == _SEVEN:
        return data[-4] | data[-3] << 8
    return None


_FIVE, _SEVEN = b"\x05\x00\x00", b"\x07\x00\x00"
"""Lengths of what ends rows: the older form and the newer one."""

_WIDTHS = {0xFC: 3, 0xFD: 4, 0xFE: 9}
"""Bytes of a number by its first byte; other numbers are one byte."""


def _length(data: memoryview) -> int:
    return data[0] | data[1] << 8 | data[2] << 16


@implementer(IResources)
class MySQLClientResources:
    """Connections by mysqlclient."""

    def __init__(self, settings: DatabaseSettings, connected: Callable[[str], None]) -> None:
        self._settings = settings
        self._connected = connected

    def connect(self, node: Node) -> MySQLClientSession:
        raw = green.in_thread(self._connect, node, pool=_threads())
        encrypted = mode_of(self._settings.tls, local=node.settings.is_local) != "off"
        session = MySQLClientSession(raw, node, self._settings, encrypted=encrypted)
        try:
            session.begin()
        except MySQLError as error:
            session.close()
            raise as_pymysql(error) from error
        except BaseException:
            session.close()
            raise
        self._connected(raw.get_server_info())
        return session

    def _connect(self, node: Node) -> Any:
        """In a thread, as it waits."""
        settings, address = self._settings, node.settings
        host = "127.0.0.1" if address.host == "localhost" else address.host  # the C code would take a Unix socket of its own
        names = {"host": host, "unix_socket": address.socket, "user": address.user, "password": str(address.password)}
        try:
            return _mysql.connect(
                **{name: value for name, value in names.items() if value},
                **self._options(node),
                database=address.database,
                port=address.port,
                conv=_CONVERTERS,
                connect_timeout=math.ceil(settings.connect_timeout),
                read_timeout=math.ceil(settings.read_timeout),
                write_timeout=math.ceil(settings.write_timeout),
                local_infile=0,
            )
        except MySQLError as error:
            raise as_pymysql(error) from error

    def _options(self, node: Node) -> dict[str, Any]:
        """mysqlclient's arguments for encryption."""
        tls = self._settings.tls
        mode = {
            "off": "DISABLED",
            "preferred": "PREFERRED",
            "required": "REQUIRED",
            "chain": "VERIFY_CA",
            "identity": "VERIFY_IDENTITY",
        }[mode_of(tls, local=node.settings.is_local)]
        files = {name: file for name, file in (("ca", tls.ca), ("cert", tls.certificate), ("key", tls.key)) if file}
        return {"ssl_mode": mode, **({"ssl": files} if files else {})}

    def close(self, session: MySQLClientSession) -> None:
        session.close()

    def is_open(self, session: MySQLClientSession) -> bool:
        return session.is_open

    def check(self, session: MySQLClientSession) -> bool:
        session.run("DO 0")
        return True

    def reset(self, session: MySQLClientSession) -> bool:
        if session.in_transaction:
            session.run("ROLLBACK")
        return session.commits
