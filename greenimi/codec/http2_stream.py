"""One stream of an HTTP/2 connection: a request as it arrives, its answer as it leaves (RFC 9113 section 5).

An answer goes out as far as the windows and the room of the connection let it; the rest waits here, for ``Http2Link.pump``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from h2.errors import ErrorCodes

from greenimi.codec import http2_frames as frames
from greenimi.codec.heads import check_status
from greenimi.codec.http2_heads import encode, encode_fields, encode_length, encode_status, malformed
from greenimi.errors import ConnectionClosed, ProtocolError
from greenimi.message import Body, Request, Response, Upgrade

if TYPE_CHECKING:
    from greenimi.codec.http2_link import Http2Link

ENDED = 2
"""How a stream ends that is not reset; see ``http2_link``."""

_NO_BODY = frozenset({204, 304})
_MANY_CHUNKS = 256  # of a body that arrives in small frames: put together, they take less memory
_SOME_REQUEST = Request("GET", "/", "/", "", "", "2")  # its method matters: the answer has a body,
_SOME_HEAD = Request("HEAD", "/", "/", "", "", "2")  # or none


class StreamCodec:
    """Answers one request: whole by ``respond``, or by ``begin``, ``part`` and ``finish``, as ``Http1Answers`` does.

    held         the request, until ``receive`` gives it out: it would keep this object alive, and this one it
    tunnel       behind the head comes another protocol
    body         what arrives of its body, or of what is behind an extended CONNECT
    given        ``receive`` gave the request out, and its handler is not done (``release``)
    remote_done  the peer has sent all; ``local_done``: we have, or the stream was reset
    pending      bytes of the answer that wait for a window; ``sent``: those that are in frames
    wake         called when something changed that a handler may be waiting for; whoever waits sets it
    """

    __slots__ = (
        "_begun",
        "_ending",
        "_grant",
        "_link",
        "_orphan",
        "_owed",
        "_parts",
        "_returned",
        "_trailers",
        "body",
        "expected",
        "given",
        "held",
        "local_done",
        "most",
        "number",
        "pending",
        "remote_done",
        "sent",
        "tunnel",
        "wake",
        "window",
    )

    paused = False  # nothing ever waits behind a request of a stream

    def __init__(self, link: Http2Link, number: int, request: Request | None) -> None:
        self._link = link
        self.number = number
        self.held = request
        self.tunnel = False
        self.body: Body | None = None
        self.expected: int | None = None  # bytes of the body, as its head says
        self.most: int | None = None  # bytes that the body may have
        self.given = False
        self.remote_done = False
        self.local_done = False
        self.window = link.initial_window
        self.pending = 0
        self.sent = 0
        self.wake: Callable[[], object] | None = None
        self._grant = link.limits.window  # bytes that the peer may still send
        self._returned = 0  # bytes of the body whose room was given back to the peer
        self._parts: deque[memoryview] | None = None
        self._ending = False  # nothing comes behind what is pending
        self._trailers = b""
        self._begun = False
        self._owed: int | None = None
        self._orphan = False

    # -- in: called by the connection ---------------------------------------------------------------------------------
    def feed(self, data: bytes, size: int, *, end: bool) -> None:
        """DATA arrived, ``size`` bytes of it with padding.  Raises StreamFault."""
        self._grant -= size
        if self.remote_done or self._grant < 0:
            self._link.give_back(size)  # the connection goes on
            if self.remote_done:
                raise frames.StreamFault(ErrorCodes.STREAM_CLOSED, "DATA behind the end of a stream")
            raise frames.StreamFault(ErrorCodes.FLOW_CONTROL_ERROR, "more DATA than the stream's window")
        body = self.body
        if body is None or (self.local_done and not self.tunnel):
            self._discard(size, end=end)
            return
        self._give_back(size - len(data))
        expected = self.expected
        most = self.most
        if most is not None and body.received + len(data) > most and body.error is None:
            body.abort(ProtocolError(f"the body is over {most} bytes", status=413))
        if body.error is not None:  # what is on its way is thrown away
            self._link.give_back(len(data))
            self._returned += len(data)
            body.received += len(data)
        elif data:
            body.feed(data)
            if len(body.chunks) > _MANY_CHUNKS:
                body.chunks = [b"".join(body.chunks)]
        if expected is not None and (body.received > expected or (end and body.received < expected)):
            raise malformed("the body is not as long as its content-length")
        if end:
            self.end()
        elif self.wake is not None:
            self.wake()

    def _discard(self, size: int, *, end: bool) -> None:
        """It is answered already, or its handler is done.  Some clients want to read the answer in peace before they hear more."""
        self._link.give_back(size)
        if end:
            self.end()
        elif self._grant * 2 < self._link.limits.window:
            self.stop()

    def stop(self) -> None:
        """Tell the peer that nobody wants the rest of the body (RFC 9113 section 8.1)."""
        if self.unwanted:
            self._link.reset(self, ErrorCodes.NO_ERROR)

    @property
    def unwanted(self) -> bool:
        """All is said, but the peer has more to say."""
        return self.local_done and not self.remote_done and not self.tunnel

    def end(self) -> None:
        """The peer has sent all of its side."""
        self.remote_done = True
        if self.body is not None and self.body.error is None:
            self.body.finish()
        if self.local_done:
            self._link.forget(self, ENDED)
        if self.wake is not None:
            self.wake()

    def consumed(self) -> None:
        """The handler took everything that has arrived of the body: the peer may send as much again."""
        body = self.body
        if body is None or body.chunks:
            return
        size = body.received - self._returned
        limit = self._link.limits.window
        if size and (self.remote_done or size * 2 >= limit or self._grant * 4 < limit):
            self._returned += size
            self._give_back(size)

    def _give_back(self, size: int) -> None:
        if size:
            self._link.give_back(size)
            if not self.remote_done and not self.local_done:
                self._grant += size
                self._link.out.append(frames.window_update(self.number, size))

    def widen(self, increment: int) -> None:
        """WINDOW_UPDATE, or other SETTINGS.  Raises StreamFault."""
        self.window += increment
        if self.window > frames.LARGEST_WINDOW:
            raise frames.StreamFault(ErrorCodes.FLOW_CONTROL_ERROR, "a window of over 2**31 - 1 bytes")
        if self.pending:
            self._link.wait_for_room(self)

    def cut(self, error: Exception) -> None:
        """The stream was reset, or its connection is lost."""
        self.local_done = self.remote_done = True
        self.pending = 0
        self._parts = None
        body = self.body
        if body is not None:
            if not body.finished and body.error is None:
                body.abort(error)
            self._link.give_back(body.received - self._returned)
            self._returned = body.received
        if self.given:
            self._orphan = True
            self._link.orphans += 1
        if self.wake is not None:
            self.wake()

    def release(self) -> None:
        """The handler is done.  What it left unsaid or unread is told to the peer."""
        self.given = False
        if self._orphan:
            self._orphan = False
            self._link.orphans -= 1
        elif not self.closing and not self.tunnel:
            self.give_up()
        body = self.body
        if body is not None and not self.tunnel:
            self._link.give_back(body.received - self._returned)
            self.body = body.pull = body.wanted = None  # it would keep this object alive

    # -- out ----------------------------------------------------------------------------------------------------------
    @property
    def closing(self) -> bool:
        """Nothing more can be said."""
        return self.local_done or self._ending

    @closing.setter
    def closing(self, value: bool) -> None:
        """An answer that was begun and is not complete stays so: the peer sees that by a reset."""
        if value and not self.closing:
            self.give_up()

    def respond(self, request: Request, response: Response) -> None:
        """Queue a complete response.  Raises ValueError for fields that cannot be sent; nothing was queued then."""
        if self._begun:  # a layer failed behind it
            self.closing = True
            return
        if self.local_done:
            return
        body = response.body
        if type(body) is str:
            body = body.encode()
        assert type(body) is bytes, "a streaming body goes through begin, part and finish"
        status = response.status
        link = self._link
        if not response.headers and status not in _NO_BODY:
            key = (status, response.content_type)
            block = (link.heads.blocks.get(key) or self._ready_block(*key)) + encode_length(len(body))
        else:
            block = self._block(response, None if status in _NO_BODY else len(body))
        if request.method == "HEAD" or status in _NO_BODY or not body:
            self._head(block, frames.END_STREAM)
            return
        self._head(block, 0)
        self._send(body, end=True)

    def _ready_block(self, status: int, content_type: str) -> bytes:
        """Make and keep the beginning of blocks with this status and content type."""
        check_status(status)
        heads = self._link.heads
        fields = [("date", heads.date)]
        if content_type:
            fields.append(("content-type", content_type))
        block = encode_status(status) + encode(fields)
        heads.keep_block(status, content_type, block)
        return block

    def _block(self, response: Response, length: int | None) -> bytes:
        """The head of a response with fields of its own.  ``length`` is said instead of what the response says."""
        status = response.status
        kind = "" if status in _NO_BODY or (type(response) is Upgrade and not response.content_type) else response.content_type
        start = self._link.heads.blocks.get((status, kind)) or self._ready_block(status, kind)
        block = start + encode_fields(response.headers)
        if length is None and status != 204:
            said = [value for name, value in response.headers if name.lower() == "content-length"]
            length = int(said[0]) if said else None
        return block if length is None else block + encode_length(length)

    def begin(self, request: Request, response: Response) -> bool:
        """Queue the head of a response whose body comes in parts; False when no body may follow (HEAD, 204, 304)."""
        block = self._block(response, None)
        self._begun = True
        bodiless = request.method == "HEAD" or response.status in _NO_BODY
        if not self.local_done:
            self._head(block, frames.END_STREAM if bodiless else 0)
        lengths = [value for name, value in response.headers if name.lower() == "content-length"]
        self._owed = int(lengths[0]) if lengths else None
        return not bodiless

    def part(self, data: bytes) -> None:
        """Queue some of the body.  ValueError when that is more than the Content-Length that the response said."""
        if self._owed is not None:
            self._owed -= len(data)
            if self._owed < 0:
                raise ValueError("the body is longer than its Content-Length")
        if data and not self.local_done:
            self._send(data, end=False)

    def finish(self, request: Request, trailers: Sequence[tuple[str, str]] = ()) -> None:
        """End a body that came in parts."""
        if self._owed:
            self.closing = True  # what was promised and not sent cannot be made up for
        elif not self.local_done:
            self._trailers = encode_fields(trailers)
            self._send(b"", end=True)

    def inform(self, status: int, fields: Sequence[tuple[str, str]] = ()) -> None:
        """Queue an interim response."""
        block = encode_status(status) + encode_fields(fields)
        if not self._begun and not self.local_done:
            self._link.out.append(self._link.head_frames(self.number, block, 0))

    def hint(self, fields: Sequence[tuple[str, str]]) -> None:
        """Queue an interim response 103 (RFC 8297).  Raises ValueError for fields that cannot be sent."""
        self.inform(103, fields)

    def accept(self, fields: Sequence[tuple[str, str]]) -> None:
        """Queue the answer to an extended CONNECT (RFC 8441): from now on the stream carries another protocol, by ``part``."""
        self._begun = self.tunnel = True
        if not self.local_done:
            self._head(self._link.status_block(200) + encode_fields(fields), 0)

    def end_tunnel(self) -> None:
        """Say that nothing more comes of the other protocol."""
        self._send(b"", end=True)

    def end_of_tunnel(self) -> None:
        """Nobody reads any more."""
        self.tunnel = False
        self.release()

    def fail(self, error: ProtocolError, *, to_head: bool = False) -> None:
        """Answer with an error of HTTP.  ``to_head``: what cannot be taken for a request was one of HEAD, so no body may follow."""
        request = self.held or (_SOME_HEAD if to_head else _SOME_REQUEST)
        self.respond(request, Response(error.text.encode(errors="replace") + b"\n", error.status))

    def turn_away(self) -> None:
        """Say that there is too much to do."""
        self.respond(_SOME_REQUEST, Response(b"", 503, "", [("Retry-After", "1")]))

    def give_up(self, code: int = ErrorCodes.INTERNAL_ERROR) -> None:
        """Reset the stream; nothing that waits is sent.  Does nothing when it is over."""
        if not self.local_done:
            self._link.reset(self, code)

    def _head(self, block: bytes, flags: int) -> None:
        if self.body is not None:
            self.body.wanted = None  # too late for 100 Continue
        self._link.out.append(self._link.head_frames(self.number, block, flags))
        if flags:
            self._local_end()

    def _send(self, data: bytes, *, end: bool) -> None:
        link = self._link
        size = len(data)
        if not self.pending and size <= frames.FRAME_SIZE and size <= self.window and size <= link.window and link.room > 0:
            self._frame(data, size, last=end)
            return
        if size:
            if self._parts is None:
                self._parts = deque()
            self._parts.append(memoryview(data))
            self.pending += size
        self._ending = end
        link.wait_for_room(self)
        link.pump()

    def _frame(self, data: bytes | memoryview, size: int, *, last: bool) -> None:
        """One DATA frame, which the windows have room for.  ``last``: the answer ends with it."""
        link = self._link
        self.window -= size
        self.sent += size
        link.went_out(size)
        end = last and not self._trailers
        if size or end:
            link.out.append(b"".join((frames.HEAD.pack(size >> 8, size & 0xFF, 0, 1 if end else 0, self.number), data)))
        if last:
            if self._trailers:
                link.out.append(link.head_frames(self.number, self._trailers, frames.END_STREAM))
            self._local_end()

    def step(self) -> bool:
        """Send one frame of what is pending; False when the windows have no room for it."""
        if not self.pending:
            if self._ending and not self.local_done:
                self._frame(b"", 0, last=True)
            return True
        link = self._link
        size = min(frames.FRAME_SIZE, self.window, link.window, self.pending)
        if size <= 0:
            return False
        parts = self._parts
        assert parts
        part = parts[0]
        if len(part) > size:
            parts[0] = part[size:]
            part = part[:size]
        else:
            parts.popleft()
            size = len(part)
        self.pending -= size
        self._frame(part, size, last=self._ending and not self.pending)
        if self.wake is not None:
            self.wake()
        return True

    def _local_end(self) -> None:
        self.local_done = True
        if self.remote_done:
            self._link.forget(self, ENDED)


def lost() -> ConnectionClosed:
    """What readers of a body get when its connection is lost."""
    return ConnectionClosed("the client left")
