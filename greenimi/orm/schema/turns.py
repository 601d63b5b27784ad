"""One machine at a time changes the tables of a database."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

import peewee

from greenimi import green
from greenimi.errors import GreenimiError
from greenimi.pool.database.database import Database

_AGAIN = 0.1
"""Seconds until somebody who waits tries it again."""


class Occupied(GreenimiError):
    """Somebody else changes the tables of this database."""


@contextmanager
def turn(database: Database, name: str, wait: float) -> Iterator[None]:
    """In the block nobody else has the turn of that name in this database.  Raises Occupied after ``wait`` seconds.

    The server takes it back when the connection ends, the system when the process does; so nothing is left after a crash.  All statements
    of this greenlet in the block go to the primary, on the one connection that has the turn.
    """
    with database.hold():
        take, give_back = _ways(database, name)
        until = time.monotonic() + wait
        while not take():
            if time.monotonic() >= until:
                raise Occupied(f"another process changes the tables of {database!r}", hint="try again when it has ended")
            green.sleep(_AGAIN)
        try:
            yield
        finally:
            with suppress(Exception):  # it ended with its connection
                give_back()


def _ways(database: Any, name: str) -> tuple[Callable[[], bool], Callable[[], object]]:
    """How it is taken, without waiting, and given back."""
    if issubclass(type(database), peewee.SqliteDatabase):
        return (lambda: True, lambda: None) if database.in_memory else _of_file(f"{database.database}.{name}.lock")
    if database.mysql:  # whose locks are the whole server's
        key: Any = "greenimi:" + sha256(f"{database.database}:{name}".encode()).hexdigest()[:40]
        take, give_back = "SELECT GET_LOCK(?, 0)", "SELECT RELEASE_LOCK(?)"
    else:
        key = int.from_bytes(sha256(name.encode()).digest()[:8], signed=True)
        take, give_back = "SELECT pg_try_advisory_lock(?)", "SELECT pg_advisory_unlock(?)"
    return lambda: bool(database.value(take, [key])), lambda: database.value(give_back, [key])


def _of_file(path: str) -> tuple[Callable[[], bool], Callable[[], object]]:
    """A file beside the database, which stays: SQLite's own locks would keep a migration from changing its mode of transactions."""
    opened: list[int] = []

    def take() -> bool:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        opened.append(file)
        return True

    return take, lambda: os.close(opened.pop())
