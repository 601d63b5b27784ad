"""What the master and one worker know of each other: a line of JSON a word, over a pair of sockets made before the fork."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Collection
from typing import Any

from greenimi.servers.master.listeners import Listener
from greenimi.servers.watch.scoreboard import Scoreboard

BOOTING, READY, LEAVING = "booting", "ready", "draining"
"""The states of a worker."""

_LONGEST = 1 << 16


class Words:
    """One end: words go out at once, those that came in are taken without waiting.  A word is a dict."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._rest = b""
        sock.setblocking(False)

    def fileno(self) -> int:
        return self._sock.fileno()

    def say(self, **word: Any) -> None:
        """Send.  What the other end is too dead to read is lost."""
        try:
            self._sock.send(json.dumps(word).encode() + b"\n")
        except OSError:
            pass

    def heard(self) -> list[dict[str, Any]] | None:
        """What came since the last call; None once the other end is gone."""
        try:
            data = self._sock.recv(_LONGEST)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self._sock.close()


class Berth:
    """A worker in the master's book, and what the worker is told of itself.

    place       which of the ``workers.count`` workers it is; its successor has the same
    generation  how many times the application was reloaded before it started
    slot        its record on the scoreboard
    listeners   the sockets that it serves
    state       BOOTING, READY or LEAVING; the master's copy, moved by what the worker says
    retiring    why it asks for a successor; ``""``: it does not
    modest      it steps back behind those that serve while it boots
    failed      why it could not start, as it said
    reads       which UDP slots it reads, as it said itself; ``asked`` what it was told last
    """

    def __init__(
        self, place: int, generation: int, slot: int, board: Scoreboard, listeners: list[Listener], leave_master: Callable[[], None]
    ) -> None:
        ours, theirs = socket.socketpair()
        self.place = place
        self.generation = generation
        self.slot = slot
        self.board = board
        self.listeners = listeners
        self.state = BOOTING
        self.since = time.monotonic()
        self.retiring = ""
        self.modest = False
        self.failed = ""
        self.reads: frozenset[int] = frozenset()
        self.asked: frozenset[int] = frozenset()
        self.master = Words(ours)
        self.worker = Words(theirs)
        self._leave_master = leave_master

    def move(self, state: str) -> None:
        self.state = state
        self.since = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds in its state."""
        return time.monotonic() - self.since

    # -- the master's side -------------------------------------------------------------------------------------------
    def leave(self, *, restart: bool) -> None:
        """Tell it to finish and go."""
        if self.state != LEAVING:
            self.move(LEAVING)
            self.asked = frozenset()
            self.master.say(leave="restart" if restart else "stop")

    def leave_quickly(self) -> None:
        """Tell it to go without finishing what it does."""
        self.move(LEAVING)
        self.master.say(leave="quickly")

    def read(self, slots: Collection[int]) -> None:
        """Tell it which UDP slots to read from now on; it confirms."""
        if self.asked != slots:
            self.asked = frozenset(slots)
            self.master.say(read=sorted(slots))

    def close(self) -> None:
        """The worker is gone."""
        self.master.close()

    # -- the worker's side -------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """First thing in the worker: close what only the master needs."""
        self._leave_master()
        self.master.close()
