"""Goodbyes, spread over some seconds: if all clients had to connect anew at once, they would come as one flood."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from math import ceil
from time import monotonic
from typing import Any

from gevent import get_hub

from greenimi.servers.timed import Timed

log = logging.getLogger("greenimi.servers")

REASONS = {1001: "the server stops", 1012: "the server restarts, come back at once"}
"""What clients are told, by the code of the goodbye."""

_OFTEN = 0.1
"""Seconds between two rounds of goodbyes."""

_TURNS = 0.8
"""The part of the time in which everybody has a turn; the rest is for those who still talk, so that the last of them has some, too."""


class Farewell:
    """Says goodbye to ``connections``, first to the first, evenly over most of ``seconds``; to all at once when that is not more than 0.

    Those that have something to do are asked again every round until it is done; so are, until the seconds are over, those that said
    something a moment ago and could be saying more.  ``everybody()`` gives whoever is connected: who is when
    the seconds are over, though he was not when they began, is said goodbye to then.
    """

    def __init__(self, connections: Iterable[Timed], everybody: Callable[[], Iterable[Timed]], code: int, seconds: float) -> None:
        self._everybody = everybody
        self._code = code
        self._seconds = seconds
        self._began = monotonic()
        self._left = list(connections)
        self._left.reverse()  # it is taken from at its end
        self._number = len(self._left)
        self._busy: list[Timed] = []
        self._timer: Any = get_hub().loop.timer(_OFTEN, _OFTEN)
        self._timer.start(self._round)
        self._round()

    def end(self) -> None:
        """Say no more goodbyes."""
        self._timer.stop()
        self._timer.close()

    def _round(self) -> None:
        passed = monotonic() - self._began
        at_last = passed >= self._seconds
        if at_last:
            self._left.clear()
            self._busy = list(self._everybody())
        else:
            had_turn = min(self._number, ceil(self._number * passed / (_TURNS * self._seconds)))
            for _ in range(len(self._left) - self._number + had_turn):
                self._busy.append(self._left.pop())
        self._busy = [connection for connection in self._busy if not self._depart(connection, at_last=at_last)]

    def _depart(self, connection: Timed, *, at_last: bool) -> bool:
        try:
            return connection.depart(self._code, REASONS.get(self._code, ""), at_last=at_last)
        except Exception:
            log.exception("%r cannot be said goodbye to", connection)
            connection.shut()
            return True
