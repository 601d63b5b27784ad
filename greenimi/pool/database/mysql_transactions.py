"""What is particular about transactions of MySQL and MariaDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymysql.constants import ER

from greenimi.pool.database.transactions import Transactions
from greenimi.pool.wishes import Options

if TYPE_CHECKING:
    from greenimi.pool.database.session import Session

_TRANSIENT = frozenset({ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, 1020, 3101, 3572})
"""Errors of locks; also: the row changed since it was read, a cluster refused the commit, a lock was not free with NOWAIT."""

_ASK_AFTER = _TRANSIENT | {ER.LOCK_TABLE_FULL, ER.ERROR_DURING_COMMIT, ER.DISK_FULL, ER.RECORD_FILE_FULL, ER.OUT_OF_RESOURCES}
"""Errors with which the server may have rolled everything back.  It does not say so: errors come without its status."""


def code_of(error: BaseException) -> Any:
    """The server's number for it."""
    return error.args[0] if error.args else 0


class MySQLTransactions(Transactions):
    """A mixin of databases of MySQL."""

    undo_savepoint = ("ROLLBACK TO SAVEPOINT {}",)  # a savepoint of the same name takes its place

    def begin_on(self, session: Session, options: Options) -> None:
        begin = "START TRANSACTION READ ONLY" if options.read_only else "BEGIN"
        if not options.isolation:
            self._execute(session, begin, None)
            return
        try:
            self._execute(session, f"SET TRANSACTION ISOLATION LEVEL {options.isolation}", None)
            self._execute(session, begin, None)
        except BaseException:
            session.close()  # else the next transaction on it would have this isolation
            raise

    def ended_by(self, error: Exception, session: Session) -> bool:
        if code_of(error) in _ASK_AFTER:
            try:
                session.run("DO 0")
            except Exception:
                session.close()
                return True
        return not session.in_transaction

    def is_transient(self, error: BaseException) -> bool:
        return code_of(error) in _TRANSIENT
