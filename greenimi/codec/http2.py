"""HTTP/2, server side (RFC 9113), sans-IO: frames to requests, answers to frames.

Header compression is hpack's, error codes and the values of settings are h2's; connection and streams are our own: see decision 0017.
Whatever a peer can make grow, or make us do for nothing, has a limit that is looked at before anything is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from h2.errors import ErrorCodes
from h2.exceptions import InvalidSettingsValueError
from h2.settings import SettingCodes, Settings

from greenimi.codec import http2_frames as frames
from greenimi.codec.base import BODY, HEAD, NOTHING, body_limit
from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http2_blocks import Blocks
from greenimi.codec.http2_frames import ConnectionFault, StreamFault, broken
from greenimi.codec.http2_heads import Head, Http2Limits, malformed, request_head, trailer_fields
from greenimi.codec.http2_link import RESET_BY_PEER, RESET_BY_US, Http2Link
from greenimi.codec.http2_stream import ENDED, StreamCodec
from greenimi.errors import ProtocolError
from greenimi.message import Body, Request

_CONTINUATIONS = 16  # of one head
_SLACK = 1024  # bytes that a block may be longer than the head it stands for
_RULES = Settings(client=True)  # what values may be; no connection's own

NewStream = Callable[[Http2Link, int, Request | None], StreamCodec]


class Http2Codec(Http2Link):
    """One connection.  ``receive`` gives requests; ``request.connection`` is the stream to answer on.

    Nothing is sent before the peer's preface arrived.  ``close`` says that no further stream is taken and lets those under way end;
    ``part`` does so in two steps, so that no request is lost that is on its way.
    """

    __slots__ = (
        "_block",
        "_block_end",
        "_block_fault",
        "_block_size",
        "_block_stream",
        "_blocks",
        "_found",
        "_new_stream",
        "_preface",
        "_rest",
        "_said_settings",
    )

    def __init__(self, limits: Http2Limits, heads: ResponseHeads, new_stream: NewStream = StreamCodec) -> None:
        super().__init__(limits, heads)
        self._new_stream = new_stream
        self._blocks = Blocks(2 * limits.head, limits.table)
        self._preface: bytes | None = frames.PREFACE  # what is left of it; None once SETTINGS came, too
        self._said_settings = False
        self._rest = b""  # an incomplete frame
        self._block: list[bytes] | None = None  # a head whose end has not arrived
        self._block_size = self._block_stream = self._block_end = 0
        self._block_fault: StreamFault | None = None
        self._found: list[Request | ProtocolError] = []

    def receive(self, data: bytes) -> Sequence[Request | ProtocolError]:
        if self.ended:
            return ()
        if not data:
            return self._end_of_input()
        try:
            self._read(data)
        except ConnectionFault as fault:
            self.ended = True
            self._broken = fault
            self._found.append(ProtocolError(fault.text))
        if self._block is not None or self._preface:
            self.partial = HEAD
        else:
            self.partial = BODY if self._rest else NOTHING
        found, self._found = self._found, []  # which would keep them alive
        return found

    def _end_of_input(self) -> Sequence[Request | ProtocolError]:
        """The peer left: without WINDOW_UPDATE there is no talking to it any more."""
        self.release()
        return ()

    def release(self) -> None:
        super().release()
        self._new_stream = StreamCodec

    def _read(self, data: bytes) -> None:
        if self._preface:
            data = self._begin(data)
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at = 0
        end = len(data)
        unpack = frames.HEAD.unpack_from
        limit = self.limits.frame
        while end - at >= 9:
            high, low, kind, flags, number = unpack(data, at)
            size = high << 8 | low
            if size > limit:
                raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, f"a frame of {size} bytes, at most {limit} are allowed")
            stop = at + 9 + size
            if stop > end:
                break
            number &= frames.LAST_STREAM
            payload = data[at + 9 : stop]
            at = stop
            try:
                self._frame(kind, flags, number, payload)
            except StreamFault as fault:
                self._fault(number, fault)
            if self.ended:
                return
        self._rest = data[at:]

    def _begin(self, data: bytes) -> bytes:
        """Take the preface off ``data``, and answer with ours once it is complete."""
        wanted = self._preface or b""
        size = min(len(wanted), len(data))
        if data[:size] != wanted[:size]:
            raise broken("the connection does not begin with the preface of HTTP/2")
        self._preface = wanted[size:]
        if not self._preface:
            self._say_settings_first()
        return data[size:]

    def _say_settings_first(self) -> None:
        if self._said_settings:
            return
        self._said_settings = True
        limits = self.limits
        values = (
            (SettingCodes.HEADER_TABLE_SIZE, limits.table),
            (SettingCodes.ENABLE_PUSH, 0),
            (SettingCodes.MAX_CONCURRENT_STREAMS, limits.streams),
            (SettingCodes.INITIAL_WINDOW_SIZE, limits.window),
            (SettingCodes.MAX_FRAME_SIZE, limits.frame),
            (SettingCodes.MAX_HEADER_LIST_SIZE, limits.head),
            (SettingCodes.ENABLE_CONNECT_PROTOCOL, 1),
        )
        self.out.append(frames.settings(values))
        more = limits.connection_window - 65535
        if more:  # by 0 it would be an error
            self.out.append(frames.window_update(0, more))

    def upgrade(self, request: Request, settings: bytes) -> bool:
        """The connection spoke HTTP/1.1 until ``request``, which is answered on stream 1 (RFC 7540 section 3.2).

        ``settings`` is the payload of the field HTTP2-Settings; False when they cannot be.  To be called before anything is received.
        """
        try:
            self._apply(settings)
        except ConnectionFault as fault:
            self.abort(fault)
            return False
        self._say_settings_first()
        self._last = 1
        request.upgrade = False
        request.version = "2"
        stream = self.streams[1] = self._new_stream(self, 1, request)
        stream.remote_done = True
        self._give_out(stream)
        self._found.clear()
        return True

    # -- frames -------------------------------------------------------------------------------------------------------
    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise broken("another frame in the middle of a head")
        frames.check(kind, flags, number, len(payload))
        if self._preface is not None:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise broken("the first frame is not SETTINGS")
            self._preface = None
        if kind == frames.HEADERS:
            self._headers(number, flags, payload)
        elif kind == frames.DATA:
            self._data(number, flags, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._window_update(number, frames.number(payload))
        elif kind == frames.CONTINUATION:
            self._continuation(number, flags, payload)
        elif kind == frames.RST_STREAM:
            self._rst_stream(number)
        elif kind == frames.SETTINGS:
            if not flags & frames.ACK:
                self.spend(10)
                self._apply(payload)
                self.out.append(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
            else:
                self.spend(1)
        elif kind == frames.PING:
            if flags & frames.ACK:
                self._pong(payload)
            else:
                self.spend(1)
                self.out.append(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif kind == frames.PUSH_PROMISE:
            raise broken("a client cannot promise anything")
        else:  # PRIORITY, which is out of use; GOAWAY, which concerns streams of ours, and there are none; what we do not know
            self.spend(1)
            if kind == frames.PRIORITY and frames.number(payload) == number:
                raise malformed("a stream that depends on itself")

    def _fault(self, number: int, fault: StreamFault) -> None:
        """A stream error.  Whoever makes many of them makes us work for nothing."""
        self.spend(5)
        stream = self.streams.get(number)
        if stream is not None:
            self.out.append(frames.reset(number, fault.code))
            self._cut(stream, RESET_BY_US, ProtocolError(fault.text))
        elif self._idle(number):  # it cannot be reset
            raise ConnectionFault(fault.code, fault.text)
        else:
            self.out.append(frames.reset(number, fault.code))
            if self._end_of(number) is None:
                self._remember(number, RESET_BY_US)

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        self._grant -= size
        if self._grant < 0:
            raise ConnectionFault(ErrorCodes.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
        data = frames.unpadded(payload, flags) if flags & frames.PADDED else payload
        end = flags & frames.END_STREAM
        stream = self.streams.get(number)
        if stream is None:
            self.give_back(size)
            if number <= self._last_taken:
                self.spend(1)
                self._late(number, "DATA")
            return
        if not data and not end:
            self.spend(2)
        stream.feed(data, size, end=bool(end))
        if stream.held is not None and stream.remote_done and not stream.local_done:
            self._give_out(stream)

    def _idle(self, number: int) -> bool:
        """Nobody began this stream.  Those that came when we had said goodbye may have been begun: we did not look."""
        return not number & 1 or self._last < number <= self._last_taken

    def _late(self, number: int, what: str) -> None:
        """A frame of a stream that is over, or was never begun.  Nothing happens when it may have been on its way."""
        how = self._end_of(number)
        if how == RESET_BY_PEER:
            raise StreamFault(ErrorCodes.STREAM_CLOSED, f"{what} behind the reset of a stream")
        if how == ENDED:
            raise ConnectionFault(ErrorCodes.STREAM_CLOSED, f"{what} behind the end of a stream")
        if how != RESET_BY_US:
            raise broken(f"{what} of a stream that was not begun")

    def _window_update(self, number: int, increment: int) -> None:
        self.spend(1)
        stream = self.streams.get(number)
        if stream is None and number and self._idle(number):
            raise broken("WINDOW_UPDATE of a stream that was not begun")
        if not increment:
            fault = StreamFault if number else ConnectionFault
            raise fault(ErrorCodes.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        if stream is not None:
            stream.widen(increment)
        elif not number:
            self.window += increment
            if self.window > frames.LARGEST_WINDOW:
                raise ConnectionFault(ErrorCodes.FLOW_CONTROL_ERROR, "a window of over 2**31 - 1 bytes")
        if self._waiting:
            self.pump()

    def _rst_stream(self, number: int) -> None:
        stream = self.streams.get(number)
        if stream is not None:
            self.spend(5)
            self._cut(stream, RESET_BY_PEER, ProtocolError("the client reset the stream"))
        elif self._idle(number):
            raise broken("RST_STREAM of a stream that was not begun")
        else:
            self.spend(1)

    def _apply(self, payload: bytes) -> None:
        """Take over the peer's settings (RFC 9113 section 6.5)."""
        window = self.initial_window
        for code, value in frames.settings_in(payload):
            try:
                _RULES.validate_received_setting(code, value)
            except InvalidSettingsValueError as error:
                raise ConnectionFault(ErrorCodes(error.error_code), f"the setting {code} cannot be {value}") from None
            if code == SettingCodes.INITIAL_WINDOW_SIZE:
                window = value
            elif code == SettingCodes.HEADER_TABLE_SIZE:
                self._prefix = b"\x20"  # we use no table; a peer that makes its own smaller wants to hear so (RFC 7541 section 4.2)
        more = window - self.initial_window
        self.initial_window = window
        for stream in self.streams.values() if more else ():
            try:
                stream.widen(more)
            except StreamFault as fault:
                raise ConnectionFault(fault.code, fault.text) from None
        if self._waiting:
            self.pump()

    # -- heads --------------------------------------------------------------------------------------------------------
    def _headers(self, number: int, flags: int, payload: bytes) -> None:
        fault = None
        if flags & (frames.PADDED | frames.WITH_PRIORITY):
            payload = frames.unpadded(payload, flags)
            if flags & frames.WITH_PRIORITY:
                if len(payload) < 5:
                    raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
                if frames.number(payload) == number:
                    fault = malformed("a stream that depends on itself")
                payload = payload[5:]
        if flags & frames.END_HEADERS:
            self._head(number, flags & frames.END_STREAM, payload, fault)
            return
        self._block = [payload]
        self._block_size = len(payload)
        self._block_stream, self._block_end, self._block_fault = number, flags & frames.END_STREAM, fault

    def _continuation(self, number: int, flags: int, payload: bytes) -> None:
        block = self._block
        if block is None or number != self._block_stream:
            raise broken("CONTINUATION of no head, or of another stream's")
        self.spend(2)
        block.append(payload)
        self._block_size += len(payload)
        if self._block_size > self.limits.head + _SLACK or len(block) > _CONTINUATIONS:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, f"a head of over {self.limits.head} bytes or {_CONTINUATIONS} frames")
        if flags & frames.END_HEADERS:
            self._block = None
            fault, self._block_fault = self._block_fault, None
            self._head(number, self._block_end, b"".join(block), fault)

    def _head(self, number: int, end: int, block: bytes, fault: StreamFault | None) -> None:
        """A whole head, of a request or its trailers.  It has to be decoded whatever becomes of it: the table changes with it."""
        known = self._blocks.known.get(block)
        fields = self._blocks.decode(block) if known is None else ()
        stream = self.streams.get(number)
        if stream is not None:
            self._trailing(stream, fields or self._blocks.decode(block), end)
            return
        if not number & 1 or number <= self._last:
            self._late(number, "HEADERS")
            return
        if number > self._last_taken:
            self.spend(1)
            return
        self._last = number
        if fault is not None:
            raise fault
        limits = self.limits
        if len(self.streams) + self.orphans >= limits.streams:
            raise StreamFault(ErrorCodes.REFUSED_STREAM, f"over {limits.streams} streams at a time")
        if known is None:
            try:
                known = request_head(fields, limits)
            except ProtocolError as error:
                stream = self.streams[number] = self._new_stream(self, number, None)
                stream.remote_done = bool(end)
                stream.fail(error, to_head=(b":method", b"HEAD") in fields)
                return
            self._blocks.remember(block, known)
        self._open(number, end, known)

    def _trailing(self, stream: StreamCodec, fields: Sequence[tuple[bytes, bytes]], end: int) -> None:
        if stream.remote_done:
            raise StreamFault(ErrorCodes.STREAM_CLOSED, "HEADERS behind the end of a stream")
        if not end:
            raise malformed("trailers that do not end the stream")
        body = stream.body
        trailers = trailer_fields(fields)
        if body is not None:  # else its handler is done
            if stream.expected is not None and body.received != stream.expected:
                raise malformed("the body is not as long as its content-length")
            body.trailers = trailers
        stream.end()
        if stream.held is not None and not stream.local_done:
            self._give_out(stream)

    def _open(self, number: int, end: int, head: Head) -> None:
        request = Request(head.method, head.target, head.path, head.query, head.text, "2")
        stream = self.streams[number] = self._new_stream(self, number, request)
        self._calm_down(1)
        length = head.length
        if end:
            stream.remote_done = True
            if length:
                raise malformed("the body is not as long as its content-length")
            if not head.protocol:
                self._give_out(stream)
                return
        if head.protocol:
            self._open_tunnel(stream, request, head.protocol)
            return
        body = stream.body = request.stream = Body()
        stream.expected = length
        stream.most = most = body_limit(request, self.limits.body, self.limits.form)
        if length is not None and length > most:
            stream.fail(ProtocolError(f"the body is over {most} bytes", status=413))
        elif head.expects:
            body.wanted = lambda: stream.inform(100)
            self._give_out(stream)
        elif length is None or length > self.limits.buffer:  # else the handler begins when all of it is here
            self._give_out(stream)

    def _open_tunnel(self, stream: StreamCodec, request: Request, protocol: str) -> None:
        """An extended CONNECT (RFC 8441): what comes behind it is of another protocol."""
        stream.body = Body()
        if stream.remote_done:
            raise malformed("CONNECT ends its stream")
        if protocol != "websocket":
            stream.fail(ProtocolError("only websocket is spoken by extended CONNECT", status=501))
            return
        request.upgrade = True
        self._give_out(stream)

    def _give_out(self, stream: StreamCodec) -> None:
        request, stream.held = stream.held, None
        assert request is not None
        stream.given = True
        request.connection = stream  # type: ignore[assignment]  # the server's own kind of stream is one
        self._found.append(request)
