"""Channels between the workers of a machine: in an SQLite file, with a named pipe a process to wake who waits."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from greenimi.lock.bells import Bells
from greenimi.orm.table.files import Mending, path_of
from greenimi.shared_file import Execute, SharedFile, private_folder

_SCHEMA = (
    # Numbers of a channel follow each other without gaps, as they come at one end and go at the other.
    "CREATE TABLE items (channel TEXT NOT NULL, number INTEGER NOT NULL, item BLOB NOT NULL, PRIMARY KEY (channel, number)) WITHOUT ROWID",
    # In the order of id.  rung: it was told to look.  until: when it will have looked again, if it is still there.
    """CREATE TABLE waiting (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, pushes INTEGER NOT NULL, bell TEXT NOT NULL, name TEXT NOT NULL UNIQUE,
        rung INTEGER NOT NULL, until REAL NOT NULL
    )""",
    "CREATE INDEX waiting_there ON waiting (channel, pushes, rung, id)",
)

_BOUNDS = "SELECT (SELECT min(number) FROM items WHERE channel = ?1), (SELECT max(number) FROM items WHERE channel = ?1)"
_PUSH = "INSERT INTO items VALUES (?, ?, ?)"
_POP = "DELETE FROM items WHERE channel = ? AND number = ? RETURNING item"
_WAIT = (
    "INSERT INTO waiting (channel, pushes, bell, name, rung, until) VALUES (?, ?, ?, ?, 0, ?)"
    " ON CONFLICT (name) DO UPDATE SET rung = 0, until = excluded.until"
)
_NEXT = (
    "UPDATE waiting SET rung = 1 WHERE id = (SELECT id FROM waiting WHERE channel = ? AND pushes = ? AND rung = 0 AND until > ?"
    " ORDER BY id LIMIT 1) RETURNING bell, name"
)
_LEAVE = "DELETE FROM waiting WHERE name = ? RETURNING rung"
_OVER = "DELETE FROM waiting WHERE id IN (SELECT id FROM waiting WHERE until <= ? LIMIT 1000)"

Attempt = Callable[[Execute], bytes | None]
"""What is tried in a step: None when it cannot be yet."""

_LOOK = 2.0
"""Seconds after which who waits looks again although nobody told it to: whoever was told may have been killed before it looked."""

_LATE = 1.0
"""Seconds that a process may be late before it is taken not to wait any more."""


class ChannelFile:
    """The channels of a folder.  Make it in the process that uses it, after a fork.  Times are those of the system's monotonic clock.

    What is pushed is popped once, by whoever comes first; each step is done or not done, however a process ends.
    """

    def __init__(self, folder: Path, *, patience: float = 1.0, size: int = 64 << 20) -> None:
        private_folder(folder, "[table] folder")
        path = path_of(folder, "channels-1", "sqlite3")
        self._file = SharedFile(path, _SCHEMA, label="the file of channels", wait=patience, size=size)
        self._bells = Bells(folder)
        self._mending = Mending(self._mend)
        self._process = secrets.token_hex(8)
        self._numbers = itertools.count()

    def push(self, channel: str, item: bytes, limit: int, wait: float) -> bool:
        """Put it behind the others, as soon as they are fewer than ``limit``.  False when they were not within ``wait`` seconds."""

        def put(execute: Execute) -> bytes | None:
            first, last = execute(_BOUNDS, (channel,)).fetchone()
            if last is not None and last - first + 1 >= limit:
                return None
            execute(_PUSH, (channel, 0 if last is None else last + 1, item))
            return item

        return self._patiently(channel, put, wait, pushes=True) is not None

    def pop(self, channel: str, wait: float) -> bytes | None:
        """Take the first one, as soon as there is one.  None when there was none within ``wait`` seconds."""

        def take(execute: Execute) -> bytes | None:
            first, _ = execute(_BOUNDS, (channel,)).fetchone()
            item: bytes | None = None if first is None else execute(_POP, (channel, first)).fetchall()[0][0]
            return item

        return self._patiently(channel, take, wait, pushes=False)

    def count(self, channel: str) -> int:
        [(first, last)] = self._file.rows(_BOUNDS, (channel,))
        return 0 if last is None else last - first + 1

    def close(self) -> None:
        self._bells.close()
        self._file.close()

    def _patiently(self, channel: str, attempt: Attempt, wait: float, *, pushes: bool) -> bytes | None:
        self._mending.now_and_then()
        found = self._try(channel, attempt, pushes)
        if found is not None or wait <= 0:
            return found
        until = time.monotonic() + wait
        name = f"{self._process}-{next(self._numbers)}"
        with self._bells.listening(name) as rung:
            try:
                while True:
                    rung.clear()
                    now = time.monotonic()
                    look = min(until, now + _LOOK)
                    found = self._try(channel, attempt, pushes, name, look + _LATE)
                    if found is not None or now >= until:
                        return found
                    rung.wait(look - now)
            finally:
                if found is None:
                    self._leave(channel, name, pushes)

    def _try(self, channel: str, attempt: Attempt, pushes: bool, name: str = "", until: float = 0.0) -> bytes | None:
        """What was put or taken; or None, and then, with ``name``, it is known that somebody waits."""
        bell = None
        with self._file.step as execute:
            found = attempt(execute)
            if found is not None:
                if name:
                    execute(_LEAVE, (name,)).fetchall()
                bell = self._next(channel, not pushes)
            elif name:
                execute(_WAIT, (channel, pushes, self._bells.name, name, until))
        self._ring(bell)
        return found

    def _leave(self, channel: str, name: str, pushes: bool) -> None:
        """Wait no more.  Who was told to look, and did not, tells the next one."""
        with self._file.step as execute:
            gone = execute(_LEAVE, (name,)).fetchall()
            bell = self._next(channel, pushes) if gone and gone[0][0] else None
        self._ring(bell)

    def _next(self, channel: str, pushes: bool) -> tuple[str, str] | None:
        """Within a step: whom to tell, of those who wait to push, or to pop."""
        found = self._file.execute(_NEXT, (channel, pushes, time.monotonic())).fetchall()
        return found[0] if found else None

    def _ring(self, bell: tuple[str, str] | None) -> None:
        if bell is not None:
            self._bells.ring(*bell)

    def _mend(self) -> None:
        self._file.mend()
        self._file.rows(_OVER, (time.monotonic(),))
