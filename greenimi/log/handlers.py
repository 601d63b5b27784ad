"""The handler between the standard library's loggers and a sink."""

from __future__ import annotations

import logging

from greenimi.log.formats import encoded
from greenimi.log.queue import WriteQueue
from greenimi.log.sinks import Sink


class SinkHandler(logging.Handler):
    """Formats in the calling greenlet, while the arguments are what they are, and hands the line on: to ``queue``, or to the sink.

    It takes no lock, so that code in the hub may log.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self.sink = sink
        self.queue: WriteQueue | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        passed = bool(self.filter(record))
        if passed:
            self.emit(record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        try:
            data = self.line(record)
            if self.queue is not None:
                self.queue.push(self.sink, data, urgent=record.levelno >= logging.WARNING)
            else:
                self.sink.write(data)
        except Exception:
            self.handleError(record)

    def line(self, record: logging.LogRecord) -> bytes:
        return encoded(self.format(record))


class ChannelFilter:
    """Lets records of these channels, and of those below them, pass."""

    def __init__(self, channels: tuple[str, ...]) -> None:
        self._names = frozenset(channels)
        self._below = tuple(f"{name}." for name in channels)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.name in self._names or record.name.startswith(self._below)
