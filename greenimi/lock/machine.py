"""Locks that the worker processes of one machine share: in an SQLite file, with a named pipe a process to wake who waits."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from zope.interface import implementer

from greenimi.interfaces import ISharedLockStore
from greenimi.lock.bells import Bells
from greenimi.shared_file import SharedFile, private_folder

_SCHEMA = (
    """CREATE TABLE holders (
        name TEXT NOT NULL, token TEXT NOT NULL, alone INTEGER NOT NULL, until REAL NOT NULL, PRIMARY KEY (name, token)
    ) WITHOUT ROWID""",
    "CREATE INDEX holders_over ON holders (until)",
    # In the order of id.  until: when who waits will have looked again, if it is still there.
    """CREATE TABLE waiting (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, token TEXT NOT NULL, alone INTEGER NOT NULL, bell TEXT NOT NULL, until REAL NOT NULL,
        UNIQUE (name, token)
    )""",
    "CREATE INDEX waiting_over ON waiting (until)",
    "CREATE TABLE fencing (number INTEGER NOT NULL)",
    "INSERT INTO fencing VALUES (0)",
)

_LATE = 1.0
"""Seconds that a process may be late before it is taken not to wait any more."""

_LONGEST = 60.0
"""Seconds after which who waits looks again in any case."""

_COLLECT = 30.0
_MOST_COLLECTED = 1000

Grant = tuple[int, float]


@implementer(ISharedLockStore)
class MachineStore:
    """A step takes tens of microseconds and waits for nobody but processes in the middle of theirs, at most ``patience`` seconds (then
    Overloaded).  Make it in the process that uses it, after a fork.

    Times are those of the system's monotonic clock, which all its processes share; a file of before a restart of the machine is not used.
    """

    def __init__(self, folder: Path, *, patience: float = 1.0, size: int = 64 << 20, now: Callable[[], float] = time.monotonic) -> None:
        private_folder(folder, "[lock.NAME] folder")
        self._file = SharedFile(folder / f"locks-1{_boot()}.sqlite3", _SCHEMA, label="the file of locks", wait=patience, size=size)
        self._bells = Bells(folder)
        self._now = now
        self._collected = now()

    def acquire(self, name: str, token: str, lease: float, wait: float) -> Grant | None:
        return self.share(name, token, lease, wait, 1)

    def share(self, name: str, token: str, lease: float, wait: float, limit: int) -> Grant | None:
        now = self._now()
        found = self._try(name, token, lease, limit, now)
        if isinstance(found, tuple) or wait <= 0:
            return found if isinstance(found, tuple) else None
        until = now + wait
        with self._bells.listening(name) as rung:
            try:
                while True:
                    rung.clear()
                    now = self._now()
                    found = self._try(name, token, lease, limit, now, until)
                    if isinstance(found, tuple):
                        return found
                    if until <= now:
                        return None
                    rung.wait(found - now)
            finally:
                if not isinstance(found, tuple):
                    self._leave(name, token)

    def _try(self, name: str, token: str, lease: float, limit: int, now: float, until: float = 0.0) -> Grant | float:
        """The grant; or the time at which to look again, and then, with ``until``, it is known that somebody waits until that time."""
        if now - self._collected > _COLLECT:
            self._collect(now)
        with self._file.step as execute:
            execute("DELETE FROM holders WHERE name = ? AND until <= ?", (name, now))
            count, alone, end = execute("SELECT count(*), max(alone), min(until) FROM holders WHERE name = ?", (name,)).fetchone()
            if count < limit and not alone:
                first = None
                if limit > 1:  # who wants it alone and came earlier goes first
                    first = execute(
                        "SELECT min(until) FROM waiting WHERE name = ?1 AND alone AND until > ?2"
                        " AND id < ifnull((SELECT id FROM waiting WHERE name = ?1 AND token = ?3), 1 << 62)",
                        (name, now, token),
                    ).fetchone()[0]
                if first is None:
                    execute("INSERT INTO holders VALUES (?, ?, ?, ?)", (name, token, limit == 1, now + lease))
                    if until:
                        execute("DELETE FROM waiting WHERE name = ? AND token = ?", (name, token))
                    sql = "UPDATE fencing SET number = max(number + 1, ?) RETURNING number"
                    number: int = execute(sql, (time.time_ns() // 1000,)).fetchall()[0][0]
                    return number, now
                end = first
            again: float = min(end, until or math.inf, now + _LONGEST)
            if until:
                execute(
                    "INSERT INTO waiting (name, token, alone, bell, until) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (name, token) DO UPDATE SET until = excluded.until",
                    (name, token, limit == 1, self._bells.name, again + _LATE),
                )
            return again

    def _leave(self, name: str, token: str) -> None:
        """Wait no more; others may have waited behind this one."""
        with self._file.step as execute:
            gone = execute("DELETE FROM waiting WHERE name = ? AND token = ? RETURNING alone", (name, token)).fetchall()
            bells = self._to_ring(name) if gone and gone[0][0] else []
        self._ring(name, bells)

    def renew(self, name: str, token: str, lease: float) -> bool:
        now = self._now()
        sql = "UPDATE holders SET until = ? WHERE name = ? AND token = ? AND until > ? RETURNING 1"
        return bool(self._file.rows(sql, (now + lease, name, token, now)))

    def release(self, name: str, token: str) -> bool:
        with self._file.step as execute:
            found = execute("DELETE FROM holders WHERE name = ? AND token = ? RETURNING until", (name, token)).fetchall()
            bells = self._to_ring(name) if found else []
        self._ring(name, bells)
        return bool(found) and found[0][0] > self._now()

    def _to_ring(self, name: str) -> list[str]:
        """Within a step: whom to tell, in the order in which they came."""
        sql = "SELECT bell FROM waiting WHERE name = ? AND until > ? ORDER BY id"
        return [bell for (bell,) in self._file.execute(sql, (name, self._now())).fetchall()]

    def _ring(self, name: str, bells: list[str]) -> None:
        for bell in dict.fromkeys(bells):
            self._bells.ring(bell, name)

    def held(self, name: str) -> bool:
        return bool(self._file.rows("SELECT 1 FROM holders WHERE name = ? AND until > ? LIMIT 1", (name, self._now())))

    def _collect(self, now: float) -> None:
        """Remove what those left behind who were killed, of names that nobody asks for any more."""
        self._collected = now
        self._file.mend()
        for table in ("holders", "waiting"):
            self._file.rows(
                f"DELETE FROM {table} WHERE (name, token) IN (SELECT name, token FROM {table} WHERE until <= ? LIMIT ?)",  # noqa: S608
                (now, _MOST_COLLECTED),
            )

    def close(self) -> None:
        self._bells.close()
        self._file.close()


def _boot() -> str:
    """What tells this run of the machine from others, where it says so."""
    try:
        return "-" + Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
