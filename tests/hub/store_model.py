"""What a store of the hub does, in the fewest words: lists that are searched from end to end."""

from __future__ import annotations

from dataclasses import dataclass


class Clock:
    """Stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 1_900_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Seat:
    group: str
    member: str
    connection: int
    process: int | None
    until: float | None = None


class Model:
    """Like an IHubStore, but that epochs are numbers and that ``expired`` tells of all."""

    def __init__(self, clock: Clock, histories: int) -> None:
        self.clock = clock
        self.most = histories
        self.records: dict[bytes, tuple[bytes, float]] = {}
        self.claims: dict[str, Seat] = {}
        self.members: list[tuple[str, str]] = []  # in the order in which they came; some have left without anybody being told
        self.infos: dict[tuple[str, str], bytes] = {}
        self.seats: list[Seat] = []
        self.processes: dict[int, tuple[float, bool]] = {}
        self.messages: dict[int, list[tuple[int, bytes, float]]] = {}  # by epoch
        self.histories: dict[str, tuple[int, int]] = {}  # epoch and minute
        self.epochs = 0

    def _over(self, seat: Seat) -> bool:
        return seat.until is not None and seat.until <= self.clock.now

    def _find(self, group: str, connection: int) -> Seat | None:
        return next((seat for seat in self.seats if (seat.group, seat.connection) == (group, connection) and not self._over(seat)), None)

    def _of(self, group: str, member: str) -> list[Seat]:
        return [seat for seat in self.seats if (seat.group, seat.member) == (group, member) and not self._over(seat)]

    def _meet(self, process: int) -> None:
        self.processes.setdefault(process, (self.clock.now + 60.0, False))

    def keep(self, token: bytes, record: bytes, seconds: float) -> None:
        self.records[token] = record, self.clock.now + seconds

    def take(self, token: bytes) -> bytes | None:
        record, until = self.records.pop(token, (b"", 0.0))
        return record if until > self.clock.now else None

    def owner(self, user: str) -> int | None:
        claim = self.claims.get(user)
        return None if claim is None or self._over(claim) else claim.connection

    def claim(self, user: str, connection: int, process: int) -> int | None:
        owner = self.owner(user)
        if owner not in (None, connection):
            return owner
        self._meet(process)
        self.claims[user] = Seat("", user, connection, process)
        return None

    def release(self, user: str, connection: int, seconds: float) -> bool:
        if self.owner(user) != connection:
            return False
        self.claims[user] = Seat("", user, connection, None, self.clock.now + seconds)
        return True

    def inherit(self, user: str, old: int, connection: int, process: int) -> bool:
        return self.owner(user) == old and self.release(user, old, 0.0) and self.claim(user, connection, process) is None

    def enter(self, group: str, member: str, connection: int, process: int, info: bytes, limit: int) -> tuple[bool, bool]:
        mine = self._of(group, member)
        seat = self._find(group, connection)
        if seat is not None and seat not in mine:
            return True, False
        kept = min((each for each in mine if each.until), key=lambda each: (each.until, each.connection), default=None)
        if seat is None and kept is None and 0 < limit <= self.size(group)[1]:
            return False, False
        self._meet(process)
        first = (group, member) not in self.members
        if first:
            self.members.append((group, member))
        self.infos[group, member] = info
        self.seats = [each for each in self.seats if each is not (seat or kept)]
        self.seats.append(Seat(group, member, connection, process))
        return True, first

    def leave(self, group: str, connection: int, seconds: float) -> tuple[str, bytes] | None:
        seat = self._find(group, connection)
        if seat is None:
            return None
        if seconds:
            seat.process, seat.until = None, self.clock.now + seconds
            return None
        self.seats.remove(seat)
        if self._of(group, seat.member):
            return None
        self.members.remove((group, seat.member))
        return seat.member, self.infos[group, seat.member]

    def present(self, group: str) -> list[tuple[str, bytes, int]]:
        found = [(member, self.infos[group, member], len(self._of(group, member))) for name, member in self.members if name == group]
        return [each for each in found if each[2]]

    def size(self, group: str) -> tuple[int, int]:
        present = self.present(group)
        return len(present), sum(number for _, _, number in present)

    def expired(self) -> list[tuple[str, str, bytes]]:
        for process, (until, _) in list(self.processes.items()):
            if until <= self.clock.now:
                self._end(process)
        left = [each for each in self.members if not self._of(*each)]
        self.members = [each for each in self.members if each not in left]
        return sorted((group, member, self.infos[group, member]) for group, member in left)

    def bury(self, process: int) -> list[tuple[str, str, bytes]]:
        if process not in self.processes:
            return []
        self._end(process)
        left = [each for each in self.members if not self._of(*each)]
        self.members = [each for each in self.members if each not in left]
        return sorted((group, member, self.infos[group, member]) for group, member in left)

    def _end(self, process: int) -> None:
        del self.processes[process]
        self.seats = [seat for seat in self.seats if seat.process != process]
        self.claims = {user: claim for user, claim in self.claims.items() if claim.process != process}

    def alive(self, process: int, seconds: float) -> bool:
        known = self.processes.get(process, (0.0, False))[1]
        self.processes[process] = self.clock.now + seconds, True
        return known

    def append(self, group: str, message: bytes, size: int, seconds: float) -> tuple[int, int]:
        offset, epoch = self.position(group)
        self.messages[epoch].append((offset + 1, message, self.clock.now + seconds))
        # What was once too much does not come back when the size is raised.
        self.messages[epoch] = [each if each[0] > offset + 1 - size else (each[0], b"", 0.0) for each in self.messages[epoch]]
        return offset + 1, epoch

    def position(self, group: str) -> tuple[int, int]:
        minute = int(self.clock.now // 60)
        if group not in self.histories:
            if len(self.histories) >= self.most:
                least = min(used for _, used in self.histories.values())
                del self.histories[[name for name, (_, used) in self.histories.items() if used == least][-1]]
            self.epochs += 1
            self.messages[self.epochs] = []
            self.histories[group] = self.epochs, minute
        epoch = self.histories[group][0]
        self.histories[group] = epoch, minute
        return len(self.messages[epoch]), epoch

    def since(self, group: str, offset: int, limit: int) -> list[tuple[int, bytes]]:
        epoch, _ = self.histories.get(group, (0, 0))
        found = self.messages.get(epoch, [])
        return [(number, message) for number, message, until in found if number > offset and until > self.clock.now][:limit]
