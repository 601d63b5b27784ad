"""The run folder: where the processes of one service meet on one machine.

Only its user may enter it.  Each process has a number there, which no other gets for a long time, with two files: ``NUMBER.sock``, where
the others reach it, and ``NUMBER.lock``, which it holds locked for as long as it lives: the system lets go of a lock when a process is
killed, and keeps it while one is stopped.  The file ``numbers`` says which number was the last; who changes anything holds it locked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from greenimi.errors import StartError
from greenimi.green import native_close, native_socket, sleep
from greenimi.hub.ids import PROCESSES, process_number
from greenimi.hub.settings import HubSettings
from greenimi.shared_file import private_folder

VARIABLE = "GREENIMI_HUB"
"""Environment variable by which a master tells its workers, and the master of an upgrade, which folder is theirs."""

_NUMBERS = "numbers"
_LONGEST_NAME = len("4294967295.sock")
_LONGEST_PATH = 107  # bytes that the system takes for the path of a socket
_PATIENCE = 5.0  # seconds for others to finish what they change; it takes them less than a millisecond
_BACKLOG = 512
_MOST_CLEARED = 64  # dead processes whose files are removed in one go: it takes others' time
_PER_SECOND = 16  # numbers that a clock gives a folder without any: it comes round in 18 hours

_close = native_close()


def folder_of(settings: HubSettings) -> Path | None:
    """The folder of ``[hub] folder``, else the master's; None when there is neither."""
    name = settings.folder or os.environ.get(VARIABLE, "")
    return Path(name).absolute() if name else None


def open_folder(path: Path) -> Path:
    """Make it unless it is there.  StartError when that cannot be, or others could enter it."""
    return private_folder(path, "[hub] folder")


class Place:
    """What a process has in a folder for as long as it is there."""

    def __init__(self, process: int, lock: int, listening: Any) -> None:
        self.process = process
        self.lock = lock
        self.listening = listening

    def close(self) -> None:
        self.listening.close()
        _close(self.lock)


class RunFolder:
    """One folder, as a process sees it that is, or wants to be, in it."""

    def __init__(self, path: Path) -> None:
        """StartError when sockets there would have paths that are too long."""
        self.path = path
        length = len(os.fsencode(path)) + 1 + _LONGEST_NAME
        if length > _LONGEST_PATH:
            raise StartError(
                f"paths of sockets in {path} have up to {length} bytes, the system takes {_LONGEST_PATH}",
                hint="say where a shorter one may be: [hub] folder",
            )

    def socket_path(self, process: int) -> str:
        return str(self.path / f"{process}.sock")

    def _lock_path(self, process: int) -> Path:
        return self.path / f"{process}.lock"

    # -- coming and going --------------------------------------------------------------------------------------------
    def enter(self, node: int) -> tuple[Place, Sequence[int]]:
        """Take a number and listen: the place, and who was there before.  Whoever is not among these comes later, and finds this one.

        Waits a little for others who enter.  Raises StartError.
        """
        try:
            with self._changing(_PATIENCE) as numbers:
                others = self._clear(())
                return self._settle(self._next_number(numbers, node)), others
        except BlockingIOError:
            raise StartError(
                f"another process holds {self.path / _NUMBERS} for {_PATIENCE:.0f} seconds", hint="is it stopped? see `fuser` on that file"
            ) from None
        except OSError as error:
            raise _impossible(self.path, error) from None

    def enter_again(self, place: Place) -> Place:
        """The place with its files made anew where they are gone.  Does not wait; raises StartError or OSError."""
        with self._changing() as _:
            self._lock_path(place.process).unlink(missing_ok=True)
            Path(self.socket_path(place.process)).unlink(missing_ok=True)
            return self._settle(place.process)

    def has(self, place: Place) -> bool:
        """Whether its files are there, and not other ones of their names."""
        return _is_at(place.lock, self._lock_path(place.process)) and Path(self.socket_path(place.process)).exists()

    def leave(self, place: Place) -> None:
        for path in (Path(self.socket_path(place.process)), self._lock_path(place.process)):
            try:
                path.unlink(missing_ok=True)
            except OSError:  # the folder is not what it was
                pass
        place.close()

    def _settle(self, process: int) -> Place:
        lock = _open(self._lock_path(process))
        try:
            if not _lock(lock):
                raise BlockingIOError(errno.EAGAIN, "somebody looks at the lock of this process")
            listening = native_socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                listening.bind(self.socket_path(process))
                listening.listen(_BACKLOG)
            except OSError:
                listening.close()
                raise
        except OSError:
            _close(lock)
            raise
        return Place(process, lock, listening)

    # -- who is there ------------------------------------------------------------------------------------------------
    def processes(self) -> set[int]:
        """Those that have files here, whether or not they live.  Raises OSError."""
        names = (path.name.partition(".") for path in self.path.iterdir())
        return {int(number) for number, _, kind in names if kind in ("sock", "lock") and number.isdecimal() and number.isascii()}

    def is_alive(self, process: int) -> bool:
        """Whether it holds its lock, stopped or not."""
        return is_held(self._lock_path(process))

    def clear(self, known: Container[int]) -> Sequence[int]:
        """Remove what the dead left behind, some at a time: who else lives, of those that are not ``known``.

        Does not wait: raises BlockingIOError while somebody else changes the folder, and other OSErrors.
        """
        with self._changing() as _:
            return self._clear(known)

    def _clear(self, known: Container[int]) -> Sequence[int]:
        others = sorted(process for process in self.processes() if process not in known)
        living = [process for process in others if self.is_alive(process)]
        for process in list(set(others).difference(living))[:_MOST_CLEARED]:
            Path(self.socket_path(process)).unlink(missing_ok=True)  # if only its lock was gone, it makes both anew
            self._lock_path(process).unlink(missing_ok=True)
        return living

    # -- the file of numbers -----------------------------------------------------------------------------------------
    @contextmanager
    def _changing(self, patience: float = 0.0) -> Iterator[int]:
        """While nobody else changes the folder.  BlockingIOError when somebody does all the time."""
        path = open_folder(self.path) / _NUMBERS
        until = time.monotonic() + patience
        while True:
            numbers = _open(path)
            try:
                if _lock(numbers) and _is_at(numbers, path):
                    yield numbers
                    return
            finally:
                _close(numbers)
            if time.monotonic() >= until:
                raise BlockingIOError(errno.EAGAIN, "somebody else changes the folder")
            sleep(0.002)

    def _next_number(self, numbers: int, node: int) -> int:
        text = os.pread(numbers, 32, 0).partition(b"\n")[0]
        last = int(text) if text.isdigit() else int(time.time() * _PER_SECOND)
        taken = self.processes()
        while (process := process_number(node, (last := (last + 1) % PROCESSES))) in taken:
            pass
        os.pwrite(numbers, b"%07d\n" % last, 0)
        return process


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock of this file; True when that cannot be known."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        return not _lock(lock, fcntl.LOCK_SH)
    finally:
        _close(lock)


def _lock(fd: int, how: int = fcntl.LOCK_EX) -> bool:
    """Lock the open file unless somebody else has."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _is_at(fd: int, path: Path) -> bool:
    """Whether the open file is still the one at the path."""
    try:
        found = path.stat()
    except OSError:
        return False
    mine = os.fstat(fd)
    return (found.st_ino, found.st_dev) == (mine.st_ino, mine.st_dev)


def _impossible(path: Path, error: OSError) -> StartError:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        hint = "raise the limit of open files"
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "make room there, or say where else: [hub] folder"
    else:
        hint = "say where else: [hub] folder"
    return StartError(f"this process cannot meet others in {path}: {error.strerror or error}", hint=hint)
