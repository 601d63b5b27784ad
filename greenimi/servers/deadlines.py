"""The two kinds of deadlines: for silence, and for what is on its way.

Neither has a timer.  The sweep of a server compares them with the clock once a second, so what is late is found within two seconds of its
time, and nothing is ever cut before it.
"""

from __future__ import annotations

import struct
import termios
from fcntl import ioctl
from math import inf

_TICK = 1.0
"""Seconds between two looks at the clock."""


class Silence:
    """How long a connection may say nothing: ``until`` is the deadline of one that is heard of now.

    One call a second keeps it current for all connections of a server, so that a read costs no look at the clock.

    spread  seconds behind the deadline over which those are spread that reach it together, before they are asked for a sign of life
    answer  seconds for that sign; 0: nobody is asked
    """

    __slots__ = ("_seconds", "answer", "spread", "until")

    def __init__(self, seconds: float, now: float, *, spread: float = 0.0, answer: float = 0.0) -> None:
        """No ``seconds`` at all mean for ever."""
        self._seconds = (seconds or inf) + _TICK
        self.until = now + self._seconds
        self.spread = spread
        self.answer = answer

    def move(self, now: float) -> None:
        self.until = now + self._seconds


class Pace:
    """How long something may take to cross: ``seconds``, and one more for each ``rate`` bytes of it that did.

    What crossed faster earns nothing for later: a peer that stops is late ``seconds`` after that.  So one that drips is late, too.

    passed  bytes so far; whoever moves them adds to it
    what    what it is the pace of, for whoever made it
    """

    __slots__ = ("_counted", "_rate", "_seconds", "_until", "passed", "what")

    def __init__(self, now: float, seconds: float, rate: float, behind: int = 0, what: int = 0) -> None:
        """``behind``: bytes that are counted in ``passed`` later, but are not of it.  No ``seconds`` at all mean for ever; with a
        ``rate`` of 0 any progress is enough, with an infinite one no progress is."""
        self._seconds = seconds or inf
        self._rate = rate
        self._until = now + self._seconds
        self._counted = -behind
        self.passed = 0
        self.what = what

    def late(self, now: float, behind: int = 0) -> bool:
        """To be asked once a second.  ``behind``: bytes of ``passed`` that have not arrived yet."""
        fresh = self.passed - behind - self._counted
        if fresh > 0:
            self._counted += fresh
            self._until = min(self._until + (fresh / self._rate if self._rate else inf), now + self._seconds)
        return self._until < now

    def put_off(self, now: float) -> None:
        """Begin anew: it is not the peer who keeps it from crossing."""
        self._until = now + self._seconds


def unsent(descriptor: int) -> int:
    """Bytes that the kernel holds for the peer of a socket, because it did not take them yet; 0 where the system does not tell."""
    try:
        return int(struct.unpack("i", ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):  # ValueError: there is no descriptor, it stands on something else than a socket
        return 0
