"""What a failing store means for those who read from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from greenimi.cache.settings import CacheSettings

__all__ = ["Trouble", "log"]

log = logging.getLogger("greenimi.cache")

_LOG_EVERY = 60.0


class Trouble:
    """With ``errors = "compute"`` reading goes on as if there were no values, and for ``pause`` seconds nobody asks the store again.

    ``until``: when the pause is over, 0.0 where there is none.
    """

    def __init__(self, name: str, settings: CacheSettings, now: Callable[[], float] = time.monotonic) -> None:
        self.until = 0.0
        self.failed = 0
        """How often the store has failed so far."""
        self._name = name
        self._raise = settings.errors == "raise"
        self._pause = settings.pause
        self._now = now
        self._said: dict[str, float] = {}

    def pausing(self) -> bool:
        if self.until > self._now():
            return True
        self.until = 0.0
        return False

    def note(self, error: Exception) -> None:
        """The store failed for somebody who reads.  Raises the error where conf says so, and when the caller's own values are at fault."""
        if isinstance(error, TypeError | ValueError):
            raise error
        self.failed += 1
        if self._raise:
            raise error
        self.until = self._now() + self._pause if self._pause else 0.0
        self.say("the store fails, so values are made each time; %d times so far: %s: %s", self.failed, type(error).__name__, error)

    def say(self, text: str, *values: object, error: BaseException | None = None) -> None:
        """Log a warning, the same at most once a minute."""
        now = self._now()
        if now - self._said.get(text, -_LOG_EVERY) >= _LOG_EVERY:
            self._said[text] = now
            log.warning("cache %s: " + text, self._name, *values, exc_info=error)  # noqa: G003 - the text is a constant
