"""From what a WSGI application says and returns to a response."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from greenimi.message import Request, Response, Upgrade

if TYPE_CHECKING:
    from greenimi.codec.http1 import Http1Codec
    from greenimi.servers.stream import StreamConnection

_KNOWN_STATUSES = 256
_KNOWN_NAMES = 1024
_statuses: dict[str, int] = {}
_kinds: dict[str, str] = {}
_OURS = frozenset(
    {
        "connection",
        "date",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields that are between this server and its client; those of an application are left out."""


def _status(line: str) -> int:
    """The number in ``"200 OK"``; the words behind it are the server's own.  Raises TypeError, ValueError."""
    if type(line) is not str:
        raise TypeError(f"the status must be a string, not {type(line).__name__}")
    number = line[:3]
    if not (number.isascii() and number.isdigit() and 200 <= int(number) <= 599 and line[3:4] in ("", " ")):
        raise ValueError(f'{line[:40]!r} is not a status such as "200 OK"')
    if len(_statuses) < _KNOWN_STATUSES:
        _statuses[line] = int(number)
    return int(number)


def _kind(name: str) -> str:
    """What is to be done with a field that was not met before."""
    lowered = name.lower()
    kind = lowered if lowered in ("content-type", "content-length") else "ours" if lowered in _OURS else "other"
    if len(_kinds) < _KNOWN_NAMES:
        _kinds[name] = kind
    return kind


class Answer:
    """One answer of an application: ``start`` is its ``start_response``, ``whole`` and ``parts`` make the Response of what it returned."""

    __slots__ = ("_answered", "_begun", "_content_type", "_fields", "_length", "_request", "_status", "_wants_body")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._status = 0
        self._begun = False  # some of it was sent by ``write``
        self._answered = False  # it is a Response now, and may be on its way
        self._length: int | None = None  # as the application says

    @property
    def begun(self) -> bool:
        return self._begun

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """PEP 3333.  Raises TypeError or ValueError for what cannot be sent, RuntimeError when it is called twice."""
        if exc_info is not None:
            if self._begun or self._answered:
                try:
                    raise exc_info[1].with_traceback(exc_info[2])
                finally:
                    exc_info = None  # it refers to this very frame
        elif self._status:
            raise RuntimeError("start_response was called twice, the second time without exc_info")
        number = _statuses.get(status) or _status(status)
        content_type = ""
        length = None
        fields = []
        for name, value in headers:
            if type(value) is not str and not isinstance(value, str):
                raise TypeError(f"the header {name} must be a string, not {type(value).__name__}")
            kind = _kinds.get(name) or _kind(name)
            if kind == "content-type":
                content_type = value
            elif kind == "content-length":
                length = _checked_length(value)
            elif kind == "other":
                fields.append((name, value))
        self._content_type = content_type
        self._fields = fields
        self._length = length
        self._status = number
        return self.write

    def whole(self, body: bytes) -> Response:
        """The answer when ``body`` is all of it."""
        if type(body) is not bytes:
            _checked(body)
        self._answered = True
        length = self._length
        if length is not None and length != len(body):  # to a HEAD, or a mistake
            return self._stream(_rest(body, iter(()), length))
        if not self._status:
            raise RuntimeError("the application did not call start_response")
        self._answered = True
        return Response(body, self._status, self._content_type, self._fields)

    def parts(self, result: Iterable[bytes]) -> Response:
        """The answer when its body comes in parts.  The first one is made now, the others while they are sent."""
        parts = iter(result)
        first = next(parts, None)
        while first == b"":
            first = next(parts, None)
        if self._begun:  # it used ``write`` before its first part
            return self.finish(chain((first or b"",), parts))
        self._answered = True
        if first is None or self._length == len(first):
            return self.whole(first or b"")
        return self._stream(_rest(_checked(first), parts, self._length))

    def _stream(self, parts: Iterable[bytes]) -> Response:
        if not self._status:
            raise RuntimeError("the application did not call start_response")
        fields = self._fields
        if self._length is not None:
            fields = [*fields, ("Content-Length", str(self._length))]
        return Response(parts, self._status, self._content_type, fields)

    def file(self, count: int, send: Callable[[Upgrade, Any], None]) -> Upgrade:
        """The answer when ``send(response, connection)`` sends head and body, which has ``count`` bytes."""
        self._answered = True
        self._length = count
        head = self._stream(())
        response = Upgrade(send, head.headers)
        response.status, response.content_type = head.status, head.content_type
        return response

    def length_within(self, available: int) -> int:
        """How many of the ``available`` bytes are to be sent."""
        return available if self._length is None else min(available, self._length)

    # -- sending before the application returned -------------------------------------------------------------------
    def write(self, data: bytes) -> None:
        """What ``start_response`` returned: sends at once, waits for a slow client.  The connection ends with such an answer.

        Raises ConnectionClosed, and ValueError for more than the Content-Length.
        """
        if type(data) is not bytes:
            raise TypeError(f"write takes bytes, not {type(data).__name__}")
        if self._answered:
            raise RuntimeError("write() was called by the body that the application returned")
        connection, codec = self._link()
        if not self._begun:
            self._request.keep_alive = False  # a layer that fails behind our back cannot answer on it any more
            self._wants_body = codec.begin(self._request, self._stream(()))
            self._begun = True
        if self._wants_body:
            codec.part(data)
            connection.wait_drained()

    def finish(self, result: Iterable[bytes]) -> Upgrade:
        """Send the rest of an answer that was begun by ``write``.  The response says that nothing is left to be done."""
        for part in result:
            self.write(part)
        _, codec = self._link()
        if self._wants_body:
            codec.finish(self._request)
        codec.closing = True
        return Upgrade(_nothing, ())

    def give_up(self) -> None:
        """An answer that was begun cannot be finished: its end is missing, and the client sees that."""
        _, codec = self._link()
        codec.closing = True

    def early_hints(self, headers: list[tuple[str, str]]) -> None:
        """``environ["wsgi.early_hints"]``: an interim answer 103 (RFC 8297) with these fields, at once.  HTTP/1.0 clients get none."""
        if self._request.version == "1.0" or self._begun or self._answered:
            return
        connection, codec = self._link()
        codec.hint(headers)
        connection.flush()

    def _link(self) -> tuple[StreamConnection, Http1Codec]:
        connection: Any = self._request.connection
        if not is_ours(connection):
            raise RuntimeError("write() needs greenimi's own server around it")
        return connection, connection.codec


def is_ours(connection: Any) -> bool:
    """Whether it belongs to a server of greenimi's own, a stream of HTTP/2 included: then it has a codec to send by at any time."""
    return hasattr(connection, "codec")


def _checked_length(value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"the Content-Length {value[:40]!r} is not a number")
    return int(value)


def _checked(part: bytes) -> bytes:
    if type(part) is not bytes:
        raise TypeError(f"a WSGI application returns bytes, not {type(part).__name__}")
    return part


def _rest(first: bytes, parts: Iterator[bytes], length: int | None) -> Iterator[bytes]:
    """``first`` and what comes behind it, up to ``length`` bytes."""
    left = length
    part = first
    while True:
        if left is not None:
            part = part[:left]
            left -= len(part)
        yield _checked(part)
        if left == 0:
            return
        try:
            part = next(parts)
        except StopIteration:
            return


def _nothing(response: Upgrade, connection: Any) -> None:
    """Everything was sent already."""
