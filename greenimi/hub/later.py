"""Things to do that may take a moment, for those who must not wait: one after the other, in the order in which they came."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextvars import Context
from math import inf

from greenimi.errors import Overloaded
from greenimi.green import Event, sleep, spawn

log = logging.getLogger("greenimi.hub")

_TRIES = 20
_PAUSE = 0.2
"""Seconds until the next try of a job for which there was no room, or no time."""


class Later:
    """One greenlet, there as long as there is something to do.  It has none of the context of those who add."""

    def __init__(self, most: float = inf) -> None:
        """``most``: jobs that may wait; further ones are left out, and the log says so."""
        self._most = most
        self._dropped = 0  # since there was nothing to do
        self._jobs: deque[Callable[[], object]] = deque()
        self._idle = Event()
        self._idle.set()
        self._tries = _TRIES

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Callable[[], object]) -> None:
        """Never blocks.  A job that raises Overloaded is tried again for a while, before those behind it; other errors are logged."""
        if len(self._jobs) >= self._most:
            self._dropped += 1
            if self._dropped == 1:
                log.error("%d things wait to be done, further ones are left out", len(self._jobs))
            return
        self._jobs.append(job)
        if self._idle.is_set():
            self._idle.clear()
            Context().run(spawn, self._work)

    def wait(self, seconds: float) -> bool:
        """Until everything is done, at most so long; False when it is not."""
        return bool(self._idle.wait(seconds))

    def _work(self) -> None:
        try:
            while self._jobs:
                job = self._jobs.popleft()
                try:
                    self._do(job)
                except Overloaded as error:
                    self._tries = 1  # the others are not held up as long
                    log.error("something could not be done, nor soon afterwards: %s", error.text)
                except Exception:
                    log.exception("something could not be done")
                del job
        finally:
            if self._dropped:
                log.error("%d things were left out", self._dropped)
                self._dropped = 0
            self._idle.set()

    def _do(self, job: Callable[[], object]) -> None:
        for _ in range(self._tries - 1):
            try:
                job()
                return
            except Overloaded:
                sleep(_PAUSE)
        job()
        self._tries = _TRIES
