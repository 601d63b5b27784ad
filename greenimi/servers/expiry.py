"""The end of identities: what was let in for one is closed when it expires.  One look a second for all of a process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from time import time
from typing import Any

from gevent import getcurrent
from greenlet import greenlet

from greenimi.errors import HandlerTimeout, Unauthorized
from greenimi.servers.handlers import HandlerPool
from greenimi.web.through import Through, in_place_of

log = logging.getLogger("greenimi.servers")

OVER = "the identity has expired"


class Expiries:
    """Calls what was put here once its time has come: within a second of it, and never before.  Costs nothing while it is empty."""

    def __init__(self, handlers: HandlerPool) -> None:
        self._handlers = handlers
        self._waiting: dict[Any, tuple[float, Callable[[], object]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def watch(self, key: Any, moment: float, call: Callable[[], object]) -> None:
        """Call it at ``moment``, in seconds since the epoch, unless ``key`` is forgotten.  Another one for the key takes its place."""
        self._waiting[key] = (moment, call)

    def forget(self, key: Any) -> None:
        self._waiting.pop(key, None)

    def look(self, now: float) -> None:
        """To be called once a second, in the hub."""
        if not self._waiting:
            return
        moment = time()
        for key in [key for key, (when, _) in self._waiting.items() if when <= moment]:
            _, call = self._waiting.pop(key)
            try:
                call()
            except Exception:
                log.exception("%r cannot be ended", key)

    def until(self, body: Iterator[Any], moment: float) -> Iterator[Any]:
        """The parts of ``body``, up to ``moment``: then Unauthorized is raised in their place, also while the next one is waited for."""
        return in_place_of(body, _Until(self, self._handlers, body, moment))


class _Until(Through):
    def __init__(self, expiries: Expiries, handlers: HandlerPool, body: Iterator[Any], moment: float) -> None:
        super().__init__(body)
        self._expiries = expiries
        self._handlers = handlers
        self._moment = moment
        self._begun = False
        self._over = False
        self._waiting: greenlet | None = None  # who waits for the next part
        self._error = HandlerTimeout(OVER)

    def __next__(self) -> Any:
        if not self._begun:
            self._begun = True
            self._expiries.watch(self, self._moment, self._end)
        if self._over:
            raise Unauthorized(OVER)
        self._waiting = getcurrent()
        try:
            return super().__next__()
        except HandlerTimeout as error:
            if error is not self._error:
                raise
            raise Unauthorized(OVER) from None
        finally:
            self._waiting = None

    def _end(self) -> None:
        self._over = True
        if self._waiting is not None:
            self._handlers.interrupt(self._waiting, self._error, lambda: self._waiting is not None)

    def close(self) -> None:
        self._expiries.forget(self)
        super().close()
