"""A database behind peewee's API, on our pools: what stands in front of peewee's class of each kind of server."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import peewee
from zope.interface import implementer

from greenimi.container.context import Scope
from greenimi.container.service import Tier
from greenimi.event import Events
from greenimi.interfaces import IService
from greenimi.pool.database.held import NOTHING, Held, Hold, Holds, Message
from greenimi.pool.database.results import Result, Rows
from greenimi.pool.database.routing import is_of_connection
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.database.statements import Binds, StatementError, prepare
from greenimi.pool.database.telling import StatementExecuted, Telling
from greenimi.pool.database.transactions import Transactions
from greenimi.pool.database.urls import addresses, nodes
from greenimi.pool.errors import ConnectTimeout, PoolTimeout
from greenimi.pool.pool import Pool

if TYPE_CHECKING:
    from greenimi.pool.database.replicas import Replicas
    from greenimi.pool.database.session import Session
    from greenimi.pool.lease import Lease

log = logging.getLogger("greenimi.pool")

_ERRORS: Mapping[str, type[Exception]] = peewee.EXCEPTIONS  # type: ignore[attr-defined]  # its type hints leave it out


@implementer(IService)
class Database(Transactions):
    """One database: a pool of connections to the primary, and one to its replicas where there are any.

    A mixin in front of peewee's ``MySQLDatabase``, ``SqliteDatabase`` or ``PostgresqlDatabase``; models, queries and whatever else takes a
    peewee database work with it.

    A statement outside of a transaction takes a connection, runs, reads its rows and gives the connection back.  :meth:`hold` and
    transactions keep one for their greenlet; nobody else ever sees it.  A statement waits for a free connection (PoolTimeout), then for the
    server; other greenlets go on meanwhile.

    Errors of the server are peewee's (``IntegrityError``, ``OperationalError``, ...) with a note that names database and server.  A
    statement that the server may have begun is never sent a second time, unless it only reads.
    """

    tier = Tier.RESOURCES

    mysql: ClassVar[bool] = False
    """Its literals and comments are MySQL's."""

    def __init__(
        self,
        name: str,
        settings: DatabaseSettings,
        *,
        events: Events | None = None,
        make_pool: Callable[..., Pool[Any]] = Pool,
        **options: Any,
    ) -> None:
        """``make_pool``: makes a pool of name, resources, nodes and settings.  ``options`` are those of peewee's class."""
        path = f"database.{name}"
        found = addresses(settings, path)
        self.name = name
        self.settings = settings
        self.holds = Holds(self)
        self.resources = self.make_resources(settings)
        self.make_pool = make_pool
        self.primary: Pool[Session] = make_pool(path, self.resources, nodes(found, settings.pool), settings.pool)
        events = events or Events()
        self.telling = Telling(self, events, settings.slow)
        self.join_events(events)
        self.replicas: Replicas | None = self._make_replicas(path)
        super().__init__(found[0].database or name, thread_safe=False, **options)  # type: ignore[call-arg]

    def make_resources(self, settings: DatabaseSettings) -> Any:
        """The IResources by which the pools come by sessions; each kind of database has its own."""
        raise NotImplementedError

    def _make_replicas(self, path: str) -> Replicas | None:
        if not self.settings.replicas:
            return None
        from greenimi.pool.database.replicas import Replicas

        return Replicas(self, f"{path}.replicas")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    # -- as a service ------------------------------------------------------------------------------------------------
    def start(self) -> None:
        self.primary.start()
        if self.replicas is not None:
            self.replicas.start()

    def drain(self) -> None:
        """Nothing yet: what is at work needs connections until its end."""

    def stop(self) -> None:
        if self.replicas is not None:
            self.replicas.stop()
        self.primary.stop()

    # -- statements --------------------------------------------------------------------------------------------------
    def execute(self, query: Any, binds: Binds | None = None, **options: Any) -> Any:
        """``DB.execute("UPDATE orders SET paid = ? WHERE id = ?", [True, 7])`` is a Result; a query of peewee gives peewee's cursor."""
        if not isinstance(query, str):
            return super().execute(query, **options)  # type: ignore[misc]
        rows = self.run(*self.prepared(query, binds))
        return Result(rows.rowcount, rows.lastrowid)

    def rows(self, sql: str, binds: Binds | None = None) -> list[dict[str, Any]]:
        """All rows, each by the names of its columns; of two columns of one name the last."""
        return self.run(*self.prepared(sql, binds)).dicts()

    def row(self, sql: str, binds: Binds | None = None) -> dict[str, Any] | None:
        """The first row; None when there is none."""
        found = self.run(*self.prepared(sql, binds))
        first = found.fetchone()
        return None if first is None else dict(zip(found.columns, first, strict=True))

    def value(self, sql: str, binds: Binds | None = None, default: Any = None) -> Any:
        """The first column of the first row; ``default`` when there is no row."""
        first = self.run(*self.prepared(sql, binds)).fetchone()
        return default if first is None else first[0]

    def column(self, sql: str, binds: Binds | None = None) -> list[Any]:
        """The first column of all rows."""
        return [row[0] for row in self.run(*self.prepared(sql, binds))]

    def each(self, sql: str, binds: Binds | None = None, *, size: int = 1000) -> Iterator[dict[str, Any]]:
        """The rows one after the other, about ``size`` of them in memory.  Their connection is held until the last one was read.

        Of a greenlet that holds a connection it is that one: it can execute nothing else meanwhile.
        """
        rows = self.stream(*self.prepared(sql, binds), size)
        columns = [column[0] for column in next(rows)]
        for row in rows:
            yield dict(zip(columns, row, strict=True))

    def stream(self, text: str, params: Any, size: int = 1000) -> Iterator[Any]:
        """For peewee: the columns of a statement in the driver's own style, as in Rows.description, then its rows, as ``each`` does."""
        held = self.holds.now()
        if held is None:
            lease = self._take(self.pool_for(text))
            try:
                yield from self._stream(lease.resource, text, params, size)
            finally:
                lease.release()
        else:
            if held.transactions:
                held.transactions[-1].check()
            held.streaming = True
            try:
                yield from self._stream(held.session, text, params, size)
            finally:
                held.streaming = False

    def _stream(self, session: Session, text: str, params: Any, size: int) -> Iterator[Any]:
        try:
            description, found = session.stream(text, params, size)
            yield description
            yield from found
        except Exception as error:
            session.close()
            self._fail(error, session)
        except BaseException:  # also the end of a loop that was left early: rows are on their way
            session.close()
            raise

    def table(self, name: str, *columns: str) -> Any:
        """peewee's Table (the query builder) of this name, after the prefix of conf, bound to this database."""
        return peewee.Table(self.settings.prefix + name, columns or None).bind(self)  # type: ignore[arg-type]  # which it is, with the class after it

    def prepared(self, sql: str, binds: Binds | None) -> tuple[str, Any]:
        """The statement in the driver's style of placeholders."""
        return prepare(sql, binds, self.param, mysql=self.mysql) if binds else (sql, None)  # type: ignore[attr-defined]

    def execute_sql(self, sql: str, params: Any = None) -> Rows:
        """For peewee: a statement in the driver's own style.  Its rows are in memory, so no connection is held by them."""
        return self.run(sql, params or ())

    def run(self, sql: str, params: Any) -> Rows:
        """Execute one statement in the driver's own style (``params`` None: without any placeholder), where it belongs."""
        held = self.holds.now()
        if held is not None:
            if held.streaming:
                raise StatementError(
                    "rows are being read one by one from the connection that this greenlet holds: nothing else can be executed"
                )
            if not held.marked:
                held.marked = is_of_connection(sql)
            if self.replicas is not None:
                self.replicas.note(sql, held)
            if held.transactions:
                return held.transactions[-1].run(sql, params)  # type: ignore[no-any-return]
            return self._execute(held.session, sql, params)
        if is_of_connection(sql):
            raise StatementError(
                "what this statement does stays with its connection, and this greenlet holds none",
                hint="put it into `with DB.hold():` or `with DB.atomic():`; what each connection begins with stands in init",
            )
        if self.replicas is None:
            return self.once(self.primary, sql, params)
        return self.replicas.run(sql, params)

    def pool_for(self, sql: str) -> Pool[Session]:
        """Where a statement of a greenlet that holds no connection belongs."""
        return self.primary if self.replicas is None else self.replicas.pool_for(sql)

    def once(self, pool: Pool[Session], sql: str, params: Any) -> Rows:
        """Execute it on a connection of its own; when that is lost, once more at the primary, where that can do no harm."""
        try:
            lease = pool.take()
        except Exception as error:
            lease = self._take_elsewhere(pool, error)
        session = lease.resource
        try:
            found = self._execute(session, sql, params)
        except Exception as error:
            if session.is_open:
                lease.release()
                raise
            closed = lease.closed
            lease.discard()
            lost = isinstance(error, peewee.PeeweeException)  # else it is the caller's own: his time is over
            if not lost or closed or session.late or not (session.unsent or self.telling.is_read(sql)):
                if closed:
                    error.add_note(f"the pool closed the connection: {closed}")
                raise
        except BaseException:
            lease.discard()
            raise
        else:
            lease.release()
            return found
        lease = self._take(self.primary)
        try:
            return self._execute(lease.resource, sql, params)
        finally:
            lease.release()

    def _take(self, pool: Pool[Session]) -> Lease[Session]:
        try:
            return pool.take()
        except Exception as error:
            return self._take_elsewhere(pool, error)

    def _take_elsewhere(self, pool: Pool[Session], error: Exception) -> Lease[Session]:
        """From the primary's pool when there is no replica to connect to.  When all connections are at work more work would not help."""
        if pool is self.primary or isinstance(error, PoolTimeout):
            self._fail(error)
        return self._take(self.primary)

    def _execute(self, session: Session, sql: str, params: Any) -> Rows:
        started = perf_counter()
        try:
            found = session.run(sql, params)
        except Exception as error:
            self.telling.failed(sql, params, session, perf_counter() - started, error)
            self._fail(error, session)
        seconds = perf_counter() - started
        telling = self.telling
        if seconds >= telling.slow or telling.hears(StatementExecuted) or self.query_hooks:  # type: ignore[attr-defined]
            telling.executed(sql, params, session, seconds, found)
        return found

    def _fail(self, error: Exception, session: Session | None = None) -> NoReturn:
        """Raise what peewee makes of an error of the driver, with a note that names database and server."""
        found = as_peewee(error)
        found.add_note(f"database {self.name}{f' at {session.node}' if session is not None else ''}")
        if found is error:
            raise found
        raise found from error

    # -- holding a connection ----------------------------------------------------------------------------------------
    def hold(self) -> Hold:
        """``with DB.hold():`` all statements of this greenlet in the block run on one connection of the primary.

        For what belongs to a connection: session variables, temporary tables, GET_LOCK.  Nested, it is the same connection.
        """
        return Hold(self.holds)

    def use_primary(self) -> Any:
        """``with DB.use_primary():`` reads in the block go to the primary, too."""
        from greenimi.pool.database.replicas import UsePrimary

        return UsePrimary(self)

    def lag_of(self, session: Session) -> float | None:
        """How many seconds the server of this session is behind the primary; None when it does not know."""
        raise NotImplementedError

    def message(self, scope: Scope) -> Message:
        """What is known of a message; at its end it is seen to that it leaves nothing open."""
        beans = scope.beans
        if beans is None:
            beans = scope.beans = {}
        found: Message | None = beans.get(self)
        if found is None:
            found = beans[self] = Message()
            scope.defer(self.end_message, scope)
        return found

    def end_message(self, scope: Scope) -> None:
        """Whatever this greenlet holds yet since that message is rolled back, given back and told in the log."""
        held = self.holds.now()
        if held is not None and held.scope is scope:
            log.error("database %s: a message left open what %s had begun; it is rolled back", self.name, held.lease.taken)
            self.holds.end(held)

    # -- what peewee's own methods ask for -----------------------------------------------------------------------------
    @property
    def _state(self) -> Any:
        return self.holds.now() or NOTHING

    @_state.setter
    def _state(self, value: object) -> None:
        """peewee's own, which its constructor makes, is of no use: what is open goes by greenlets."""

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Hold a connection until :meth:`close`, at the latest to the end of the message.  :meth:`hold` cannot be forgotten."""
        if self.holds.now() is not None:
            if reuse_if_open:
                return False
            raise peewee.OperationalError("Connection already opened.")
        self._hold()
        return True

    def close(self) -> bool:
        """End what :meth:`connect` began.  False when nothing was open."""
        held = self.holds.now()
        if held is None:
            return False
        if held.transactions:
            raise peewee.OperationalError("Attempting to close database while transaction is open.")
        self.holds.end(held)
        return True

    def dispose(self) -> None:
        """Give back what this greenlet holds, whatever is open in it."""
        held = self.holds.now()
        if held is not None:
            self.holds.end(held)

    def is_closed(self) -> bool:
        """This greenlet holds no connection."""
        return self.holds.now() is None

    def is_connection_usable(self) -> bool:
        """This greenlet holds a connection, and it is not known to be lost."""
        held = self.holds.now()
        return held is not None and held.session.is_open

    def connection(self) -> Any:
        """The driver's connection; it is held as after :meth:`connect`."""
        return (self.holds.now() or self._hold()).session.raw

    def cursor(self, *args: Any, **options: Any) -> Any:
        """A cursor of the driver on a connection that is held as after :meth:`connect`."""
        return self.connection().cursor(*args, **options)

    def _hold(self) -> Held:
        try:
            return self.holds.enter()
        except Exception as error:
            self._fail(error)


def as_peewee(error: Exception) -> Exception:
    """The error of peewee for one of a driver, by the names that all drivers share; other errors stay as they are."""
    for kind in type(error).__mro__[:2]:
        found = _ERRORS.get(kind.__name__)
        if found is not None:
            return error if isinstance(error, found) else found(error, *error.args)
    if isinstance(error, ConnectTimeout) or (isinstance(error, OSError) and not isinstance(error, TimeoutError)):
        return peewee.OperationalError(error, *error.args)  # a TimeoutError may be the caller's own
    return error
