"""WebSockets whose messages are handed out when they begin, and go on while they are read."""

from __future__ import annotations

from typing import Any

from greenimi.codec.websocket import WebSocketCodec
from greenimi.codec.websocket_frames import TEXT
from greenimi.errors import ConnectionClosed, ProtocolError
from greenimi.message import Message
from greenimi.message_stream import MessageStream, StreamedMessage


class StreamingCodec(WebSocketCodec):
    """Gives a StreamedMessage for each message, with its first frame.  They may be of any length; ``max_frame`` still holds.

    ``crowded`` while more than ``room`` bytes of one wait to be read.  Compression is not spoken.
    """

    __slots__ = ("_room", "_stream")

    def __init__(self, *, room: int, **more: Any) -> None:
        super().__init__(**more)
        self._room = room
        self._stream: MessageStream | None = None
        self._whole_frame = -1  # none takes the short way

    def receive(self, data: bytes) -> list[Message | ProtocolError]:
        found = super().receive(data)
        if self.ended:
            last = found[-1] if found else None
            self._abort(last if isinstance(last, ProtocolError) else ConnectionClosed("the client left"))
        return found

    @property
    def crowded(self) -> bool:
        return self._stream is not None and self._stream.size > self._room

    def break_off(self, error: ProtocolError) -> tuple[ProtocolError]:
        self.ended = True
        self._abort(error)
        return (error,)

    def _abort(self, error: Exception) -> None:
        if self._stream is not None:
            self._stream.abort(error)
            self._stream = None

    def _is_too_long(self, size: int, *, compressed: bool) -> bool:
        return False

    def _begin(self, first: int, size: int, mask: bytes, found: list[Message | ProtocolError]) -> None:
        super()._begin(first, size, mask, found)
        if first & 0x0F:
            self._stream = MessageStream(text=self._opcode == TEXT, limit=self._max_message)
            found.append(StreamedMessage(self._stream))

    def _gather(self, part: bytes, final: bool, found: list[Message | ProtocolError]) -> None:
        stream = self._stream
        assert stream is not None
        fresh = part if self._decoder is None else self._decoder.decode(part, final)
        if fresh:
            stream.feed(fresh)
        if final:
            stream.finish()
            self._stream = None
