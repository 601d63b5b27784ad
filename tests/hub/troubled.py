"""A store whose calls fail, stop or let others run, as a test wants it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from greenimi import green
from greenimi.errors import Overloaded
from greenimi.hub.memory_store import MemoryStore


class Troubled:
    """``broken`` calls raise Overloaded; calls with a gate wait there; while ``slow``, all others let other greenlets run first."""

    def __init__(self, store: Any = None) -> None:
        self._store = MemoryStore() if store is None else store
        self.broken: set[str] = set()
        self.gates: dict[str, green.Event] = {}
        self.slow = False
        self.calls: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()

    def gate(self, name: str) -> green.Event:
        """Calls of that name wait until it is set."""
        gate = self.gates[name] = green.Event()
        return gate

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        def troubled(*args: Any, **more: Any) -> Any:
            self.calls[name] += 1
            if name in self.gates:
                self.waiting[name] += 1
                self.gates[name].wait()
                self.waiting[name] -= 1
            elif self.slow:
                green.sleep(0)
            if name in self.broken:
                raise Overloaded("the hub's store is busy")
            return call(*args, **more)

        return troubled
