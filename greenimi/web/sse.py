"""Server-sent events, as the HTML standard defines them (section 9.2): a stream of small texts to a browser's ``EventSource``."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from greenimi.message import Request, Response

EVENT_STREAM = "text/event-stream"

_LINE_END = re.compile(r"\r\n|\r|\n")
_encode = msgspec.json.Encoder().encode

_BACK_SOON = 1.0
"""Seconds."""


class LiveBody(Iterator[bytes]):
    """A body that is made while the client listens, perhaps for hours.  A server treats it apart:

    its handler does not count among those that are at work; when the maker is silent the server sends ``beat()``, when it stops it sends
    ``goodbye()`` instead of the rest; and when the client leaves, ConnectionClosed is thrown into the maker, wherever it waits.
    """

    heartbeat: float | None = None
    """Seconds of silence after which a beat is sent; None: as the server does it, 0: never."""

    @abstractmethod
    def beat(self) -> bytes:
        """Bytes that say nothing."""

    @abstractmethod
    def goodbye(self) -> bytes:
        """The last bytes, when the server stops."""

    @abstractmethod
    def close(self) -> None:
        """Nothing more is wanted."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    ``data``     what ``event.data`` is in the browser: text as it is, everything else as JSON; None sends the other fields alone
    ``event``    its type; by default ``message``
    ``id``       what a client that connects again says it had last; ``""`` makes it forget that
    ``retry``    seconds after which a client is to connect again, from now on
    ``comment``  nobody hears it

    Raises ValueError for an id or a type that cannot be said: with a line end, or with a NUL in an id.
    """

    data: Any = None
    event: str = ""
    id: str | None = None
    retry: float | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        if _LINE_END.search(self.event):
            raise ValueError("the type of an event is one line")
        if self.id is not None and (_LINE_END.search(self.id) or "\0" in self.id):
            raise ValueError("the id of an event is one line without NUL")
        if self.retry is not None and not self.retry >= 0:
            raise ValueError("the seconds to connect again after are not negative")

    def encode(self) -> bytes:
        """As it goes to the client."""
        lines = []
        if self.comment is not None:
            lines += [f": {line}" for line in _LINE_END.split(self.comment)]
        if self.event:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {round(self.retry * 1000)}")
        if self.data is not None:
            text = self.data if isinstance(self.data, str) else _encode(self.data).decode()
            lines += [f"data: {line}" for line in _LINE_END.split(text)]
        return ("\n".join(lines) + "\n\n").encode()


class EventStream(Response):
    """The answer of a handler that sends events for as long as the client listens.

    ``events``     gives them, usually a generator: an :class:`Event`, or what the data of one is
    ``retry``      seconds after which a client is to connect again when it loses the connection; by default as browsers do it, about 3
    ``heartbeat``  seconds of silence after which a comment is sent, so that neither side nor a proxy takes it for lost; by default as
                   the server's conf says, 0: never

    Each event leaves at once.  When the client leaves, the generator gets ConnectionClosed wherever it waits, so that its ``finally`` runs.
    """

    __slots__ = ()

    def __init__(
        self, events: Iterable[Any], *, retry: float | None = None, heartbeat: float | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        fields = [("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no"), *headers]
        super().__init__(_Events(events, retry, heartbeat), 200, EVENT_STREAM, fields)


class _Events(LiveBody):
    """Events as bytes."""

    def __init__(self, events: Iterable[Any], retry: float | None, heartbeat: float | None) -> None:
        self.heartbeat = heartbeat
        self._retry = retry
        self._events = iter(events)
        self._begun = False

    def __next__(self) -> bytes:
        if not self._begun:  # something at once: the client knows that it is connected before there is an event
            self._begun = True
            return Event(retry=self._retry).encode() if self._retry is not None else b":\n\n"
        found = next(self._events)
        return (found if isinstance(found, Event) else Event(found)).encode()

    def beat(self) -> bytes:
        return b":\n\n"

    def goodbye(self) -> bytes:
        """Another worker takes over, so a client need not wait for long, unless its handler said so."""
        return Event(retry=_BACK_SOON).encode() if self._retry is None else b""

    def close(self) -> None:
        close = getattr(self._events, "close", None)
        if close is not None:
            close()


def last_event_id(request: Request) -> str:
    """The id of the last event that a client had before it connected again; ``""`` when it says none.

    Raises nothing: what is no UTF-8 comes as it was sent, byte by byte.
    """
    field = request.headers.get("last-event-id", "")
    try:
        return field.encode("latin-1").decode()
    except UnicodeError:
        return field
