"""The sending half of an HTTP/2 connection: streams, the windows they share, and the ways it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from h2.errors import ErrorCodes

from greenimi.codec import http2_frames as frames
from greenimi.codec.base import Codec
from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http2_frames import ConnectionFault
from greenimi.codec.http2_heads import Http2Limits, encode_status
from greenimi.codec.http2_stream import ENDED, StreamCodec, lost
from greenimi.errors import ProtocolError

RESET_BY_US, RESET_BY_PEER = range(2)
"""How a stream came to its end, beside ``ENDED``."""

_ENDED_KEPT = 128  # streams that are over, of which we know it
_RESETS_KEPT = 1024  # those that were reset: frames of them may be on their way for long
_LAST_CALL = b"lastcall"  # in the ping whose answer tells that the peer knows that we are leaving


class Http2Link(Codec):
    """What streams need of their connection.

    streams   those that are open, by number       orphans  streams that are over while a handler is at work for them
    window    bytes that may be sent now           room     bytes that may be queued in ``out`` until ``pump`` is given more
    """

    __slots__ = (
        "_broken",
        "_calm",
        "_ended",
        "_grant",
        "_last",
        "_last_taken",
        "_leaving",
        "_owed",
        "_prefix",
        "_resets",
        "_second",
        "_waiting",
        "heads",
        "initial_window",
        "limits",
        "orphans",
        "room",
        "streams",
        "window",
    )
    parts_well = True

    def __init__(self, limits: Http2Limits, heads: ResponseHeads) -> None:
        super().__init__()
        self.limits = limits
        self.heads = heads
        self.streams: dict[int, StreamCodec] = {}
        self.orphans = 0
        self.window = 65535
        self.initial_window = 65535  # of a stream, as the peer says
        self.room = limits.room
        self._waiting: dict[StreamCodec, None] = {}  # with something to send that a window or the room held back
        self._prefix = b""  # of the next block of a head
        self._ended: dict[int, int] = {}  # the latest streams that came to their end
        self._resets: dict[int, int] = {}  # and those that were reset: how
        self._last = 0  # the highest stream of the peer
        self._last_taken = frames.LAST_STREAM  # higher ones are ignored
        self._leaving = False  # we said that we take no more streams
        self._grant = limits.connection_window  # bytes that the peer may still send
        self._owed = 0  # bytes that it may be given back
        self._broken: ConnectionFault | None = None  # how the peer broke the protocol
        self._calm = limits.unrest
        self._second = heads.seconds

    def spend(self, cost: int) -> None:
        """Something that leads to nothing.  A little of it is normal.  Raises ConnectionFault when it is too much."""
        second = self.heads.seconds
        if second != self._second:
            limit = self.limits.unrest
            self._calm = min(limit, self._calm + (second - self._second) * max(1, limit // 10))
            self._second = second
        self._calm -= cost
        if self._calm < 0:
            raise ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "too much of what leads to nothing")

    def _calm_down(self, gain: int) -> None:
        """Something useful was done: as much as goes with it is no unrest."""
        if self._calm < self.limits.unrest:
            self._calm += gain

    # -- heads and flow control ---------------------------------------------------------------------------------------
    def head_frames(self, number: int, block: bytes, flags: int) -> bytes:
        """The frames of a head."""
        if self._prefix:
            block, self._prefix = self._prefix + block, b""
        return frames.head_frames(number, block, flags)

    def status_block(self, status: int) -> bytes:
        """The beginning of a head that has no content type."""
        return self.heads.blocks.get((status, "")) or encode_status(status)

    def give_back(self, size: int) -> None:
        """The peer may send as many bytes more on the connection.  It is told when that is worth a frame."""
        self._owed += size
        limit = self.limits.connection_window
        if self._owed and (self._owed * 2 >= limit or self._grant * 4 < limit):
            self.out.append(frames.window_update(0, self._owed))
            self._grant += self._owed
            self._owed = 0

    def went_out(self, size: int) -> None:
        """DATA of this size was queued."""
        self.window -= size
        self.room -= size
        self._calm_down(3)

    def wait_for_room(self, stream: StreamCodec) -> None:
        """``stream`` has something to send."""
        self._waiting[stream] = None

    @property
    def leaving(self) -> bool:
        """We said that we take no more streams."""
        return self._leaving

    @property
    def starved(self) -> bool:
        """Something waits for room in ``out``, and for nothing else."""
        return bool(self._waiting) and self.room <= 0

    def pump(self, room: int | None = None) -> None:
        """Queue what waits, a frame of each stream in turn, as far as windows and room go.  ``room``: there is as much anew."""
        if room is not None:
            self.room = room
        waiting = self._waiting
        went_on = True
        while went_on and waiting:
            went_on = False
            for stream in list(waiting):
                if self.room <= 0:
                    return
                if stream.local_done or (stream.pending and stream.window <= 0):
                    del waiting[stream]
                elif stream.step():
                    went_on = True
                    if not stream.pending:
                        waiting.pop(stream, None)

    # -- the end of a stream ------------------------------------------------------------------------------------------
    def reset(self, stream: StreamCodec, code: int) -> None:
        """RST_STREAM."""
        self.out.append(frames.reset(stream.number, code))
        self._cut(stream, RESET_BY_US, lost())

    def _cut(self, stream: StreamCodec, how: int, error: Exception) -> None:
        self.forget(stream, how)
        stream.cut(error)

    def forget(self, stream: StreamCodec, how: int) -> None:
        """A stream is over."""
        if self.streams.pop(stream.number, None) is None:
            return
        self._waiting.pop(stream, None)
        self._remember(stream.number, how)
        if self._leaving and not self.streams:
            self.closing = True

    def send(self, reply: Any) -> None:
        raise TypeError("HTTP has no messages of its own accord: return a Response, or use SSE or a WebSocket")

    def _remember(self, number: int, how: int) -> None:
        latest, most = (self._ended, _ENDED_KEPT) if how == ENDED else (self._resets, _RESETS_KEPT)
        latest[number] = how
        if len(latest) > most:
            del latest[next(iter(latest))]

    def _end_of(self, number: int) -> int | None:
        """How a stream came to its end; None: it is too long ago, or there was none."""
        how = self._resets.get(number)
        return self._ended.get(number) if how is None else how

    # -- the end of the connection ------------------------------------------------------------------------------------
    def part(self) -> None:
        """Say that we are leaving, so that the peer begins nothing more; what is on its way is still taken (RFC 9113 section 6.8)."""
        if not self._leaving and not self.ended:
            self.out.append(frames.goaway(frames.LAST_STREAM, ErrorCodes.NO_ERROR) + frames.frame(frames.PING, 0, 0, _LAST_CALL))

    def _pong(self, payload: bytes) -> None:
        if payload == _LAST_CALL:
            self.close(1001, "")
        else:
            self.spend(1)

    def close(self, code: int, reason: str) -> None:
        """Take no more streams; ``closing`` when those under way are over."""
        if not self._leaving:
            self._leaving = True
            self._last_taken = self._last
            self.out.append(frames.goaway(self._last, ErrorCodes.NO_ERROR, reason))
        if not self.streams:
            self.closing = True

    def abort(self, fault: frames.Fault) -> None:
        """The peer broke the protocol: tell it, and end what is under way."""
        self._leaving = self.ended = self.closing = True
        self._say_settings_first()
        self.out.append(frames.goaway(self._last, fault.code, fault.text))
        self.drop(ProtocolError(fault.text))

    def _say_settings_first(self) -> None:
        """SETTINGS come before anything else."""

    def drop(self, error: Exception) -> None:
        """Streams under way are lost; handlers that wait for something are woken up."""
        for stream in list(self.streams.values()):
            self._cut(stream, RESET_BY_PEER, error)

    def fail(self, error: ProtocolError) -> None:
        self.abort(self._broken or ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, error.text))

    def break_off(self, error: ProtocolError) -> Sequence[ProtocolError]:
        self.ended = True
        return (error,)

    def turn_away(self) -> None:
        self.abort(ConnectionFault(ErrorCodes.ENHANCE_YOUR_CALM, "come back later"))

    def release(self) -> None:
        """The socket is gone."""
        self.ended = self.closing = True
        self.drop(lost())
