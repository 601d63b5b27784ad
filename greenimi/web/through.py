"""Bodies that are sent as they come, with something between them and the server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from greenimi.web.sse import LiveBody


class Through(Iterator[Any]):
    """The parts of another body.  Subclasses look at them, or end them."""

    def __init__(self, body: Iterable[Any]) -> None:
        self._parts = iter(body)

    def __next__(self) -> Any:
        return next(self._parts)

    def close(self) -> None:
        """Nothing more is wanted."""
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()


def in_place_of(body: Iterable[Any], through: Through) -> Iterator[Any]:
    """``through``, as what ``body`` is to a server: a body that lives long goes on to be one."""
    return _Live(body, through) if isinstance(body, LiveBody) else through


class _Live(LiveBody):
    def __init__(self, body: LiveBody, through: Through) -> None:
        self.heartbeat = body.heartbeat
        self._body = body
        self._through = through

    def __next__(self) -> Any:
        return next(self._through)

    def beat(self) -> bytes:
        return self._body.beat()

    def goodbye(self) -> bytes:
        return self._body.goodbye()

    def close(self) -> None:
        self._through.close()
