"""HTTP/1.1 responses: the writing half of the codec of a connection."""

from __future__ import annotations

from collections.abc import Sequence

from greenimi.codec.base import Codec
from greenimi.codec.heads import FRAMING_FIELDS, ResponseHeads, render_fields
from greenimi.errors import ProtocolError
from greenimi.message import Request, Response

_NO_BODY = frozenset({204, 304})


class Http1Answers(Codec):
    """Answers requests in the order they came: whole by ``respond``, or by ``begin``, ``part`` and ``finish``."""

    __slots__ = ("_begun", "_heads", "_owed", "_sent_chunked")

    def __init__(self, heads: ResponseHeads) -> None:
        super().__init__()
        self._heads = heads
        self._begun: Request | None = None  # an answer to it was begun: there is no other
        self._sent_chunked = False
        self._owed: int | None = None  # bytes still to be sent of a body whose length was said

    def respond(self, request: Request, response: Response) -> None:
        """Queue a complete response.  Raises ValueError for fields that cannot be sent; nothing was queued then.

        To a request whose answer has begun already nothing more is said: the connection ends behind it.
        """
        body = response.body
        if self._begun is request:  # a layer failed behind it
            self.closing = True
            return
        if request.stream is not None:
            request.stream.wanted = None  # too late for 100 Continue
        if type(body) is str:
            body = body.encode()
        assert type(body) is bytes, "a streaming body goes through begin, part and finish"
        if not response.headers and request.keep_alive and request.version == "1.1" and response.status not in _NO_BODY:
            key = (response.status, response.content_type)
            begin = self._heads.begin.get(key) or self._heads.make(*key)
            if request.method == "HEAD":
                self.out.append(b"%b%d\r\n\r\n" % (begin, len(body)))
            else:
                self.out.append(b"%b%d\r\n\r\n%b" % (begin, len(body), body))
            return
        bodiless = response.status in _NO_BODY
        framing = b"" if bodiless else b"Content-Length: %d\r\n" % len(body)
        self.out.append(self._slow_head(request, response, framing))
        if body and not bodiless and request.method != "HEAD":
            self.out.append(body)

    def _slow_head(self, request: Request, response: Response, framing: bytes) -> bytes:
        """The head of a response with fields of its own, or one after which the connection closes."""
        close = not request.keep_alive
        fields = []
        for name, value in response.headers:
            lowered = name.lower()
            if lowered == "connection" and value.lower() == "close":
                close = True
            elif lowered not in FRAMING_FIELDS or (lowered == "content-length" and not framing and response.status != 204):
                fields.append((name, value))
        kind = "" if response.status in _NO_BODY else response.content_type
        head = self._heads.start(response.status, kind) + render_fields(fields) + framing
        if close:
            self.closing = True
            request.keep_alive = False
            head += b"Connection: close\r\n"
        elif request.version == "1.0":
            head += b"Connection: keep-alive\r\n"
        return head + b"\r\n"

    def begin(self, request: Request, response: Response) -> bool:
        """Queue the head of a response whose body comes in parts; False when no body may follow (HEAD, 204, 304)."""
        self._owed = None
        if request.stream is not None:
            request.stream.wanted = None
        if request.method == "HEAD" or response.status in _NO_BODY:
            self._sent_chunked = False
            self.out.append(self._slow_head(request, response, b""))
            self._begun = request
            return False
        lengths = [value for name, value in response.headers if name.lower() == "content-length"]
        known = bool(lengths)
        if known:
            self._owed = int(lengths[0])
        self._sent_chunked = not known and request.version == "1.1"
        if not known and request.version == "1.0":
            request.keep_alive = False  # the end of the connection is the end of the body
        self.out.append(self._slow_head(request, response, b"Transfer-Encoding: chunked\r\n" if self._sent_chunked else b""))
        self.closing = False  # not before the body went out
        self._begun = request
        return True

    def part(self, data: bytes) -> None:
        """Queue some of the body.  ValueError when that is more than the Content-Length that the response said."""
        if self._owed is not None:
            self._owed -= len(data)
            if self._owed < 0:
                raise ValueError("the body is longer than its Content-Length")
        if data:
            self.out.append(b"%x\r\n%b\r\n" % (len(data), data) if self._sent_chunked else data)

    def finish(self, request: Request, trailers: Sequence[tuple[str, str]] = ()) -> None:
        """End a body that came in parts."""
        if self._sent_chunked:
            self.out.append(b"0\r\n" + render_fields(trailers) + b"\r\n")
        if not request.keep_alive or self._owed:  # what was promised and not sent cannot be made up for
            self.closing = True

    def hint(self, fields: Sequence[tuple[str, str]]) -> None:
        """Queue an interim response 103 (RFC 8297).  Raises ValueError for fields that cannot be sent."""
        self.out.append(b"HTTP/1.1 103 Early Hints\r\n" + render_fields(fields) + b"\r\n")

    def turn_away(self) -> None:
        head = self._heads.start(503, "")
        self.out.append(head + b"Content-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n")  # no body: it may answer a HEAD
        self.ended = True
        self.closing = True

    def fail(self, error: ProtocolError) -> None:
        body = error.text.encode() + b"\n"
        head = self._heads.start(error.status, "text/plain; charset=utf-8")
        self.out.append(head + b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        self.ended = True
        self.closing = True
