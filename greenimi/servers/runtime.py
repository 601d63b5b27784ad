"""What all servers of one worker process share: the clock, the handler greenlets, and the connections that want to send."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub

from greenimi.codec.heads import ResponseHeads
from greenimi.hub.hub import Hub
from greenimi.hub.ids import SLOTS, first_number
from greenimi.servers.expiry import Expiries
from greenimi.servers.handlers import HandlerPool
from greenimi.servers.overtime import Overtime

if TYPE_CHECKING:
    from greenimi.servers.outbox import Outbox

_ON_THE_WAY = 0.05
"""Seconds for the bytes of a client that has just connected to arrive."""

_SLICE = 0.005
"""Seconds of sending at a stretch, where a message went to very many."""

log = logging.getLogger("greenimi.servers")


class Runtime:
    """One a process.

    now     a monotonic clock that moves once a second: good for deadlines, free to read
    hub     knows the connections that messages are spoken on, and gives this process the numbers of all
    retire  is called with the reason when this process should be replaced by a fresh one; whoever can see to that puts a function here
    """

    def __init__(self, handlers: int = 1000, queue: int = 2000, hub: Hub | None = None) -> None:
        self.now = time.monotonic()
        self.hub = Hub() if hub is None else hub
        self.handlers = HandlerPool(handlers, queue=queue)
        self.heads = ResponseHeads(time.time())
        self.retire: Callable[[str], None] = _only_log
        self.overtime = Overtime(self.handlers, self._give_up)
        self.unfinished: list[Callable[[], bool]] = []
        self.expiries = Expiries(self.handlers)
        self.each_second: list[Callable[[float], None]] = [self.overtime.look, self.expiries.look]
        self.user_messages: dict[str, int] = {}  # of this second, where servers have a rate for users
        self._unflushed: list[Outbox] = []
        self._at_once = False
        self._next_slice: Any = get_hub().loop.timer(0.0)
        self._timer: Any = None
        self._count = 0

    def start(self) -> None:
        if self._timer is None:
            self.now = time.monotonic()
            self._timer = get_hub().loop.timer(1.0, 1.0)
            self._timer.start(self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._next_slice.stop()
        self._next_slice.close()
        self.handlers.close()

    def finish(self, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> bool:
        """Wait until no message is being handled and every answer is sent, at most ``seconds``; False when that is not so even then.
        ``meanwhile`` is called again and again.

        Messages that are on their way on connections accepted a moment ago are waited for as well.
        """
        until = time.monotonic() + seconds
        gevent.sleep(min(_ON_THE_WAY, seconds))
        while self.handlers.busy or self.handlers.waiting or any(unfinished() for unfinished in self.unfinished):
            if time.monotonic() > until:
                return False
            meanwhile()
            gevent.sleep(0.01)
        return True

    def _give_up(self, reason: str) -> None:
        self.retire(reason)

    def _tick(self) -> None:
        self.now = now = time.monotonic()
        self.heads.tick(time.time())
        for call in self.each_second:
            try:
                call(now)
            except Exception:
                log.exception("a periodic call failed")

    def next_number(self) -> int:
        """A number that no other connection of the cluster has; see greenimi.hub.ids."""
        connections = self.hub.connections
        while True:
            self._count = (self._count + 1) % SLOTS
            number = first_number(self.hub.process) + self._count
            if number not in connections:  # it may be, after two thousand million others
                return number

    def flush_later(self, connection: Outbox) -> None:
        """Flush it at the end of this turn of the loop: one callback a turn, one send a connection."""
        if not self._unflushed:
            get_hub().loop.run_callback(self._flush_all)
        self._unflushed.append(connection)

    def flush_now(self) -> None:
        """Send what is queued without waiting for the turn's end: the last thing a stopping worker does."""
        self._at_once = True
        self._flush_all()

    def _flush_all(self) -> None:
        """Send for all that wait; when that takes long, for the others after those who have waited for the loop meanwhile."""
        waiting, self._unflushed = self._unflushed, []
        until = time.monotonic() + _SLICE
        for place, connection in enumerate(waiting):
            if connection.waits_for_flush:
                try:
                    connection.flush()
                except Exception:
                    log.exception("%r cannot be served any more", connection)
                    connection.shut()
                if not place & 31 and time.monotonic() > until and not self._at_once:
                    self._unflushed = waiting[place + 1 :] + self._unflushed
                    self._next_slice.start(self._flush_all)  # a callback would come before those who wait for the loop
                    return


def _only_log(reason: str) -> None:
    log.error("this process should be replaced: %s", reason)
