"""Logging: channels are the standard library's loggers; ``[log]`` says how much of them goes where, and how it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenimi.log.failure import ErrorHandlers
from greenimi.log.settings import HandlerSettings, LogSettings
from greenimi.log.setup import configure, set_level, stop

if TYPE_CHECKING:
    from greenimi.container.setup import Setup

__all__ = ["ErrorHandlers", "HandlerSettings", "LogSettings", "configure", "includeme", "set_level", "stop"]


def includeme(setup: Setup) -> None:
    """Read ``[log]``, put it to work at commit, and offer the ErrorHandlers bean."""
    settings = setup.settings("log", LogSettings)
    setup.container.add(ErrorHandlers, ErrorHandlers())
    setup.on_commit(lambda: configure(settings))
