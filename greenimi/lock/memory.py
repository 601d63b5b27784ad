"""Locks in the memory of one process: what every other driver does, to be read."""

from __future__ import annotations

import math
import time
from collections import deque
from itertools import count

from zope.interface import implementer

from greenimi.green import Event
from greenimi.interfaces import ISharedLockStore

Grant = tuple[int, float]


class _Room:
    """What there is of a lock that somebody holds or waits for."""

    __slots__ = ("alone", "holders", "waiting")

    def __init__(self) -> None:
        self.holders: dict[str, float] = {}  # by token, when its lease is over
        self.alone = False  # whoever holds it does so alone
        self.waiting: deque[Event] = deque()


@implementer(ISharedLockStore)
class MemoryStore:
    """For one worker, and gone with it.  First come, first served, whether alone or shared."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._fencing = count(time.time_ns() // 1000)  # so that it grows over restarts as well

    def acquire(self, name: str, token: str, lease: float, wait: float) -> Grant | None:
        return self.share(name, token, lease, wait, 1)

    def share(self, name: str, token: str, lease: float, wait: float, limit: int) -> Grant | None:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room()
        now = time.monotonic()
        if not (room.waiting or _is_full(room, limit, now)):
            return self._enter(room, token, lease, limit, now)
        return self._stand_in_line(name, room, token, lease, now + wait, limit) if wait > 0 else None

    def _enter(self, room: _Room, token: str, lease: float, limit: int, now: float) -> Grant:
        room.holders[token] = now + lease
        room.alone = limit == 1
        return next(self._fencing), now

    def _stand_in_line(self, name: str, room: _Room, token: str, lease: float, until: float, limit: int) -> Grant | None:
        turn = Event()
        room.waiting.append(turn)
        try:
            while True:
                now = time.monotonic()
                first = room.waiting[0] is turn
                if first and not _is_full(room, limit, now):
                    return self._enter(room, token, lease, limit, now)
                end = min(until, min(room.holders.values())) if first else until  # a lease that is over wakes only the first
                if until <= now:
                    return None
                turn.clear()
                turn.wait(None if end == math.inf else end - now)
        finally:
            room.waiting.remove(turn)
            self._next(name, room)

    def _next(self, name: str, room: _Room) -> None:
        """The first in the line may look whether it is its turn; without anybody the room is forgotten."""
        if room.waiting:
            room.waiting[0].set()
        elif not room.holders:
            del self._rooms[name]

    def renew(self, name: str, token: str, lease: float) -> bool:
        room = self._rooms.get(name)
        now = time.monotonic()
        if room is None or room.holders.get(token, 0.0) <= now:
            return False
        room.holders[token] = now + lease
        return True

    def release(self, name: str, token: str) -> bool:
        room = self._rooms.get(name)
        until = None if room is None else room.holders.pop(token, None)
        if room is None or until is None:
            return False
        self._next(name, room)
        return until > time.monotonic()

    def held(self, name: str) -> bool:
        room = self._rooms.get(name)
        now = time.monotonic()
        return room is not None and any(until > now for until in room.holders.values())

    def close(self) -> None:
        """Nothing is to be given back."""


def _is_full(room: _Room, limit: int, now: float) -> bool:
    """Whether nobody else is let in.  Those who are in the way and whose lease is over are put out."""
    if len(room.holders) < limit and not room.alone:
        return False
    for token in [token for token, until in room.holders.items() if until <= now]:
        del room.holders[token]
    return len(room.holders) >= limit or (room.alone and bool(room.holders))
