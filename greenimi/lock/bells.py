"""How processes of one machine wake each other: each has a named pipe in a folder, and whoever has news writes a number into it."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

from greenimi.green import Event, io_watcher, native_close

log = logging.getLogger("greenimi.lock")

_SUFFIX = ".bell"
_READ = 65536
_SIZE = 4  # bytes of a number, which a pipe takes whole or not at all

_close = native_close()


class Bells:
    """The pipe of this process, opened when somebody first waits for a ring, and those of the others in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: dict[bytes, list[Event]] = {}
        self._fd = -1
        self._watcher: Any = None
        self.name = ""
        """By which others ring here; "" while nobody listens."""

    @contextmanager
    def listening(self, what: str) -> Iterator[Event]:
        """An event that is set whenever somebody rings for ``what``, and now and then for nothing."""
        if self._watcher is None:
            self._open()
        number, event = _number(what), Event()
        self._waiting.setdefault(number, []).append(event)
        try:
            yield event
        finally:
            self._waiting[number].remove(event)
            if not self._waiting[number]:
                del self._waiting[number]

    def ring(self, name: str, what: str) -> None:
        """Tell the process whose bell this is.  Waits for nobody: one that is gone is forgotten, one that stands still looks later."""
        path = self._folder / name
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # nobody has it open, or it is not there
            path.unlink(missing_ok=True)
            return
        try:
            os.write(fd, _number(what))
        except OSError:  # full, or just closed
            pass
        finally:
            _close(fd)

    def _open(self) -> None:
        """Under another name first: a bell that nobody listens to would be removed."""
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        path = self._folder / f"{name}.new"
        os.mkfifo(path, 0o600)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)  # for writing too, so that it is never at an end
        self.name = name + _SUFFIX
        path.rename(self._folder / self.name)
        self._watcher = io_watcher(self._fd, 1)
        self._watcher.start(self._readable)
        for other in self._folder.glob(f"*{_SUFFIX}"):
            self._forget_if_gone(other)

    def _forget_if_gone(self, path: Path) -> None:
        try:
            _close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW))
        except OSError:
            path.unlink(missing_ok=True)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return
        for number in {data[at : at + _SIZE] for at in range(0, len(data), _SIZE)}:
            for event in self._waiting.get(number, ()):
                event.set()

    def close(self) -> None:
        if self._watcher is None:
            return
        self._watcher.stop()
        self._watcher.close()
        _close(self._fd)
        (self._folder / self.name).unlink(missing_ok=True)
        self._watcher, self.name = None, ""


def _number(what: str) -> bytes:
    """Few names share one, and who is woken for another name looks, and goes on waiting."""
    return crc32(what.encode()).to_bytes(_SIZE, "big")
