"""Put ``[log]`` to work."""

from __future__ import annotations

import atexit
import copy
import logging
import time
from importlib import import_module
from typing import Any

from greenimi.errors import ConfigError
from greenimi.log.formats import FORMATTERS
from greenimi.log.handlers import ChannelFilter, SinkHandler
from greenimi.log.queue import WriteQueue
from greenimi.log.records import prepare
from greenimi.log.settings import HandlerSettings, LogSettings
from greenimi.log.sinks import FileSink, Sink, StderrSink

LEVELS = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error", "critical")}


class _Installed:
    """What the last ``configure`` put in place."""

    def __init__(self) -> None:
        self.handlers: list[logging.Handler] = []
        self.channels: set[str] = set()
        self.queue: WriteQueue | None = None

    def remove(self) -> None:
        for handler in self.handlers:
            logging.getLogger().removeHandler(handler)
            handler.close()
        for channel in self.channels:
            logging.getLogger(channel).setLevel(logging.NOTSET)
        self.handlers, self.channels, self.queue = [], set(), None


_installed = _Installed()


def configure(settings: LogSettings) -> None:
    """Send the records of every channel where ``settings`` says, in place of what an earlier call set up.

    Handlers of others (a test's, Gunicorn's) stay.  Everything written so far is on its way to its sink before this returns.
    Raises ConfigError for a handler that cannot be made; then nothing has changed.
    """
    handlers = [_make(one, settings) for one in settings.handlers]
    stop()
    _installed.remove()
    # Looking up the current thread costs more than the rest of a record, and in a greenlet it makes a stand-in for one.
    logging.logThreads = False
    logging.logMultiprocessing = False
    queue = _queue(settings, handlers) if settings.background else None
    root = logging.getLogger()
    for handler in handlers:
        if isinstance(handler, SinkHandler):
            handler.queue = queue
        root.addHandler(handler)
    _installed.handlers, _installed.queue = handlers, queue
    for channel, level in {"": settings.level, **settings.levels}.items():
        set_level(channel, level)


def set_level(channel: str, level: str) -> None:
    """Change the level of a channel while running; ``""`` is all that have none of their own.  Raises ValueError for an unknown level."""
    if level.lower() not in LEVELS:
        raise ValueError(f"unknown level {level!r}: one of {', '.join(LEVELS)}")
    logging.getLogger(channel or None).setLevel(LEVELS[level.lower()])
    if channel:
        _installed.channels.add(channel)


def stop() -> None:
    """Write everything that waits; later records are written at once.  Runs by itself when the process exits in order.

    A process that ends with ``os._exit`` must call it first.
    """
    if _installed.queue is not None:
        _installed.queue.stop()


atexit.register(stop)


def _make(settings: HandlerSettings, common: LogSettings) -> logging.Handler:
    handler: logging.Handler
    if settings.kind == "stderr":
        handler = SinkHandler(StderrSink())
    elif settings.kind == "file":
        handler = SinkHandler(FileSink(settings.path, settings.max_bytes, settings.keep))
    else:
        handler = _custom(settings)
    handler.setLevel(LEVELS[settings.level])
    if settings.channels:
        handler.addFilter(ChannelFilter(settings.channels))
    handler.addFilter(prepare)
    if handler.formatter is None:
        handler.setFormatter(FORMATTERS[settings.format or common.format]())
    return handler


def _custom(settings: HandlerSettings) -> logging.Handler:
    """A handler of the application's own.  It runs in the calling greenlet; whether it blocks is its own affair."""
    module, _, name = settings.kind.partition(":")
    try:
        made: Any = getattr(import_module(module), name)(**settings.options)
    except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
        raise ConfigError(f"log handler {settings.kind}: {type(error).__name__}: {error}") from error
    if not isinstance(made, logging.Handler):
        raise ConfigError(f"log handler {settings.kind} is not a logging.Handler")
    return made


def _queue(settings: LogSettings, handlers: list[logging.Handler]) -> WriteQueue:
    own = [handler for handler in handlers if isinstance(handler, SinkHandler)]
    # Made here, because making a record in a native thread would ask for the current thread.
    text = "%d log lines were lost: too many at once, or a place could not be written to"
    pattern = logging.LogRecord("greenimi.log", logging.WARNING, "", 0, text, (0,), None)

    def tell(lost: int) -> list[tuple[Sink, bytes]]:
        record = copy.copy(pattern)
        record.args = (lost,)
        record.created = time.time()
        return [(handler.sink, handler.line(record)) for handler in own]

    return WriteQueue(settings.capacity, tell)
