"""Compression of WebSocket messages: permessage-deflate (RFC 7692), without what is said of it in a handshake.

A side that keeps its *context* looks back into earlier messages for what it has said already.  That makes small messages smaller, and costs
memory for as long as the connection lives, on both sides.  Without context each message stands alone: one compressed frame serves all
connections of a broadcast, and between two messages a connection holds nothing.
"""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

from greenimi.errors import ProtocolError
from greenimi.message import Message

LARGEST_WINDOW = 15
SMALLEST_WINDOW = 9
"""zlib has no smaller one for compressing, though the standard has 8."""

_TAIL = b"\x00\x00\xff\xff"  # how a flush ends; left out on the wire (section 7.2.1)
_BEHIND_THE_END = (b"", b"\x00")  # of a block that calls itself the last one (section 7.2.3.4)


class DeflateRules(NamedTuple):
    """How one side compresses, and what it asks of the other.

    level    1 (fast) to 9 (small)
    minimum  bytes below which a message is sent as it is
    window   2 ** window bytes are looked back into, by either side; 9 to 15
    context  look back into earlier messages, and let the peer do so
    """

    level: int = 3
    minimum: int = 1024
    window: int = 12
    context: bool = False


class Agreement(NamedTuple):
    """What the two sides of a connection agreed on: windows (the other side's may be 8), and who keeps a context."""

    window: int
    peer_window: int
    context: bool
    peer_context: bool


class Packer:
    """Compresses messages one by one, without context.  Holds nothing, so one serves all connections with the same window."""

    __slots__ = ("_level", "_minimum", "_window")

    def __init__(self, rules: DeflateRules, window: int) -> None:
        self._level = rules.level
        self._minimum = rules.minimum
        self._window = window

    def fresh(self) -> Any:
        """An empty compressor; its memory goes with the window: 2 ** (window + 3) bytes."""
        return zlib.compressobj(self._level, zlib.DEFLATED, -self._window, self._window - 7)

    def pack(self, data: bytes) -> bytes | None:
        """What goes into the frame of a message; None when it should be sent as it is."""
        if len(data) < self._minimum:
            return None
        compressor = self.fresh()
        packed: bytes = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4]
        return packed if len(packed) < len(data) else None

    def part(self, compressor: Any, data: bytes) -> bytes:
        """What goes into the next fragment of a message that one ``fresh`` compressor makes.  It can be read as soon as it is there."""
        packed: bytes = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return packed

    last_part = b"\x00"
    """What goes into the last fragment of such a message: an empty block, without the tail that the parts before it have."""


class ContextPacker(Packer):
    """The same for one connection whose messages look back into those before.  Holds a compressor from the first one on."""

    __slots__ = ("_compressor",)

    def __init__(self, rules: DeflateRules, window: int) -> None:
        super().__init__(rules, window)
        self._compressor: Any = None

    def fresh(self) -> Any:
        if self._compressor is None:
            self._compressor = super().fresh()
        return self._compressor

    def pack(self, data: bytes) -> bytes | None:
        if len(data) < self._minimum:
            return None
        compressor = self.fresh()
        packed: bytes = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return packed[:-4]  # whatever its size: the peer has to follow


class Unpacker:
    """Inflates the messages of one connection, in order.  Holds an inflater between them only where the peer keeps its context."""

    __slots__ = ("_context", "_inflater", "_limit", "_window")

    def __init__(self, window: int, *, context: bool, limit: int) -> None:
        """``limit``: bytes of a message."""
        self._window = max(window, SMALLEST_WINDOW)
        self._context = context
        self._limit = limit
        self._inflater: Any = None

    def unpack(self, data: bytes) -> bytes:
        """The message.  Not a byte over the limit is made, however much ``data`` holds.

        ProtocolError: 1009 over the limit, 1007 for what is not compressed data.
        """
        inflater = self._inflater
        if inflater is None:
            inflater = zlib.decompressobj(-self._window)
        room = self._limit + 1
        try:
            found: bytes = inflater.decompress(data, room)
            if len(found) < room and not inflater.eof:
                found += inflater.decompress(_TAIL, room - len(found))
        except zlib.error:
            raise ProtocolError("compressed data that cannot be read", code=1007) from None
        if len(found) == room:
            raise ProtocolError(f"a message of over {self._limit} bytes", code=1009)
        if inflater.eof and inflater.unused_data not in _BEHIND_THE_END:
            raise ProtocolError("data behind the end of the compressed data", code=1007)
        if self._context:
            self._inflater = None if inflater.eof else inflater
        return found


class PackedMessage(Message):
    """A message as it came, compressed: it takes its real size once somebody handles it."""

    __slots__ = ("_packed", "_text", "_unpacker")

    def __init__(self, packed: bytes, unpacker: Unpacker, *, text: bool) -> None:
        super().__init__(b"")
        self._packed: bytes | None = packed  # None: unpacked
        self._unpacker = unpacker
        self._text = text

    @property
    def size(self) -> int:
        """Bytes that it takes now."""
        return len(self.raw if self._packed is None else self._packed)

    def unpack(self) -> None:
        """Set ``raw``.  To be called for the messages of a connection in order; twice is once.  Raises what ``Unpacker.unpack`` does."""
        if self._packed is None:
            return
        data = self._unpacker.unpack(self._packed)
        self._packed = None
        try:
            self.raw = data.decode() if self._text else data
        except UnicodeDecodeError:
            raise ProtocolError("text that is not UTF-8", code=1007) from None
