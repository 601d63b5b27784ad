"""Where lines end up.  A sink keeps no state between writes, so any thread and any process may write to the same place."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from greenimi import green

_PATIENCE = 5.0  # seconds for a reader of stderr who lets a non-blocking pipe fill up


class Sink(Protocol):
    def write(self, data: bytes) -> None:
        """Write whole lines; blocks until the system took them.  Raises OSError."""


class StderrSink:
    """File descriptor 2, whatever ``sys.stderr`` is at the moment."""

    def write(self, data: bytes) -> None:
        _write_all(2, data)


class FileSink:
    """A file, put aside as ``path.1`` (then ``.2`` ...) once it would grow over ``max_bytes`` (0: never); ``keep`` old ones are kept.

    The path is opened for each write: lines of several processes go into one file whole, and a file that somebody else moved away is
    begun anew.
    """

    def __init__(self, path: str, max_bytes: int = 0, keep: int = 5) -> None:
        self.path = Path(path).absolute()
        self._max_bytes = max_bytes
        self._keep = keep

    def write(self, data: bytes) -> None:
        file = self._open()
        try:
            size = os.fstat(file).st_size
            if self._max_bytes and size and size + len(data) > self._max_bytes:
                self._rotate(file)
                os.close(file)
                file = self._open()
            _write_all(file, data)
        finally:
            os.close(file)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self.path, flags, 0o640)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o640)

    def _rotate(self, file: int) -> None:
        """Move the files on, unless another process did so first: the lock is on the file that both have open."""
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.fstat(file).st_ino != self.path.stat().st_ino:
                return
            for number in range(self._keep, 0, -1):
                older = self._numbered(number - 1)
                if older.exists():
                    older.replace(self._numbered(number))
            if self._keep == 0:
                self.path.unlink()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path


def _write_all(file: int, data: bytes) -> None:
    waited = 0.0
    while data:
        try:
            data = data[os.write(file, data) :]
        except BlockingIOError:
            if waited >= _PATIENCE:
                raise
            green.native_event().wait(0.01)
            waited += 0.01
