"""``max_time``: an answer is given in time, and the handler that did not give it is stopped."""

from __future__ import annotations

from collections import OrderedDict
from time import monotonic
from typing import Any

from gevent import get_hub, getcurrent
from greenlet import greenlet

from greenimi.container.onion import Proceed
from greenimi.dispatch.failure import report
from greenimi.errors import HandlerTimeout, Overloaded
from greenimi.message import Message
from greenimi.servers.handlers import HandlerPool


class _Running:
    """A handler at work; none any more when it is done."""

    __slots__ = ("error", "handler", "until")

    def __init__(self, handler: greenlet, until: float) -> None:
        self.handler: greenlet | None = handler
        self.until = until
        self.error: HandlerTimeout | None = None


class TimeLimit:
    """The layer: what takes longer than ``seconds`` is stopped at its next switch, and its client told so (503).

    All have the same time, so they are late in the order in which they came: one timer does for all, and runs only while there are some.
    A body that is made while it is sent is not counted.  Handlers that stand apart in the pool live as long as they like.
    """

    def __init__(self, seconds: float, handlers: HandlerPool) -> None:
        self._seconds = seconds
        self._handlers = handlers
        self._running: OrderedDict[_Running, None] = OrderedDict()
        self._timer: Any = None

    def __call__(self, message: Message, proceed: Proceed) -> Any:
        running = _Running(getcurrent(), monotonic() + self._seconds)
        self._running[running] = None
        if self._timer is None:
            self._come_back(self._seconds)
        try:
            return proceed(message)
        except HandlerTimeout as error:
            if error is not running.error:
                raise
            report(error, message)
            raise Overloaded("the handler took too long") from None
        finally:
            self._running.pop(running, None)
            running.handler = None  # nobody may keep a greenlet beyond its job

    def _come_back(self, seconds: float) -> None:
        self._timer = get_hub().loop.timer(seconds, ref=False)
        self._timer.start(self._look)

    def _look(self) -> None:
        """In the hub: stop those whose time is over, and come back for the next."""
        self._timer.close()
        self._timer = None
        now = monotonic()
        while self._running:
            running = next(iter(self._running))
            if running.until > now:
                self._come_back(running.until - now)
                return
            del self._running[running]
            self._stop(running)

    def _stop(self, running: _Running) -> None:
        handler = running.handler
        if handler is not None and not self._handlers.stands_apart(handler):
            running.error = HandlerTimeout(f"the handler took over {self._seconds:g} seconds")
            self._handlers.interrupt(handler, running.error, lambda: running.handler is not None)


class TimeLimits:
    """One limit for each length of time that routes of a server have."""

    def __init__(self, handlers: HandlerPool) -> None:
        self._handlers = handlers
        self._limits: dict[float, TimeLimit] = {}

    def layers(self, seconds: float) -> list[TimeLimit]:
        """The layer for what may take that long, none for 0."""
        if not seconds:
            return []
        if seconds not in self._limits:
            self._limits[seconds] = TimeLimit(seconds, self._handlers)
        return [self._limits[seconds]]
