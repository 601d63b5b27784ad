"""Records of workers, as they stand on a scoreboard."""

from __future__ import annotations

from typing import Any

from greenimi.servers.watch.status_types import ServerStatus, WorkerStatus


def server(**numbers: Any) -> ServerStatus:
    counts = ("connections", "accepted", "refused", "handled", "dropped", "cut", "held", "late")
    found: dict[str, Any] = {"kind": "http", **dict.fromkeys(counts, 0)}
    return {**found, "latency": {"buckets": [], "sum": 0.0}, **numbers}  # type: ignore[typeddict-item]


def worker(pid: int = 1, **facts: Any) -> WorkerStatus:
    """A record of a worker that did nothing, but for ``facts``."""
    found: dict[str, Any] = {
        "pid": pid,
        "place": 0,
        "generation": 1,
        "state": "ready",
        "since": 1000.5,
        "at": 2000.25,
        "servers": {},
        "handlers": {"size": 0, "busy": 0, "waiting": 0, "limit": 10, "overloaded": False},
        "loop": {"lag": 0.0, "max_lag": 0.0},
        "blocked": {"count": 0, "seconds": 0.0, "reports": []},
        "memory": 0,
        "cpu": 0.0,
        "fds": 0,
        "collections": [0, 0, 0],
        "sources": {},
    }
    return {**found, **facts}  # type: ignore[typeddict-item]


WEB = server(
    connections=3, accepted=10, refused=1, handled=100, dropped=2, cut=3, held=4, late=5, latency={"buckets": [0, 5, 95], "sum": 1.5}
)
BUSY = worker(
    7,
    servers={"web": WEB},
    blocked={"count": 2, "seconds": 0.5, "reports": []},
    cpu=12.5,
    sources={"pool.main": {"busy": 4, "waits_total": 9}, "queue": {"length": 5}},
)
