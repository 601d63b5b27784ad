"""Locks in a MySQL or MariaDB server: those of ``GET_LOCK``, each on a connection of its own, which has it for as long as it lasts."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from greenimi.errors import ConfigError
from greenimi.green import Semaphore, interrupts
from greenimi.interfaces import ILockStore
from greenimi.lock.settings import LockSettings
from greenimi.pool.database.urls import addresses, nodes
from greenimi.pool.pool import Pool
from greenimi.pool.settings import PoolSettings

if TYPE_CHECKING:
    from greenimi.pool.database.database import Database
    from greenimi.pool.database.session import Session
    from greenimi.pool.lease import Lease

_TURN = 10.0
"""Seconds that the server is asked to wait in one go; less than it may be silent."""

_PLAIN = re.compile(r"[a-z0-9:._-]{1,64}")
"""What the server tells apart: it takes no longer names, and ``A`` for ``a``."""

_TAKE = "SELECT IF(GET_LOCK(%s, %s) = 1, CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS UNSIGNED), 0)"
_MINE = "SELECT IS_USED_LOCK(%s) = CONNECTION_ID()"
_GIVE_BACK = "SELECT RELEASE_LOCK(%s)"
_FREE = "SELECT IS_FREE_LOCK(%s)"

Grant = tuple[int, float]


class _Taken:
    """A lock and its connection, which one greenlet at a time uses."""

    __slots__ = ("key", "lease", "seconds", "turn")

    def __init__(self, key: str, lease: Lease[Session], seconds: int) -> None:
        self.key = key
        self.lease = lease
        self.seconds = seconds
        self.turn = Semaphore()


@implementer(ILockStore)
class DatabaseStore:
    """Whoever waits waits in the server, on a connection; at most ``connections`` locks are held and waited for by one process.

    The server ends a connection that says nothing for the time of a lease (whole seconds, rounded up), and with it the lock.  Fencing
    numbers are the server's clock in microseconds: they grow as long as that is not set back.
    """

    def __init__(self, database: Database, settings: LockSettings) -> None:
        if not database.mysql:
            raise ConfigError(f"{database!r} has no locks: MySQL and MariaDB do", hint="take the machine or the redis driver")
        pool = PoolSettings(max=settings.connections, min=0, wait=settings.wait, report_after=0.0)
        path = f"database.{database.name}"
        self._pool: Pool[Session] = Pool(
            f"{settings.prefix}{path}",
            database.make_resources(replace(database.settings, read_timeout=_TURN * 3)),
            nodes(addresses(database.settings, path), pool),
            pool,
        )
        self._pool.start()
        self._prefix = settings.prefix
        self._taken: dict[tuple[str, str], _Taken] = {}

    def acquire(self, name: str, token: str, lease: float, wait: float) -> Grant | None:
        key, seconds = self._key(name), max(1, math.ceil(lease))
        until = time.monotonic() + wait
        resource = self._pool.take(None if wait == math.inf else wait or None)
        try:
            session = resource.resource
            session.run("SET SESSION wait_timeout = %s", (seconds,))
            while True:
                left = min(until - time.monotonic(), _TURN)
                asked = time.monotonic()
                number = int(_value(session, _TAKE, (key, max(0.0, left))) or 0)
                if number:
                    if time.monotonic() - asked > lease / 10:  # it was waited for: since when it is held is not known
                        asked = time.monotonic()
                        session.run("DO 0")
                    self._taken[name, token] = _Taken(key, resource, seconds)
                    return number, asked
                if left < _TURN:
                    break
        except BaseException:
            resource.discard()
            raise
        resource.release()
        return None

    def renew(self, name: str, token: str, lease: float) -> bool:
        taken, seconds = self._taken.get((name, token)), max(1, math.ceil(lease))
        if taken is None:
            return False
        with taken.turn:
            if (name, token) not in self._taken:  # released meanwhile
                return False
            session = taken.lease.resource
            try:
                if taken.seconds != seconds:
                    session.run("SET SESSION wait_timeout = %s", (seconds,))
                    taken.seconds = seconds
                return bool(_value(session, _MINE, (taken.key,)))
            except Exception:
                if session.is_open:
                    raise
                return False  # with its connection the lock has ended

    def release(self, name: str, token: str) -> bool:
        taken = self._taken.get((name, token))
        if taken is None:
            return False
        with taken.turn:
            if self._taken.pop((name, token), None) is None:
                return False
            try:
                found = bool(_value(taken.lease.resource, _GIVE_BACK, (taken.key,)))
            except BaseException as error:  # whatever is wrong: without its connection nobody has the lock
                taken.lease.discard()
                if interrupts(error):
                    raise
                return False
        taken.lease.release()
        return found

    def held(self, name: str) -> bool:
        with self._pool.use() as session:
            return not _value(session, _FREE, (self._key(name),))

    def close(self) -> None:
        for taken in self._taken.values():
            taken.lease.discard()
        self._taken.clear()
        self._pool.stop()

    def _key(self, name: str) -> str:
        key = self._prefix + name
        return key if _PLAIN.fullmatch(key) else f"lock-{sha256(key.encode()).hexdigest()[:48]}"


def _value(session: Session, sql: str, binds: Sequence[Any]) -> Any:
    return session.run(sql, binds).fetchall()[0][0]
