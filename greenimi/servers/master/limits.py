"""When a worker has served long enough: it asks for a successor, and serves on until that is ready."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenimi.servers.doors import Doors
    from greenimi.servers.settings import WorkerSettings

_PAGE = os.sysconf("SC_PAGE_SIZE")


class WorkerLimits:
    """Looked at once a second.  ``retire(why)`` is called once at most."""

    def __init__(self, settings: WorkerSettings, doors: Doors, retire: Callable[[str], object]) -> None:
        self._memory = settings.memory
        self._messages = round(settings.max_messages * random.uniform(0.9, 1.1))  # noqa: S311 - so that workers do not go together
        self._doors = doors
        self._retire = retire
        self._done = False

    def look(self, now: float) -> None:
        why = "" if self._done else self._reason()
        if why:
            self._done = True
            self._retire(why)

    def _reason(self) -> str:
        if self._messages:
            handled = sum(server.handled for server in self._doors.servers.values())
            if handled >= self._messages:
                return f"it handled {handled} messages (workers.max_messages)"
        if self._memory:
            resident = resident_bytes()
            if resident > self._memory:
                return f"it has {resident >> 20} MiB of memory (workers.memory)"
        return ""


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - once a second
            return int(file.read().split()[1]) * _PAGE
    except OSError:
        return 0
