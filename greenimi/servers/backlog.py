"""What is pushed to a client that reads slowly waits here, message by message, so that what is old or replaced can be left out."""

from __future__ import annotations

from collections import OrderedDict


class Backlog:
    """Messages in the order in which they go out.  Of a broadcast all backlogs hold the same bytes.

    size     bytes of all of them
    dropped  messages that were left out so far
    """

    __slots__ = ("_count", "_messages", "_pushes", "dropped", "size")

    def __init__(self) -> None:
        self._messages: OrderedDict[object, bytes] = OrderedDict()
        self._pushes: OrderedDict[object, None] = OrderedDict()  # the keys of those that may be left out
        self._count = 0
        self.size = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._messages)

    def _fresh_key(self) -> int:
        self._count += 1
        return self._count

    def add(self, message: bytes, key: str | None = None) -> None:
        """One that may be left out.  With a ``key`` it takes the place of the one that has it, if there is one."""
        place: object = self._fresh_key() if key is None else key
        old = self._messages.get(place)
        if old is not None:
            self.size -= len(old)
            self.dropped += 1
        self._messages[place] = message
        self._pushes[place] = None
        self.size += len(message)

    def add_answer(self, data: bytes) -> None:
        """Bytes that have to go out."""
        self._messages[self._fresh_key()] = data
        self.size += len(data)

    def drop_oldest(self) -> bool:
        """Leave the oldest message out that may be; False when there is none."""
        if not self._pushes:
            return False
        place, _ = self._pushes.popitem(last=False)
        self.size -= len(self._messages.pop(place))
        self.dropped += 1
        return True

    def take(self, size: int) -> bytes:
        """The next messages, whole ones: as many as begin within ``size`` bytes."""
        taken: list[bytes] = []
        while self._messages and size > 0:
            place, message = self._messages.popitem(last=False)
            self.size -= len(message)
            self._pushes.pop(place, None)
            size -= len(message)
            taken.append(message)
        return b"".join(taken)
