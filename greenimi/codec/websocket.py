"""WebSocket after the HTTP upgrade (RFC 6455), sans-IO.  The upgrade itself is checked in ``handshake``.

A frame that arrived whole takes the short way through ``_read``; fragmented messages, compressed ones and frames that arrive in pieces are
gathered in one buffer, unmasked and checked as they come.  Compressed ones are handed out as they are, so that none of them takes more room
than was sent before somebody handles it.
"""

from __future__ import annotations

from codecs import IncrementalDecoder, getincrementaldecoder
from typing import Any

from greenimi.codec.base import BODY, NOTHING, Codec
from greenimi.codec.deflate import PackedMessage, Packer, Unpacker
from greenimi.codec.websocket_frames import (
    ABNORMAL,
    BINARY,
    CLOSE,
    COMPRESSED,
    CONTINUATION,
    MAX_MESSAGE,
    PING,
    PONG,
    PONGS_PER_READ,
    TEXT,
    apply_mask,
    close_payload,
    fragment,
    frame,
    long_size,
    masked_frame,
    parse_close,
    too_large,
)
from greenimi.errors import ProtocolError
from greenimi.message import Message

_MOST_EMPTY = 1000  # frames without anything that a message may have: without a limit it would never have to end

_utf8_decoder = getincrementaldecoder("utf-8")


class WebSocketCodec(Codec):
    """One connection, the server's side.

    ``receive`` gives a Message per data message, ``raw`` str for text and bytes for binary; a PackedMessage for one that came compressed.
    Pings are answered here: the last 16 of one read, all in one piece (RFC 6455 section 5.5.3 asks for the latest only), so that a flood
    of them cannot multiply work or memory.

    A Close frame of the peer sets ``ended``; ``close`` then answers it, so that messages received before it can still get their replies.
    ``close_code`` and ``close_reason`` are the peer's; 1005 when its Close frame held no code, 1006 as long as it has sent none.

    max_message   bytes of one message, over all its frames and inflated; in both directions, but what is sent in parts has no limit
    max_frame     bytes of one frame that comes in (default: as much as a message)
    text_default  bytes given to ``send`` leave as text: for payloads that encode to UTF-8
    packer, unpacker  compress and inflate messages, where that was agreed on; connections may share a packer that keeps no context
    subprotocol   what was agreed on; ``""``: none
    """

    __slots__ = (
        "_answer",
        "_arrived",
        "_compressed",
        "_compressor",
        "_decoder",
        "_empty",
        "_final",
        "_left",
        "_mask",
        "_max_frame",
        "_max_message",
        "_message",
        "_next_part",
        "_opcode",
        "_packer",
        "_pings",
        "_rest",
        "_said_goodbye",
        "_unpacker",
        "_whole_frame",
        "close_code",
        "close_reason",
        "last_pong",
        "subprotocol",
        "text_default",
    )
    parts_well = True
    pings = True

    # The other end sets this bit beside the size and sends a mask of that many bytes.
    _mask_bit = 0x80
    _mask_size = 4
    _frame = staticmethod(frame)

    def __init__(
        self,
        *,
        max_message: int = MAX_MESSAGE,
        max_frame: int | None = None,
        text_default: bool = False,
        packer: Packer | None = None,
        unpacker: Unpacker | None = None,
        subprotocol: str = "",
    ) -> None:
        super().__init__()
        self.text_default = text_default
        self.subprotocol = subprotocol
        self.close_code = ABNORMAL
        self.close_reason = ""
        self.last_pong: bytes | None = None  # payload of the latest pong
        self._packer = packer
        self._unpacker = unpacker
        self._max_message = max_message
        self._max_frame = max_frame
        self._whole_frame = max_message if max_frame is None else min(max_frame, max_message)  # the largest that is taken at once
        self._rest = b""  # an incomplete header or control frame, so never more than 131 bytes
        self._opcode = CONTINUATION  # of the message under way, CONTINUATION when there is none
        self._message = bytearray()  # what arrived of it
        self._arrived = 0  # bytes of its frames so far, the one under way in full
        self._empty = 0  # frames of it without anything
        self._compressed = False
        self._decoder: IncrementalDecoder | None = None  # finds bad UTF-8 before the message is complete
        self._left = 0  # bytes of the data frame under way still to come
        self._final = False  # that frame is the message's last
        self._mask = b""
        self._pings: list[bytes] = []
        self._answer: bytes | None = None  # payload of the Close frame that answers the peer's
        self._said_goodbye = False  # our Close frame is out, nothing may follow it
        self._next_part = CONTINUATION  # opcode of the next frame of the message that goes out in parts
        self._compressor: Any = None  # of that message

    # -- in --------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Message | ProtocolError]:
        """Feed bytes.  After a Close frame, an error or the end of the stream nothing more is delivered."""
        found: list[Message | ProtocolError] = []
        if self.ended:
            return found
        if not data:
            self.ended = True
            self.closing = self._said_goodbye
            self._said_goodbye = True  # nobody listens any more
            return found
        try:
            self._read(data, found)
        except ProtocolError as error:
            self.ended = True
            found.append(error)
        except UnicodeDecodeError:
            self.ended = True
            found.append(ProtocolError("text that is not UTF-8", code=1007))
        if self._pings:
            self._send_pongs()
        self.partial = BODY if self._rest or self._opcode else NOTHING
        return found

    def _read(self, data: bytes, found: list[Message | ProtocolError]) -> None:
        at = 0
        if self._left:
            at = self._take(data, 0, found)
        elif self._rest:
            data = self._rest + data
            self._rest = b""
        end = len(data)
        mask_bit = self._mask_bit
        mask_size = self._mask_size
        whole_frame = self._whole_frame
        while end - at >= 2:
            first = data[at]
            size = data[at + 1] ^ mask_bit
            mask_at = at + 2
            if size > 125:
                mask_at += self._size_width(size)
                if mask_at > end:
                    break
                size = long_size(data[at + 2 : mask_at])
            start = mask_at + mask_size
            stop = start + size
            if stop <= end and first in {0x81, 0x82} and not self._opcode and size <= whole_frame:
                payload = data[start:stop]
                if mask_size:
                    payload = apply_mask(payload, data[mask_at:start])
                found.append(Message(payload.decode() if first == 0x81 else payload))
                at = stop
                continue
            self._check(first, size)
            mask = data[mask_at:start]
            if first & 0x08:
                if stop > end:
                    break
                payload = data[start:stop]
                self._control(first & 0x0F, apply_mask(payload, mask) if mask else payload)
                if self.ended:
                    return
                at = stop
            else:
                if start > end:
                    break
                self._begin(first, size, mask, found)
                at = self._take(data, start, found)
        if at < end:
            self._rest = data[at:]

    def _size_width(self, size: int) -> int:
        """How many bytes tell the size of a frame whose short size field says that it does not fit there."""
        if size > 127:
            raise ProtocolError("a frame without a mask" if self._mask_bit else "a masked frame from a server")
        return 2 if size == 126 else 8

    def _check(self, first: int, size: int) -> None:
        """The rules for a header, known before any of its payload is kept."""
        opcode = first & 0x0F
        if first & 0x70 and not (first & 0x70 == COMPRESSED and self._unpacker is not None and opcode in {TEXT, BINARY}):
            raise ProtocolError("a reserved bit is set though no extension was agreed on that gives it a meaning")
        if opcode & 0x08:
            if opcode > PONG:
                raise ProtocolError(f"unknown opcode {opcode}")
            if first < 0x80:
                raise ProtocolError("a fragmented control frame")
            if size > 125:
                raise ProtocolError(f"a control frame of {size} bytes, at most 125 are allowed")
            return
        if opcode > BINARY:
            raise ProtocolError(f"unknown opcode {opcode}")
        if opcode and self._opcode:
            raise ProtocolError("a new message before the last one was complete")
        if not opcode and not self._opcode:
            raise ProtocolError("a continuation of no message")
        if self._max_frame is not None and size > self._max_frame:
            raise ProtocolError(f"a frame of {size} bytes, at most {self._max_frame} are allowed", code=1009)
        if self._is_too_long(self._arrived + size, compressed=self._compressed or bool(first & COMPRESSED)):
            raise ProtocolError(f"a message of over {self._max_message} bytes", code=1009)

    def _is_too_long(self, size: int, *, compressed: bool) -> bool:
        """Whether ``size`` is too much for the frames of a message.  What cannot be compressed becomes a little larger by that."""
        return size > (self._max_message + (self._max_message >> 3) + 64 if compressed else self._max_message)

    def _begin(self, first: int, size: int, mask: bytes, found: list[Message | ProtocolError]) -> None:
        """A data frame begins that is part of a longer message, or compressed, or not here in full."""
        if first & 0x0F:
            self._opcode = first & 0x0F
            self._compressed = bool(first & COMPRESSED)
            self._decoder = _utf8_decoder() if first & ~0x80 == TEXT else None
            self._empty = 0
        if not size:
            self._empty += 1
            if self._empty > _MOST_EMPTY:
                raise ProtocolError(f"over {_MOST_EMPTY} empty frames in a message", code=1008)
        self._arrived += size
        self._final = first >= 0x80
        self._left = size
        self._mask = mask

    def _take(self, data: bytes, start: int, found: list[Message | ProtocolError]) -> int:
        """What ``data`` holds of the data frame under way.  Returns where that ends."""
        part = data[start : start + self._left]
        size = len(part)
        self._left -= size
        if self._mask:
            part = apply_mask(part, self._mask)
            turn = size & 3
            self._mask = self._mask[turn:] + self._mask[:turn]
        final = self._final and not self._left
        self._gather(part, final, found)
        if final:
            self._opcode = CONTINUATION
            self._arrived = 0
            self._compressed = False
            self._decoder = None
        return start + size

    def _gather(self, part: bytes, final: bool, found: list[Message | ProtocolError]) -> None:
        """The next bytes of the message under way."""
        if self._decoder is not None:
            self._decoder.decode(part, final)
        self._message += part
        if final:
            found.append(self._complete())
            self._message = bytearray()

    def _complete(self) -> Message:
        text = self._opcode == TEXT
        if self._compressed and self._unpacker is not None:
            return PackedMessage(bytes(self._message), self._unpacker, text=text)
        return Message(self._message.decode() if text else bytes(self._message))

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._pings.append(payload)
        elif opcode == PONG:
            self.last_pong = payload
        else:
            self.close_code, self.close_reason = parse_close(payload)
            self._answer = payload[:2]
            self.ended = True
            self.closing = self._said_goodbye

    def _send_pongs(self) -> None:
        if not self._said_goodbye:
            self.out.append(b"".join([self._frame(payload, PONG) for payload in self._pings[-PONGS_PER_READ:]]))
        self._pings.clear()

    # -- out -------------------------------------------------------------------------------------------------------

    def send(self, reply: Any, opcode: int | None = None) -> None:
        """Queue one message: str leaves as text, bytes as binary (or text, by ``text_default``) unless ``opcode`` says otherwise.

        Dropped after our Close frame, as nothing may follow it.  ValueError when it is over ``max_message``.
        """
        if self._said_goodbye:
            return
        if opcode is None:
            opcode = TEXT if self.text_default or isinstance(reply, str) else BINARY
        if isinstance(reply, str):
            reply = reply.encode()
        if len(reply) > self._max_message:
            raise too_large(len(reply), self._max_message)
        if self._packer is not None:
            packed = self._packer.pack(reply)
            if packed is not None:
                reply = packed
                opcode |= COMPRESSED
        self.out.append(self._frame(reply, opcode))

    def send_raw(self, raw: bytes | str) -> None:
        self.send(raw, TEXT if isinstance(raw, str) else BINARY)

    def change_payload(self, *, text: bool) -> None:
        self.text_default = text

    def send_framed(self, framed: bytes) -> None:
        """Queue what a WebSocketDialect made, for many connections at once.  Dropped after our Close frame."""
        if not self._said_goodbye:
            self.out.append(framed)

    def begin_parts(self, *, text: bool) -> None:
        """Begin a message that is sent in parts, a fragment each: call ``part`` for each of them, then ``finish_parts``.

        Until then no other message may be queued; pings, pongs and the goodbye go between the parts.
        """
        self._next_part = TEXT if text else BINARY
        if self._packer is not None:
            self._compressor = self._packer.fresh()
            self._next_part |= COMPRESSED

    def part(self, data: bytes) -> None:
        """Queue the next part.  Dropped after our Close frame."""
        if self._packer is not None:
            data = self._packer.part(self._compressor, data)
        if not self._said_goodbye:
            self.out.append(fragment(self._frame(data, self._next_part)))
        self._next_part = CONTINUATION

    def finish_parts(self) -> None:
        """The message is complete."""
        if not self._said_goodbye:
            self.out.append(self._frame(b"" if self._compressor is None else Packer.last_part, self._next_part))
        self._compressor = None

    def ping(self, payload: bytes = b"") -> None:
        """Queue a ping; the pong will set ``last_pong`` to the same payload.  ValueError over 125 bytes."""
        if len(payload) > 125:
            raise ValueError(f"a ping holds at most 125 bytes, not {len(payload)}")
        if not self._said_goodbye:
            self.out.append(self._frame(payload, PING))

    def probe(self) -> bool:
        self.ping()
        return True

    def fail(self, error: ProtocolError) -> None:
        """Tell the peer what it broke; the socket is to be closed without waiting for an answer."""
        self._goodbye(close_payload(error.code, error.text))
        self.ended = True
        self.closing = True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake, or finish the one the peer began (its own code goes back then).  Closing twice does nothing.

        ``closing`` turns True when both sides said goodbye.  The reason is cut to 123 bytes of UTF-8.
        ValueError for codes that may not be sent (1005, 1006, 1015, below 1000, over 4999, unassigned ones).
        """
        payload = close_payload(code, reason)
        self._goodbye(payload if self._answer is None else self._answer)
        if self.ended:
            self.closing = True

    def _goodbye(self, payload: bytes) -> None:
        if not self._said_goodbye:
            self._said_goodbye = True
            self.out.append(self._frame(payload, CLOSE))


class ClientCodec(WebSocketCodec):
    """The client's side of a connection: frames that go out are masked, frames that come in must not be."""

    __slots__ = ()

    _mask_bit = 0
    _mask_size = 0
    _frame = staticmethod(masked_frame)

    def send_framed(self, framed: bytes) -> None:
        """A client masks every frame with a key of its own, so it has nothing to share between connections."""
        raise TypeError("a client cannot send frames made by frame(); use send()")
