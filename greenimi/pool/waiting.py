"""Those who wait for a resource, and what they are told when there is none."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from greenimi import green
from greenimi.pool.lease import Slot, Spot, line_of

if TYPE_CHECKING:
    from greenimi.pool.pool import Pool

_NAMED = 3
"""So many of those who hold a resource longest are named."""


class Waiter:
    """Somebody who waits: ``ready`` is set when there is a resource for it, or an error."""

    __slots__ = ("error", "ready", "slot", "taken")

    def __init__(self, taken: Spot) -> None:
        self.taken = taken
        self.ready = green.Event()
        self.slot: Slot | None = None
        self.error: Exception | None = None


def who_holds(pool: Pool[Any]) -> str:
    """Why none is free: who holds them longest, what is being connected, which nodes fail."""
    now = monotonic()
    longest = sorted(pool._held.items(), key=lambda item: item[0].since)
    named = [f"{line_of(taken)} ({now - slot.since:.1f} s)" for slot, taken in longest[:_NAMED]]
    more = len(longest) - len(named)
    parts = [f"held longest by {', '.join(named)}{f' and {more} more' if more else ''}"] if named else []
    if pool._connecting.attempts:
        parts.append(f"{len(pool._connecting.attempts)} are being connected")
    parts += [f"{node.name}: {node.problem}" for node in pool.nodes if node.problem]
    return "; ".join(parts) or "none is there"
