"""What is told of a running service: by each worker on the scoreboard, by the master to ``greenimi status``.  Plain data, all of it JSON.

Moments are seconds since 1970, durations seconds, sizes bytes.
"""

from __future__ import annotations

from typing import TypedDict


class LatencyStatus(TypedDict):
    """How long messages took.  ``buckets[i]`` of them took less than 2**i microseconds, and not less than half of that."""

    buckets: list[int]
    sum: float


class ServerStatus(TypedDict):
    """One server in one worker.  All but ``connections`` only grow.

    ``dropped``  messages left out for slow clients, and datagrams that the socket did not take.
    ``cut``      clients cut because they did not read what was pushed to them.
    ``held``     how often a connection waited for the next second because of a rate of messages.
    ``late``     replies of clients that nobody waited for any more.
    """

    kind: str
    connections: int
    accepted: int
    refused: int
    handled: int
    dropped: int
    cut: int
    held: int
    late: int
    latency: LatencyStatus


class HandlersStatus(TypedDict):
    """The handler greenlets of a worker: ``size`` there are, ``busy`` of them at work, ``waiting`` messages for a free one."""

    size: int
    busy: int
    waiting: int
    limit: int
    overloaded: bool


class LoopStatus(TypedDict):
    """How late the loop was: last time, and at most."""

    lag: float
    max_lag: float


class BlockedReport(TypedDict):
    """One time that a handler let nobody else run, and the line at which it did."""

    when: float
    seconds: float
    where: str


class BlockedStatus(TypedDict):
    """Handlers that let nobody else run: how often, how long in all, and the last times."""

    count: int
    seconds: float
    reports: list[BlockedReport]


Numbers = dict[str, dict[str, float]]
"""What other rooms count, by source and name: ``{"pool.main": {"busy": 3, "waits_total": 12}}``.  What ends in ``_total`` only grows."""


class BookedWorker(TypedDict):
    """What the master knows of a worker, also of one that has not written anything yet.

    ``place``  which of the ``workers.count`` workers it is; its successor has the same.
    ``state``  booting, ready or draining.
    """

    pid: int
    place: int
    generation: int
    state: str


class WorkerStatus(BookedWorker):
    """One worker's record.  ``since`` is when the worker started, ``at`` when this was written.

    ``cpu``          seconds of processor time.
    ``memory``       resident bytes.
    ``fds``          open file descriptors.
    ``collections``  runs of the garbage collector, by its generations.
    """

    since: float
    at: float
    servers: dict[str, ServerStatus]
    handlers: HandlersStatus
    loop: LoopStatus
    blocked: BlockedStatus
    memory: int
    cpu: float
    fds: int
    collections: list[int]
    sources: Numbers


class Totals(TypedDict):
    """Sums over workers.

    ``ended``   how many of them are gone.
    ``folded``  the last of those, as [pid, since]: their own records do not count any more.
    """

    ended: int
    folded: list[tuple[int, float]]
    servers: dict[str, ServerStatus]
    blocked: int
    blocked_seconds: float
    cpu: float
    sources: Numbers


class Reload(TypedDict):
    """How the last reload went, and what was said about it."""

    ok: bool
    text: str
    when: float


class MasterStatus(TypedDict):
    """``before`` and ``successor``: process ids of the masters it replaces and is replaced by, 0 for none.

    ``complete``  every place has a worker that is ready.
    ``folder``    where its workers meet, see greenimi.hub.run_folder.
    """

    pid: int
    since: float
    generation: int
    reloads: int
    last_reload: Reload | None
    conf: str
    before: int
    successor: int
    complete: bool
    folder: str


class ListenerStatus(TypedDict):
    """An open address."""

    server: str
    kind: str
    address: str


class Status(TypedDict):
    """What ``greenimi status`` shows.  Workers: the record of each, where it has one, with what the master knows better over it."""

    master: MasterStatus
    listeners: list[ListenerStatus]
    workers: list[BookedWorker | WorkerStatus]
