"""Things to do that may take a moment, for those who must not wait: one after the other, in the order in which they came."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from greenimi.green import Event, spawn

log = logging.getLogger("greenimi.hub")


class Later:
    """One greenlet, there as long as there is something to do."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], object]] = deque()
        self._idle = Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Callable[[], object]) -> None:
        """Never blocks.  Errors of jobs are logged."""
        self._jobs.append(job)
        if self._idle.is_set():
            self._idle.clear()
            spawn(self._work)

    def wait(self, seconds: float) -> bool:
        """Until everything is done, at most so long; False when it is not."""
        return bool(self._idle.wait(seconds))

    def _work(self) -> None:
        try:
            while self._jobs:
                try:
                    self._jobs.popleft()()
                except Exception:
                    log.exception("something could not be done")
        finally:
            self._idle.set()
