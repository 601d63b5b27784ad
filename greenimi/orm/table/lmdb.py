"""Shared rows in a file that is mapped into memory, by LMDB (the extra ``lmdb``)."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zope.interface import implementer

from greenimi.errors import GreenimiError, MissingExtra, Overloaded
from greenimi.green import native_close, sleep
from greenimi.interfaces import IRowTable
from greenimi.orm.table.files import Mending, path_of
from greenimi.shared_file import private_folder

try:
    import lmdb
except ImportError as error:
    raise MissingExtra("the driver lmdb of tables needs lmdb", hint="pip install greenimi[lmdb]") from error

_READERS = 1024
"""Processes that may have the file open."""

_SPARE = 4
"""Times the bytes of rows that the file may have: rows do not fill its pages, and whoever deletes rows needs some more at first."""

_LEAST = 1 << 20  # bytes of a file without rows

_BYTES = ""  # counts the bytes of all rows, as others count the rows of tables

_PAUSE = 0.001  # seconds between looks while another process writes; its steps are short

log = logging.getLogger("greenimi")

_close = native_close()


@implementer(IRowTable)
class LmdbRows:
    """A step takes microseconds.  Make it in the process that uses it, after a fork, and once in a process.

    LMDB makes who writes wait for the others without letting greenlets go on; so a lock of ours is before it, which is tried again and
    again.  The system lets go of it when a process is killed, and LMDB forgets what that one had not done.
    """

    def __init__(self, folder: Path, *, patience: float = 1.0, size: int = 64 << 20) -> None:
        private_folder(folder, "[table] folder")
        self._path = path_of(folder, "rows-1", "lmdb")
        self._patience = patience
        self._size = size
        self._mending = Mending(self.mend)
        self._open()

    def _open(self) -> None:
        self._turn = os.open(f"{self._path}.turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        options: dict[str, Any] = {"map_size": _SPARE * self._size + _LEAST, "max_readers": _READERS, "mode": 0o600}
        try:
            with self._my_turn():
                self._file = lmdb.open(str(self._path), subdir=False, sync=False, metasync=False, **options)
                self._file.reader_check()
                self._identity = _identity(self._path)
        except lmdb.Error as error:
            _close(self._turn)
            hint = "stop the application and remove it"
            raise GreenimiError(f"the file of tables {self._path} cannot be opened: {error}", hint=hint) from error

    def mend(self) -> None:
        """When somebody has removed the file, go on with the one that is in its place now, or a new one."""
        if _identity(self._path) == self._identity:
            return
        log.error("the file of tables %s was removed: what was in it is lost", self._path)
        self.close()
        self._open()

    def get(self, table: str, key: str) -> bytes | None:
        self._mending.now_and_then()
        with self._file.begin() as step:
            found: bytes | None = step.get(_name(table, key))
        return found

    def change(self, table: str, key: str, change: Callable[[bytes | None], bytes | None], limit: int) -> bytes | None:
        self._mending.now_and_then()
        name = _name(table, key)
        with self._writing() as step:
            old: bytes | None = step.get(name)
            new = change(old)
            if new != old:
                self._put(step, name, old, new)
                if old is None and _add(step, table, 1) > limit:
                    raise Overloaded(f"the table {table} has {limit} rows already")
                if new is None:
                    _add(step, table, -1)
        return new

    def _put(self, step: Any, name: bytes, old: bytes | None, new: bytes | None) -> None:
        if new is None:
            step.delete(name)
        else:
            step.put(name, new)
        more = _size(name, new) - _size(name, old)
        if more and _add(step, _BYTES, more) > self._size and more > 0:
            raise Overloaded("there is no room in the file of tables")

    def count(self, table: str) -> int:
        with self._file.begin() as step:
            return _count(step, table)

    def page(self, table: str, after: str, size: int) -> Sequence[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        first, start = _name(table, after), _name(table, "")
        with self._file.begin() as step, step.cursor() as cursor:
            there = cursor.set_range(first)
            if there and after and cursor.key() == first:
                there = cursor.next()
            while there and len(found) < size and cursor.key().startswith(start):
                found.append((cursor.key()[len(start) :].decode(), cursor.value()))
                there = cursor.next()
        return found

    def clear(self, table: str) -> int:
        start = _name(table, "")
        with self._writing() as step, step.cursor() as cursor:
            count = _count(step, table)
            size = 0
            there = cursor.set_range(start)
            while there and cursor.key().startswith(start):
                size += _size(cursor.key(), cursor.value())
                there = cursor.delete() and bool(cursor.key())
            step.delete(_counter(table))
            _add(step, _BYTES, -size)
        return count

    def close(self) -> None:
        self._file.close()
        _close(self._turn)

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        with self._my_turn():
            try:
                with self._file.begin(write=True) as step:
                    yield step
            except lmdb.MapFullError as error:
                raise Overloaded("there is no room in the file of tables") from error

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """While no other process writes.  In this one nobody does, as no step lets another greenlet go on."""
        until = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Overloaded("the file of tables is busy") from None
            sleep(_PAUSE)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)


def _name(table: str, key: str) -> bytes:
    return f"{table}\0{key}".encode()


def _counter(table: str) -> bytes:
    return f"\0{table}".encode()


def _count(step: Any, table: str) -> int:
    return int(step.get(_counter(table), b"0"))


def _size(name: bytes, row: bytes | None) -> int:
    return 0 if row is None else len(name) + len(row)


def _add(step: Any, table: str, number: int) -> int:
    """Count what comes or goes; how much there is then."""
    count = _count(step, table) + number
    step.put(_counter(table), str(count).encode())
    return count


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one in its place.  None: there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
