"""An SQLite file that the processes of a machine share, used so that none of them ever waits long for another."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from greenimi.errors import GreenimiError, Overloaded, StartError
from greenimi.green import Semaphore, sleep

log = logging.getLogger("greenimi")

T = TypeVar("T")
Row = tuple[Any, ...]
Execute = Callable[[str, Sequence[object]], sqlite3.Cursor]

_MARK = 0x677265E5
"""The application_id in the header of our files, by which others are told apart."""

_OLDEST = (3, 35, 0)  # knows RETURNING
_PAGE = 4096
_PAUSES = (0.0,) * 8 + (0.001, 0.002, 0.004, 0.008)
"""Seconds between tries while another process writes.  Its steps are short; the last pause is repeated when it stands still in one."""

_SETTINGS = (
    "synchronous = OFF",
    "secure_delete = OFF",
    "temp_store = MEMORY",
    "wal_autocheckpoint = 100",  # pages: whoever writes the last of them moves them all, in well under a millisecond
    f"journal_size_limit = {16 << 20}",
)

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REMOVE = "stop the application and remove the file"
_QUIET = 60.0  # seconds between two lines of the log that say the same


def private_folder(path: Path, key: str) -> Path:
    """Make it unless it is there.  StartError, naming the ``key`` of conf, when that cannot be, or others could enter it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise StartError(f"the folder {path} cannot be made: {error.strerror}", hint=f"say where it can be: {key}") from None
    if not stat.S_ISDIR(found.st_mode) or (found.st_uid != os.geteuid() and os.geteuid()):
        raise StartError(f"{path} is not a folder of this user", hint=f"remove it, or say where else: {key}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise StartError(f"the folder {path} can be entered by others", hint=f"chmod 700 {path}, or say where else: {key}")
    return path


class SharedFile:
    """One connection to the file, for the greenlets of one thread.  It is opened by, and belongs to, the process that makes this object.

    SQLite itself never waits here.  Who finds the file locked by another process sleeps a little and tries again, up to ``wait`` seconds,
    then gets Overloaded; of several greenlets one tries, the others stand in line behind it.  Greenlets of one process never meet in the
    middle of a step, because there is no switch in it.

    A step is done or not done, however its process ends (a write-ahead log).  Nothing is forced to the disk, so a machine that loses power
    may leave a damaged file.
    """

    def __init__(self, path: Path, schema: Sequence[str], *, label: str, wait: float, size: int) -> None:
        """Open the file, make it when there is none.  StartError names a file that cannot be used.

        ``label``: what errors call it, "the hub's store"; ``size``: bytes that it may have.
        """
        if sqlite3.sqlite_version_info < _OLDEST:
            raise StartError(f"SQLite {sqlite3.sqlite_version} is too old for {label}: it needs 3.35")
        self.path = path
        self.label = label
        self.step = Step(self)
        self._schema = schema
        self._size = size
        self._wait = wait
        self._line = Semaphore()
        self._process = os.getpid()
        self._complained = -_QUIET
        self._create()
        self._connection = sqlite3.connect(path, timeout=0, isolation_level=None, cached_statements=128)
        self.execute: Execute = self._connection.execute
        try:
            self._prepare(schema, size)
        except StartError:
            self.close()
            raise
        except Overloaded as error:
            self.close()
            raise StartError(f"{label} {path} is held by another process: {error.text}") from error
        except (sqlite3.Error, GreenimiError) as error:
            self.close()
            raise StartError(f"{label} {path} cannot be opened: {error.__cause__ or error}", hint=_REMOVE) from error
        self._identity = _identity(path)

    def mend(self) -> None:
        """When somebody has removed the file, go on with the one that is in its place now, or a new one: there others will look.

        Raises StartError when that cannot be.
        """
        if _identity(self.path) == self._identity:
            return
        other = SharedFile(self.path, self._schema, label=self.label, wait=self._wait, size=self._size)  # whole before anybody uses it
        log.error("%s %s was removed: what was in it is lost", self.label, self.path)
        old, self._connection = self._connection, other._connection
        self.execute, self._identity = other.execute, other._identity
        old.close()

    def _create(self) -> None:
        """For nobody else to read.  SQLite gives the files that it puts beside it the same mode."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:  # must not be opened but by SQLite: closing it would end the locks that this process has
            facts = self.path.lstat()
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
                raise StartError(f"{self.label} {self.path} is not a file of this user alone", hint=_REMOVE) from None
        except OSError as error:
            raise StartError(f"{self.label} {self.path} cannot be made: {error.strerror}") from error

    def _prepare(self, schema: Sequence[str], size: int) -> None:
        mark, tables = self.rows("SELECT * FROM pragma_application_id, (SELECT count(*) FROM sqlite_master)")[0]
        if (mark, bool(tables)) not in ((_MARK, True), (0, False)):
            raise StartError(f"{self.path} is not {self.label}", hint="choose another folder, or remove the file")
        mode = self.rows("PRAGMA journal_mode = WAL")[0][0]
        if mode != "wal":
            raise StartError(f"{self.label} {self.path} is on a file system that processes cannot share memory by")
        for setting in (*_SETTINGS, f"max_page_count = {max(1, size // _PAGE)}"):
            self.rows(f"PRAGMA {setting}")
        if tables:
            return
        with self.step as execute:
            if not execute("SELECT 1 FROM sqlite_master", ()).fetchall():  # nobody else was faster
                for statement in schema:
                    execute(statement, ())
                execute(f"PRAGMA application_id = {_MARK}", ())

    def rows(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """What one statement gives, which is a step by itself."""
        return self._patiently(lambda: self.execute(sql, values).fetchall())

    def begin(self) -> None:
        """For ``Step``: keep other writers out."""
        self._patiently(lambda: self.execute("BEGIN IMMEDIATE", ()))

    def _patiently(self, attempt: Callable[[], T]) -> T:
        if os.getpid() != self._process:
            raise RuntimeError("a store that was opened before a fork belongs to the parent: open another one")
        try:
            return attempt()
        except sqlite3.Error as error:
            if not is_busy(error):
                self.refuse(error)
        return self._stand_in_line(attempt)

    def _stand_in_line(self, attempt: Callable[[], T]) -> T:
        until = time.monotonic() + self._wait
        if not self._line.acquire(timeout=self._wait):
            raise Overloaded(f"{self.label} is busy")
        try:
            tries = 0
            while True:
                try:
                    return attempt()
                except sqlite3.Error as error:
                    if not is_busy(error):
                        self.refuse(error)
                left = until - time.monotonic()
                if left <= 0:
                    raise Overloaded(f"{self.label} is busy")
                sleep(min(_PAUSES[min(tries, len(_PAUSES) - 1)], left))
                tries += 1
        finally:
            self._line.release()

    def refuse(self, error: sqlite3.Error) -> NoReturn:
        """Raise what the error means to callers, whose clients may see the text of Overloaded; the log names the file."""
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if kind in _NO_ROOM:
            now = time.monotonic()
            if now - self._complained >= _QUIET:
                self._complained = now
                log.error("no room for %s %s: %s", self.label, self.path, error)
            raise Overloaded(f"there is no room in {self.label}") from error
        if kind in _DAMAGED:
            raise GreenimiError(f"{self.label} {self.path} is damaged", hint=_REMOVE) from error
        raise error

    def close(self) -> None:
        self._connection.close()


class Step:
    """``with file.step as execute:`` makes several statements one step: all of them are done, or none.  Nothing in it may switch."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file

    def __enter__(self) -> Execute:
        self._file.begin()
        return self._file.execute

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        execute = self._file.execute
        if error is None:
            try:
                execute("COMMIT", ())
                return
            except sqlite3.Error as failed:
                error = failed
        try:
            execute("ROLLBACK", ())
        except sqlite3.Error:  # SQLite did so by itself, as it does without room
            pass
        if isinstance(error, sqlite3.Error):
            self._file.refuse(error)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process was in the way, and nothing was done."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one in its place.  None: there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
