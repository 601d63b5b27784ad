"""Stops handlers that take too long, so that one that hangs does not keep its greenlet, its client and its resources for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from greenlet import greenlet

from greenimi.errors import HandlerTimeout
from greenimi.servers.handlers import HandlerPool
from greenimi.servers.watch.stacks import describe, frames_of

log = logging.getLogger("greenimi.servers")

_TRIES = 3


class Work(Protocol):
    """What a handler is for: a connection, or the sender of a datagram.

    handler  the greenlet that is at work for it; None when there is none
    began    when that last got or gave something, on the monotonic clock in nanoseconds; infinity while it waits for its client, which is
             not its own time.  Tells one message from the next as well.
    """

    handler: greenlet | None
    began: float

    @property
    def server(self) -> Any:
        """Has ``handler_time``, in seconds."""


class Overtime:
    """Looks once a second at who has been at it for longer than the ``handler_time`` of its server, and throws HandlerTimeout at it.

    A handler that goes on nevertheless is stopped again each second.  After three times it is logged with its stack and ``give_up`` is
    called, once: nothing but a new process helps then.  Handlers that stand apart in the pool have said that they live long: they are left
    alone.

    sources  functions that give what is being worked for
    """

    def __init__(self, pool: HandlerPool, give_up: Callable[[str], object]) -> None:
        self.sources: list[Callable[[], Iterable[Work]]] = []
        self._pool = pool
        self._give_up = give_up
        self._stopped: dict[Work, tuple[float, int]] = {}  # since when the handler was at it, and how often it was stopped

    def look(self, now: float) -> None:
        for source in self.sources:
            for work in source():
                handler = work.handler
                if handler is not None and now - work.began / 1e9 > work.server.handler_time and handler not in self._pool._apart:
                    self._stop(handler, work)
        if self._stopped:
            self._stopped = {work: told for work, told in self._stopped.items() if work.handler is not None}

    def _stop(self, handler: greenlet, work: Work) -> None:
        began = work.began
        since, times = self._stopped.get(work, (began, 0))
        if since != began:
            times = 0
        self._stopped[work] = (began, times + 1)
        if times < _TRIES:
            error = HandlerTimeout(f"the handler took over {work.server.handler_time:g} seconds")
            self._pool.interrupt(handler, error, lambda: work.handler is handler and work.began == began)
        elif times == _TRIES:
            where, stack = describe(frames_of(handler.gr_frame))
            log.error("%r: a handler does not stop, at %s\n%s", work, where, stack)
            self._give_up("a handler does not stop")
