"""What happens to an error that nobody caught."""

from __future__ import annotations

import logging
from collections.abc import Callable

ErrorHandler = Callable[[BaseException, str], bool | None]

_log = logging.getLogger("greenimi.error")


class ErrorHandlers:
    """Global error handlers, run in order before the default, which logs the error with its traceback in ``greenimi.error``.

    A handler gets the error and the place it came from (``"cron sweep"``); one that returns True ends the matter: later handlers
    and the default do not run.
    """

    def __init__(self) -> None:
        self._handlers: list[tuple[int, ErrorHandler]] = []

    def add(self, handler: ErrorHandler, *, order: int = 0) -> None:
        """Lower ``order`` runs first; equal ones in the order they were added."""
        self._handlers.append((order, handler))
        self._handlers.sort(key=lambda pair: pair[0])

    def handle(self, error: BaseException, place: str = "") -> None:
        """Never raises.  A handler that does is logged and counts as not having ended the matter."""
        for _, handler in list(self._handlers):
            try:
                if handler(error, place) is True:
                    return
            except Exception:
                _log.exception("an error handler failed")
        _log.error("%s failed", place or "a task", exc_info=error)
