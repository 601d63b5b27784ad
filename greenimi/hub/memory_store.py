"""The store of one process, in its memory: what every other one does, to be read."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Generic, TypeVar

from zope.interface import implementer

from greenimi.errors import Overloaded
from greenimi.interfaces import IHubStore

_UNHEARD = 60.0
"""Seconds for which a process is taken to be there that never said so, but claims or enters."""

K = TypeVar("K", bound=Hashable)


class Ends(Generic[K]):
    """When things are over, the soonest first."""

    def __init__(self) -> None:
        self._times: dict[K, float] = {}
        self._heap: list[tuple[float, K]] = []  # with some that are not true any more

    def __len__(self) -> int:
        return len(self._times)

    def set(self, key: K, until: float) -> None:
        self._times[key] = until
        heappush(self._heap, (until, key))
        if len(self._heap) > 2 * len(self._times) + 64:
            self._heap = [(until, key) for key, until in self._times.items()]
            heapify(self._heap)

    def drop(self, key: K) -> None:
        self._times.pop(key, None)

    def take(self, now: float) -> K | None:
        """One that is over, which is forgotten here."""
        while self._heap and self._heap[0][0] <= now:
            until, key = heappop(self._heap)
            if self._times.get(key) == until:
                del self._times[key]
                return key
        return None


@dataclass(slots=True)
class _Claim:
    connection: int
    process: int | None  # None: given up, and kept for its heir until then
    until: float | None = None


@dataclass(slots=True)
class _Seat:
    member: str
    process: int | None  # None: gone, and its place is kept until then
    until: float | None = None


@dataclass(slots=True)
class _Member:
    info: bytes
    connections: list[int] = field(default_factory=list)  # none: has left, and that is yet to be told


@dataclass(slots=True)
class _Room:
    members: dict[str, _Member] = field(default_factory=dict)
    seats: dict[int, _Seat] = field(default_factory=dict)


@dataclass(slots=True)
class _Process:
    until: float
    known: bool


@dataclass(slots=True)
class _History:
    epoch: str
    used: int  # a whole minute
    last: int = 0
    messages: deque[tuple[int, float, bytes]] = field(default_factory=deque)


@implementer(IHubStore)
class MemoryStore:
    """In the memory of this process: for one worker, and gone with it.  No call waits."""

    def __init__(
        self, *, kept: int = 100_000, histories: int = 10_000, size: int = 1 << 30, clock: Callable[[], float] = time.time
    ) -> None:
        """``kept``: records, and claims and places of connections that are gone, of each kind at most.

        ``size``: bytes of records and messages; what would go beyond raises Overloaded.
        """
        self._room = size
        self._most_kept = kept
        self._most_histories = histories
        self._clock = clock
        self._records: dict[bytes, tuple[bytes, float]] = {}
        self._record_ends: Ends[bytes] = Ends()
        self._claims: dict[str, _Claim] = {}
        self._claim_ends: Ends[str] = Ends()
        self._rooms: dict[str, _Room] = {}
        self._seat_ends: Ends[tuple[str, int]] = Ends()
        self._left: dict[tuple[str, str], None] = {}  # who has left, in this order, which is yet to be told
        self._histories: dict[str, _History] = {}
        self._message_ends: Ends[str] = Ends()  # of the last of each history
        self._processes: dict[int, _Process] = {}

    # -- records -------------------------------------------------------------------------------------------------------

    def keep(self, token: bytes, record: bytes, seconds: float) -> None:
        self._make_room(len(record))
        until = self._clock() + seconds
        self._drop_record(token)
        self._records[token] = record, until
        self._room -= len(record)
        self._record_ends.set(token, until)
        if len(self._records) > self._most_kept:
            first = next(iter(self._records))
            self._drop_record(first)
            self._record_ends.drop(first)

    def take(self, token: bytes) -> bytes | None:
        self._record_ends.drop(token)
        record, until = self._drop_record(token)
        return record if until > self._clock() else None

    def _drop_record(self, token: bytes) -> tuple[bytes, float]:
        record, until = self._records.pop(token, (b"", 0.0))
        self._room += len(record)
        return record, until

    def _make_room(self, size: int) -> None:
        """Raises Overloaded when there is none for so many bytes more."""
        if size > self._room:
            self.collect(1000)
            if size > self._room:
                raise Overloaded("there is no room in the hub's store")

    # -- exclusive users -----------------------------------------------------------------------------------------------

    def claim(self, user: str, connection: int, process: int) -> int | None:
        owner = self.owner(user)
        if owner is not None and owner != connection:
            return owner
        self._give(user, connection, process)
        return None

    def release(self, user: str, connection: int, seconds: float = 0.0) -> bool:
        if self.owner(user) != connection:
            return False
        if seconds > 0 and len(self._claim_ends) < self._most_kept:
            until = self._clock() + seconds
            self._claims[user] = _Claim(connection, None, until)
            self._claim_ends.set(user, until)
        else:
            del self._claims[user]
            self._claim_ends.drop(user)
        return True

    def inherit(self, user: str, old: int, connection: int, process: int) -> bool:
        if self.owner(user) != old:
            return False
        self._give(user, connection, process)
        return True

    def owner(self, user: str) -> int | None:
        claim = self._claims.get(user)
        return claim.connection if claim is not None and (claim.until is None or claim.until > self._clock()) else None

    def _give(self, user: str, connection: int, process: int) -> None:
        self._meet(process)
        self._claims[user] = _Claim(connection, process)
        self._claim_ends.drop(user)

    # -- presence ------------------------------------------------------------------------------------------------------

    def enter(self, group: str, member: str, connection: int, process: int, info: bytes, limit: int) -> tuple[bool, bool]:
        self._sweep()
        room = self._rooms.get(group) or _Room()
        seat = room.seats.get(connection)
        who = room.members.get(member)
        if seat is not None:
            if seat.member == member and who is not None:
                who.info = info
                self._sit(group, connection, process, seat)
            return True, False
        kept = self._kept(room, who)
        if kept is None and 0 < limit <= len(room.seats):
            return False, False
        if kept is not None:
            self._stand_up(group, kept)
        first = who is None
        if who is None:
            who = room.members[member] = _Member(info)
        who.info = info
        who.connections.append(connection)
        self._left.pop((group, member), None)
        self._rooms[group] = room
        self._sit(group, connection, process, _Seat(member, process))
        return True, first

    def leave(self, group: str, connection: int, seconds: float = 0.0) -> tuple[str, bytes] | None:
        self._sweep()
        room = self._rooms.get(group)
        seat = room.seats.get(connection) if room is not None else None
        if room is None or seat is None:
            return None
        if seconds > 0 and len(self._seat_ends) < self._most_kept:
            seat.process, seat.until = None, self._clock() + seconds
            self._seat_ends.set((group, connection), seat.until)
            return None
        self._stand_up(group, connection)
        who = room.members[seat.member]
        if who.connections:
            return None
        self._tell(group, seat.member)
        return seat.member, who.info

    def present(self, group: str, limit: int) -> Sequence[tuple[str, bytes, int]]:
        self._sweep()
        room = self._rooms.get(group) or _Room()
        there = ((name, who.info, len(who.connections)) for name, who in room.members.items() if who.connections)
        return list(islice(there, limit))

    def size(self, group: str) -> tuple[int, int]:
        self._sweep()
        room = self._rooms.get(group) or _Room()
        return sum(1 for who in room.members.values() if who.connections), len(room.seats)

    def expired(self, limit: int) -> Sequence[tuple[str, str, bytes]]:
        self._sweep()
        now = self._clock()
        for process in [number for number, facts in self._processes.items() if facts.until <= now]:
            self._take_out(process)
        return self._told(limit)

    def _sit(self, group: str, connection: int, process: int, seat: _Seat) -> None:
        self._meet(process)
        seat.process, seat.until = process, None
        self._rooms[group].seats[connection] = seat
        self._seat_ends.drop((group, connection))

    def _kept(self, room: _Room, who: _Member | None) -> int | None:
        """The connection of a member whose place is kept, the one that is kept least long of several."""
        kept = [(room.seats[connection].until or 0.0, connection) for connection in (who.connections if who is not None else ())]
        return min(((until, connection) for until, connection in kept if until), default=(0.0, None))[1]

    def _stand_up(self, group: str, connection: int) -> None:
        """Take a connection out.  Its member may have left then."""
        room = self._rooms[group]
        seat = room.seats.pop(connection)
        self._seat_ends.drop((group, connection))
        room.members[seat.member].connections.remove(connection)
        if not room.members[seat.member].connections:
            self._left[group, seat.member] = None

    def _sweep(self) -> None:
        """Take out whose time is over."""
        now = self._clock()
        while over := self._seat_ends.take(now):
            self._stand_up(*over)

    def _tell(self, group: str, member: str) -> bytes:
        """Its leaving is told: nothing is left of it but its info."""
        del self._left[group, member]
        room = self._rooms[group]
        info = room.members.pop(member).info
        if not room.members:
            del self._rooms[group]
        return info

    def _told(self, limit: int) -> list[tuple[str, str, bytes]]:
        return [(group, member, self._tell(group, member)) for group, member in list(islice(self._left, limit))]

    # -- history -------------------------------------------------------------------------------------------------------

    def append(self, group: str, message: bytes, size: int, seconds: float) -> tuple[int, str]:
        self._make_room(len(message))
        history = self._history(group)
        history.last += 1
        until = self._clock() + seconds
        history.messages.append((history.last, until, message))
        self._room -= len(message)
        while history.messages and history.messages[0][0] <= history.last - size:
            self._room += len(history.messages.popleft()[2])
        self._message_ends.set(group, until)
        return history.last, history.epoch

    def position(self, group: str) -> tuple[int, str]:
        history = self._history(group)
        return history.last, history.epoch

    def since(self, group: str, offset: int, limit: int, epoch: str = "") -> Sequence[tuple[int, bytes]]:
        history = self._histories.get(group)
        if history is None or (epoch and epoch != history.epoch):
            return ()
        now = self._clock()
        behind = ((number, message) for number, until, message in history.messages if number > offset and until > now)
        return list(islice(behind, limit))

    def _history(self, group: str) -> _History:
        """It is used now, and made when there was none."""
        minute = int(self._clock() // 60)
        history = self._histories.get(group)
        if history is None:
            if len(self._histories) >= self._most_histories:
                self._forget()
            history = self._histories[group] = _History(secrets.token_hex(8), minute)
        history.used = minute
        return history

    def _forget(self) -> None:
        """Of those that are used as little, the youngest: a flood of new groups does not wash old ones away."""
        minute = min(history.used for history in self._histories.values())
        group = next(group for group, history in reversed(self._histories.items()) if history.used == minute)
        self._room += sum(len(message) for _, _, message in self._histories.pop(group).messages)
        self._message_ends.drop(group)

    # -- processes -----------------------------------------------------------------------------------------------------

    def alive(self, process: int, seconds: float) -> bool:
        before = self._processes.get(process)
        self._processes[process] = _Process(self._clock() + seconds, known=True)
        return before is not None and before.known

    def bury(self, process: int) -> Sequence[tuple[str, str, bytes]]:
        if process not in self._processes:
            return []
        self._sweep()
        self._take_out(process)
        return self._told(len(self._left))

    def collect(self, limit: int) -> int:
        now = self._clock()
        done = 0
        while done < limit and (token := self._record_ends.take(now)) is not None:
            self._drop_record(token)
            done += 1
        while done < limit and (user := self._claim_ends.take(now)) is not None:
            del self._claims[user]
            done += 1
        while done < limit and (group := self._message_ends.take(now)) is not None:
            history = self._histories[group]
            self._room += sum(len(message) for _, until, message in history.messages if until <= now)
            history.messages = deque(each for each in history.messages if each[1] > now)
            if history.messages:  # some were added for longer than the last
                self._message_ends.set(group, max(until for _, until, _ in history.messages))
            done += 1
        return done

    def close(self) -> None:
        pass

    def _meet(self, process: int) -> None:
        """It has something here, so it must be buried some day."""
        if process not in self._processes:
            self._processes[process] = _Process(self._clock() + _UNHEARD, known=False)

    def _take_out(self, process: int) -> None:
        """All that a dead process has."""
        for user in [user for user, claim in self._claims.items() if claim.process == process]:
            del self._claims[user]
        for group, room in self._rooms.items():
            for connection in [number for number, seat in room.seats.items() if seat.process == process]:
                self._stand_up(group, connection)
        del self._processes[process]
