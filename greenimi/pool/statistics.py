"""What a pool tells of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenimi.pool.lease import line_of

if TYPE_CHECKING:
    from greenimi.pool.pool import Pool


@dataclass(frozen=True)
class NodeStatistics:
    """One node: resources there are and how it did."""

    name: str
    open: int
    connects: int
    failures: int
    ejected: float
    problem: str


@dataclass(frozen=True)
class Held:
    """A resource in use: the line that took it, and for how many seconds it has been held."""

    where: str
    seconds: float


@dataclass(frozen=True)
class PoolStatistics:
    """One moment: how many resources there are, by what they do; and what was counted since the pool was made.

    ``size`` is ``idle`` + ``busy`` + ``connecting``.
    """

    name: str
    max: int
    size: int
    idle: int
    busy: int
    connecting: int
    waiting: int
    takes: int
    waits: int
    wait_seconds: float
    longest_wait: float
    timeouts: int
    connects: int
    failures: int
    checks: int
    failed_checks: int
    closed: int
    lost: int
    held: list[Held]
    nodes: list[NodeStatistics]


@dataclass
class Counts:
    """What only grows."""

    takes: int = 0
    waits: int = 0
    wait_seconds: float = 0.0
    longest_wait: float = 0.0
    timeouts: int = 0
    connects: int = 0
    failures: int = 0
    checks: int = 0
    failed_checks: int = 0
    closed: int = 0
    lost: int = 0


def statistics_of(pool: Pool[Any]) -> PoolStatistics:
    """What there is at this moment, and what was counted."""
    now = monotonic()
    return PoolStatistics(
        name=pool.name,
        max=pool.settings.max,
        size=pool.size,
        idle=len(pool._idle),
        busy=len(pool._held),
        connecting=len(pool._connecting.attempts),
        waiting=len(pool._waiters),
        held=[Held(line_of(taken), now - slot.since) for slot, taken in pool._held.items()],
        nodes=[NodeStatistics(n.name, n.open, n.connects, n.failures, n.ejected, n.problem) for n in pool.nodes],
        **asdict(pool.counts),
    )


def numbers_of(pool: Pool[Any]) -> dict[str, float]:
    """The same for the metrics."""
    counts = pool.counts
    return {
        "max": pool.settings.max,
        "idle": len(pool._idle),
        "busy": len(pool._held),
        "connecting": len(pool._connecting.attempts),
        "waiting": len(pool._waiters),
        "takes_total": counts.takes,
        "waits_total": counts.waits,
        "wait_seconds_total": counts.wait_seconds,
        "timeouts_total": counts.timeouts,
        "connects_total": counts.connects,
        "failures_total": counts.failures,
        "failed_checks_total": counts.failed_checks,
        "closed_total": counts.closed,
        "lost_total": counts.lost,
    }
