"""Whose turn it is to write to a SQLite file, of which there can be one at a time."""

from __future__ import annotations

import sqlite3
from collections import deque

from greenimi import green


class Turns:
    """For the greenlets of one process: first come, first served."""

    def __init__(self, seconds: float) -> None:
        """``seconds``: how long a turn is waited for at most."""
        self._seconds = seconds
        self._taken = False
        self._waiting: deque[green.Event] = deque()

    def take(self) -> None:
        """Wait for the turn.  OperationalError when it does not come in time."""
        if not self._taken:
            self._taken = True
            return
        mine = green.Event()
        self._waiting.append(mine)
        try:
            came = mine.wait(self._seconds)
        except BaseException:
            if mine.is_set():
                self.give()
            else:
                self._waiting.remove(mine)
            raise
        if not came:
            self._waiting.remove(mine)
            raise sqlite3.OperationalError(f"database is locked: others of this process wrote for {self._seconds:g} seconds")

    def give(self) -> None:
        """It is over: the next one's turn."""
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._taken = False
