"""The store that the worker processes of one machine share: a file in the folder by which they meet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from zope.interface import implementer

from greenimi.green import sleep
from greenimi.hub.machine_schema import SCHEMA
from greenimi.interfaces import IHubStore
from greenimi.shared_file import Execute, SharedFile

_NAME = "store-1.sqlite3"
"""With the number of its schema, so that versions of greenimi that differ in it never share a file."""

_UNHEARD = 60.0
"""Seconds for which a process is taken to be there that never said so, but claims or enters."""

_STEP = 100
"""Connections that are taken out in one step: others have their turn in between."""

_COLLECTED = (
    (
        "SELECT 1 FROM records WHERE until <= ? LIMIT 1",
        "DELETE FROM records WHERE id IN (SELECT id FROM records WHERE until <= ? LIMIT ?) RETURNING 1",
    ),
    (
        "SELECT 1 FROM claims WHERE until <= ? LIMIT 1",
        "DELETE FROM claims WHERE user IN (SELECT user FROM claims WHERE until <= ? LIMIT ?) RETURNING 1",
    ),
    (
        "SELECT 1 FROM messages WHERE until <= ? LIMIT 1",
        "DELETE FROM messages WHERE (history, number) IN (SELECT history, number FROM messages WHERE until <= ? LIMIT ?) RETURNING 1",
    ),
)
"""For each table that has something to collect: whether there is something, as it seldom is; and what removes it."""

Left = list[tuple[str, str, bytes]]


@implementer(IHubStore)
class MachineStore:
    """In an SQLite file, which is there as long as the folder is.  Make it in the process that uses it, after a fork.

    A call takes tens of microseconds and waits for nobody but processes in the middle of their own: cooperatively, and at most ``wait``
    seconds, then it raises Overloaded.  What a call did is whole, and stays, also when its process is killed.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        wait: float = 1.0,
        kept: int = 100_000,
        histories: int = 10_000,
        size: int = 1 << 30,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``kept``: records, and claims and places of connections that are gone, of each kind at most; ``size``: bytes of the file."""
        self._kept = kept
        self._histories = histories
        self._clock = clock
        self._file = SharedFile(Path(folder) / _NAME, SCHEMA, label="the hub's store", wait=wait, size=size)
        self.close = self._file.close

    # -- records -------------------------------------------------------------------------------------------------------

    def keep(self, token: bytes, record: bytes, seconds: float) -> None:
        with self._file.step as execute:
            execute("DELETE FROM records WHERE token = ?", (token,))
            execute("INSERT INTO records (token, until, record) VALUES (?, ?, ?)", (token, self._clock() + seconds, record))
            execute(
                "DELETE FROM records WHERE id = (SELECT min(id) FROM records) AND (SELECT number > ? FROM counts WHERE kind = 'records')",
                (self._kept,),
            )

    def take(self, token: bytes) -> bytes | None:
        found = self._file.rows("DELETE FROM records WHERE token = ? RETURNING until, record", (token,))
        return found[0][1] if found and found[0][0] > self._clock() else None

    # -- exclusive users -----------------------------------------------------------------------------------------------

    def claim(self, user: str, connection: int, process: int) -> int | None:
        now = self._clock()
        with self._file.step as execute:
            owner: int
            for owner, until in execute("SELECT connection, until FROM claims WHERE user = ?", (user,)).fetchall():
                if owner != connection and (until is None or until > now):
                    return owner
            _meet(execute, process, now)
            execute(
                "INSERT INTO claims VALUES (?, ?, ?, NULL) ON CONFLICT (user)"
                " DO UPDATE SET connection = excluded.connection, process = excluded.process, until = NULL",
                (user, connection, process),
            )
            return None

    def release(self, user: str, connection: int, seconds: float = 0.0) -> bool:
        now = self._clock()
        with self._file.step as execute:
            if seconds > 0:
                kept = execute(
                    "UPDATE claims SET process = NULL, until = ? WHERE user = ? AND connection = ? AND (until IS NULL OR until > ?)"
                    " AND (SELECT number < ? FROM counts WHERE kind = 'claims') RETURNING 1",
                    (now + seconds, user, connection, now, self._kept),
                ).fetchall()
                if kept:
                    return True
            sql = "DELETE FROM claims WHERE user = ? AND connection = ? AND (until IS NULL OR until > ?) RETURNING 1"
            return bool(execute(sql, (user, connection, now)).fetchall())

    def inherit(self, user: str, old: int, connection: int, process: int) -> bool:
        now = self._clock()
        with self._file.step as execute:
            found = execute(
                "UPDATE claims SET connection = ?, process = ?, until = NULL"
                " WHERE user = ? AND connection = ? AND (until IS NULL OR until > ?) RETURNING 1",
                (connection, process, user, old, now),
            ).fetchall()
            if found:
                _meet(execute, process, now)
            return bool(found)

    def owner(self, user: str) -> int | None:
        found = self._file.rows("SELECT connection FROM claims WHERE user = ? AND (until IS NULL OR until > ?)", (user, self._clock()))
        return found[0][0] if found else None

    # -- presence ------------------------------------------------------------------------------------------------------

    def enter(self, group: str, member: str, connection: int, process: int, info: bytes, limit: int) -> tuple[bool, bool]:
        now = self._clock()
        with self._file.step as execute:
            room = _room(execute, group, now)
            if room is None:
                room = execute("INSERT INTO rooms (name) VALUES (?)", (group,)).lastrowid or 0
            who, seat, full = execute(
                "SELECT (SELECT id FROM members WHERE room = ?1 AND name = ?2),"
                " (SELECT member FROM seats WHERE room = ?1 AND connection = ?3),"
                " ?4 > 0 AND connections >= ?4 FROM rooms WHERE id = ?1",
                (room, member, connection, limit),
            ).fetchone()
            if seat is not None:
                if seat == who:
                    execute("UPDATE seats SET process = ?, until = NULL WHERE room = ? AND connection = ?", (process, room, connection))
                    execute("UPDATE members SET info = ? WHERE id = ?", (info, who))
                    _meet(execute, process, now)
                return True, False
            if who is None:
                if full:
                    return False, False
                first = True
                who = execute("INSERT INTO members (room, name, info) VALUES (?, ?, ?)", (room, member, info)).lastrowid
            else:
                first = False
                kept = execute(
                    "DELETE FROM seats WHERE room = ?1 AND connection ="
                    " (SELECT connection FROM seats WHERE member = ?2 AND until IS NOT NULL ORDER BY until LIMIT 1) RETURNING 1",
                    (room, who),
                ).fetchall()
                if full and not kept:
                    return False, False
                execute("UPDATE members SET info = ? WHERE id = ?", (info, who))
            execute("INSERT INTO seats VALUES (?, ?, ?, ?, NULL)", (room, connection, who, process))
            _meet(execute, process, now)
            return True, first

    def leave(self, group: str, connection: int, seconds: float = 0.0) -> tuple[str, bytes] | None:
        now = self._clock()
        with self._file.step as execute:
            room = _room(execute, group, now)
            if room is None:
                return None
            if seconds > 0:
                kept = execute(
                    "UPDATE seats SET process = NULL, until = ? WHERE room = ? AND connection = ?"
                    " AND (SELECT number < ? FROM counts WHERE kind = 'seats') RETURNING 1",
                    (now + seconds, room, connection, self._kept),
                ).fetchall()
                if kept:
                    return None
            for (who,) in execute("DELETE FROM seats WHERE room = ? AND connection = ? RETURNING member", (room, connection)).fetchall():
                for name, info in execute("DELETE FROM members WHERE id = ? AND seats = 0 RETURNING name, info", (who,)).fetchall():
                    return name, info
            return None

    def present(self, group: str, limit: int) -> Sequence[tuple[str, bytes, int]]:
        return self._file.rows(
            "SELECT name, info, seats - over FROM (SELECT id, name, info, seats,"
            " (SELECT count(*) FROM seats WHERE member = members.id AND until <= ?) AS over"
            " FROM members WHERE room = (SELECT id FROM rooms WHERE name = ?)) WHERE seats > over ORDER BY id LIMIT ?",
            (self._clock(), group, limit),
        )

    def size(self, group: str) -> tuple[int, int]:
        sql = "SELECT id, members, connections, EXISTS (SELECT 1 FROM seats WHERE room = rooms.id AND until <= ?) FROM rooms WHERE name = ?"
        now = self._clock()
        for room, members, connections, over in self._file.rows(sql, (now, group)):
            if not over:
                return members, connections
            with self._file.step as execute:
                _sweep(execute, room, now)
                for counted in execute("SELECT members, connections FROM rooms WHERE id = ?", (room,)).fetchall():
                    return counted[0], counted[1]
        return 0, 0

    def expired(self, limit: int) -> Sequence[tuple[str, str, bytes]]:
        now = self._clock()
        anything = self._file.rows(
            "SELECT EXISTS (SELECT 1 FROM seats WHERE until <= ?1) OR EXISTS (SELECT 1 FROM processes WHERE until <= ?1)"
            " OR EXISTS (SELECT 1 FROM members WHERE seats = 0)",
            (now,),
        )
        if not anything[0][0]:  # as it is nearly always: no need to keep writers out
            return ()
        with self._file.step as execute:
            _end_seats(execute, now, limit)
            for (process,) in execute("SELECT process FROM processes WHERE until <= ? ORDER BY until LIMIT 1", (now,)).fetchall():
                execute("UPDATE processes SET known = 0 WHERE process = ?", (process,))
                _take_out(execute, process, limit)
            return _told(execute, limit)

    # -- history -------------------------------------------------------------------------------------------------------

    def append(self, group: str, message: bytes, size: int, seconds: float) -> tuple[int, str]:
        now = self._clock()
        with self._file.step as execute:
            history, last, epoch = self._history(execute, group, now)
            last += 1
            execute("UPDATE histories SET last = ? WHERE id = ?", (last, history))
            execute("INSERT INTO messages VALUES (?, ?, ?, ?)", (history, last, now + seconds, message))
            execute("DELETE FROM messages WHERE history = ? AND number <= ?", (history, last - size))
            return last, epoch

    def position(self, group: str) -> tuple[int, str]:
        now = self._clock()
        for last, epoch, used in self._file.rows("SELECT last, epoch, used FROM histories WHERE name = ?", (group,)):
            if used >= now // 60:
                return last, epoch
        with self._file.step as execute:
            _, last, epoch = self._history(execute, group, now)
            return last, epoch

    def since(self, group: str, offset: int, limit: int, epoch: str = "") -> Sequence[tuple[int, bytes]]:
        return self._file.rows(
            "SELECT number, message FROM messages WHERE history = (SELECT id FROM histories WHERE name = ?1 AND ?2 IN ('', epoch))"
            " AND number > ?3 AND until > ?4 ORDER BY number LIMIT ?5",
            (group, epoch, offset, self._clock(), limit),
        )

    def _history(self, execute: Execute, group: str, now: float) -> tuple[int, int, str]:
        """Its id, last offset and epoch; it is used now, and made when there was none."""
        minute = int(now // 60)
        for history, last, epoch, used in execute("SELECT id, last, epoch, used FROM histories WHERE name = ?", (group,)).fetchall():
            if used < minute:
                execute("UPDATE histories SET used = ? WHERE id = ?", (minute, history))
            return history, last, epoch
        execute(  # of those that are used as little, the youngest: a flood of new groups does not wash old ones away
            "DELETE FROM histories WHERE id = (SELECT id FROM histories ORDER BY used, id DESC LIMIT 1)"
            " AND (SELECT number >= ? FROM counts WHERE kind = 'histories')",
            (self._histories,),
        )
        epoch = secrets.token_hex(8)
        values = (group, epoch, minute)
        return execute("INSERT INTO histories (name, epoch, last, used) VALUES (?, ?, 0, ?)", values).lastrowid or 0, 0, epoch

    # -- processes -----------------------------------------------------------------------------------------------------

    def alive(self, process: int, seconds: float) -> bool:
        self._file.mend()
        until = self._clock() + seconds
        with self._file.step as execute:
            known = execute("SELECT known FROM processes WHERE process = ?", (process,)).fetchone()
            execute("INSERT OR REPLACE INTO processes VALUES (?, ?, 1)", (process, until))
            return bool(known and known[0])

    def bury(self, process: int) -> Sequence[tuple[str, str, bytes]]:
        told: Left = []
        self._file.rows("UPDATE processes SET until = 0, known = 0 WHERE process = ?", (process,))
        while True:
            with self._file.step as execute:
                if not execute("SELECT 1 FROM processes WHERE process = ? AND known = 0", (process,)).fetchall():
                    return told
                _end_seats(execute, self._clock(), _STEP)
                _take_out(execute, process, _STEP)
                told += _told(execute, -1)
            sleep(0)

    def collect(self, limit: int) -> int:
        now = self._clock()
        done = 0
        for look, remove in _COLLECTED:
            if self._file.rows(look, (now,)):
                done += len(self._file.rows(remove, (now, limit - done)))
        return done


def _meet(execute: Execute, process: int, now: float) -> None:
    """It has something here, so it must be buried some day."""
    execute("INSERT OR IGNORE INTO processes VALUES (?, ?, 0)", (process, now + _UNHEARD))


def _room(execute: Execute, group: str, now: float) -> int | None:
    """The group's id; from now on its counts are right."""
    sql = "SELECT id, EXISTS (SELECT 1 FROM seats WHERE room = rooms.id AND until <= ?) FROM rooms WHERE name = ?"
    room: int
    for room, over in execute(sql, (now, group)).fetchall():
        if over:
            _sweep(execute, room, now)
        return room
    return None


def _sweep(execute: Execute, room: int, now: float) -> None:
    """Take out whose time is over."""
    execute("DELETE FROM seats WHERE room = ? AND until <= ?", (room, now))


def _end_seats(execute: Execute, now: float, limit: int) -> None:
    """Take out some of those, in all groups, whose time is over."""
    sql = "DELETE FROM seats WHERE (room, connection) IN (SELECT room, connection FROM seats WHERE until <= ? ORDER BY until LIMIT ?)"
    execute(sql, (now, limit))


def _take_out(execute: Execute, process: int, limit: int) -> None:
    """Some of what a dead process has; when nothing is left, it is buried."""
    sql = "DELETE FROM seats WHERE (room, connection) IN (SELECT room, connection FROM seats WHERE process = ? LIMIT ?) RETURNING 1"
    taken = len(execute(sql, (process, limit)).fetchall())
    sql = "DELETE FROM claims WHERE user IN (SELECT user FROM claims WHERE process = ? LIMIT ?) RETURNING 1"
    taken += len(execute(sql, (process, limit - taken)).fetchall())
    if taken < limit:
        execute("DELETE FROM processes WHERE process = ?", (process,))


def _told(execute: Execute, limit: int) -> Left:
    """Members that left without anybody knowing, who are known to have from now on.  A limit below 0 is none."""
    left = execute(
        "SELECT rooms.name, members.name, info, members.id FROM members JOIN rooms ON rooms.id = room WHERE seats = 0"
        " ORDER BY members.id LIMIT ?",
        (limit,),
    ).fetchall()
    for *_, member in left:
        execute("DELETE FROM members WHERE id = ?", (member,))
    return [(group, name, info) for group, name, info, _ in left]
