"""WebSocket after the HTTP upgrade (RFC 6455), sans-IO.  The upgrade itself is checked in ``handshake``.

A frame that arrived whole takes the short way through ``_read``; fragmented messages and frames that arrive in pieces are gathered in one
buffer, unmasked and checked as they come.  No extension is spoken: ``_check`` is where a reserved bit would get a meaning, ``_deliver``
where a finished message would be inflated.
"""

from __future__ import annotations

import os
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Callable
from typing import Any

from greenimi.codec.base import BODY, NOTHING, Codec
from greenimi.errors import ProtocolError
from greenimi.message import Message

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

NO_STATUS = 1005  # the Close frame held no code
ABNORMAL = 1006  # no Close frame came

MAX_MESSAGE = 1 << 20
PONGS_PER_READ = 16

_BLOCK = 16384
_SENDABLE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})
_utf8_decoder = getincrementaldecoder("utf-8")


def xor_mask(data: bytes, mask: bytes) -> bytes:
    """``data`` XOR the repeated 4-byte ``mask``, without any extension module: as whole numbers, in blocks of bounded size."""
    size = len(data)
    if size > _BLOCK:
        return b"".join([xor_mask(data[at : at + _BLOCK], mask) for at in range(0, size, _BLOCK)])
    key = (mask * (size + 3 >> 2))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


try:
    from websockets.speedups import apply_mask as _apply_mask
except ImportError:
    apply_mask: Callable[[bytes, bytes], bytes] = xor_mask
else:
    apply_mask = _apply_mask


def frame(payload: bytes | str, opcode: int | None = None) -> bytes:
    """One whole message as a server sends it.  ``opcode`` is TEXT for str and BINARY for bytes unless given.

    Encode once, then hand the result to ``send_framed`` of every connection of a broadcast.
    """
    if opcode is None:
        opcode = TEXT if isinstance(payload, str) else BINARY
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload)
    if size < 126:
        return b"%c%c%b" % (0x80 | opcode, size, payload)
    if size < 65536:
        return b"%c\x7e%b%b" % (0x80 | opcode, size.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (0x80 | opcode, size.to_bytes(8, "big"), payload)


def masked_frame(payload: bytes | str, opcode: int | None = None) -> bytes:
    """One whole message as a client sends it."""
    plain = payload.encode() if isinstance(payload, str) else payload
    framed = frame(plain, TEXT if opcode is None and isinstance(payload, str) else opcode)
    mask = os.urandom(4)
    return b"%c%c%b%b%b" % (framed[0], framed[1] | 0x80, framed[2 : len(framed) - len(plain)], mask, apply_mask(plain, mask))


class WebSocketCodec(Codec):
    """One connection, the server's side.

    ``receive`` gives a Message per data message, ``raw`` str for text and bytes for binary.  Pings are answered here: the last 16 of one
    read, all in one piece (RFC 6455 section 5.5.3 asks for the latest only), so that a flood of them cannot multiply work or memory.

    A Close frame of the peer sets ``ended``; ``close`` then answers it, so that messages received before it can still get their replies.
    ``close_code`` and ``close_reason`` are the peer's; 1005 when its Close frame held no code, 1006 as long as it has sent none.

    max_message   bytes of one message, over all its frames     max_frame   bytes of one frame (default: as much as a message)
    text_default  bytes given to ``send`` leave as text: for payloads that encode to UTF-8
    """

    __slots__ = (
        "_answer",
        "_decoder",
        "_final",
        "_left",
        "_mask",
        "_max_frame",
        "_max_message",
        "_message",
        "_opcode",
        "_pings",
        "_rest",
        "_said_goodbye",
        "close_code",
        "close_reason",
        "last_pong",
        "text_default",
    )
    parts_well = True

    # The other end sets this bit beside the size and sends a mask of that many bytes.
    _mask_bit = 0x80
    _mask_size = 4
    _frame = staticmethod(frame)

    def __init__(self, *, max_message: int = MAX_MESSAGE, max_frame: int | None = None, text_default: bool = False) -> None:
        super().__init__()
        self.text_default = text_default
        self.close_code = ABNORMAL
        self.close_reason = ""
        self.last_pong: bytes | None = None  # payload of the latest pong
        self._max_message = max_message
        self._max_frame = max_message if max_frame is None else min(max_frame, max_message)
        self._rest = b""  # an incomplete header or control frame, so never more than 131 bytes
        self._opcode = CONTINUATION  # of the message under way, CONTINUATION when there is none
        self._message = bytearray()  # what arrived of it
        self._decoder: IncrementalDecoder | None = None  # finds bad UTF-8 before the message is complete
        self._left = 0  # bytes of the data frame under way still to come
        self._final = False  # that frame is the message's last
        self._mask = b""
        self._pings: list[bytes] = []
        self._answer: bytes | None = None  # payload of the Close frame that answers the peer's
        self._said_goodbye = False  # our Close frame is out, nothing may follow it

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
        max_frame = self._max_frame
        while end - at >= 2:
            first = data[at]
            size = data[at + 1] ^ mask_bit
            mask_at = at + 2
            if size > 125:
                mask_at += self._size_width(size)
                if mask_at > end:
                    break
                size = _long_size(data[at + 2 : mask_at])
            start = mask_at + mask_size
            stop = start + size
            if stop <= end and first in {0x81, 0x82} and not self._opcode and size <= max_frame:
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
                self._begin(first, size, mask)
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
        if first & 0x70:
            raise ProtocolError("a reserved bit is set though no extension was agreed on")
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
        if size > self._max_frame:
            raise ProtocolError(f"a frame of {size} bytes, at most {self._max_frame} are allowed", code=1009)
        if len(self._message) + size > self._max_message:
            raise ProtocolError(f"a message of over {self._max_message} bytes", code=1009)

    def _begin(self, first: int, size: int, mask: bytes) -> None:
        """A data frame begins that is part of a longer message, or not here in full."""
        if first & 0x0F:
            self._opcode = first & 0x0F
            self._decoder = _utf8_decoder() if self._opcode == TEXT else None
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
        if self._decoder is not None:
            self._decoder.decode(part, final)
        self._message += part
        if final:
            self._deliver(found)
        return start + size

    def _deliver(self, found: list[Message | ProtocolError]) -> None:
        found.append(Message(self._message.decode() if self._opcode == TEXT else bytes(self._message)))
        self._message = bytearray()
        self._opcode = CONTINUATION
        self._decoder = None

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._pings.append(payload)
        elif opcode == PONG:
            self.last_pong = payload
        else:
            self.close_code, self.close_reason = _parse_close(payload)
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

        Dropped after our Close frame, as nothing may follow it.
        """
        if self._said_goodbye:
            return
        if opcode is None:
            opcode = TEXT if self.text_default or isinstance(reply, str) else BINARY
        self.out.append(self._frame(reply, opcode))

    def send_raw(self, raw: bytes | str) -> None:
        self.send(raw, TEXT if isinstance(raw, str) else BINARY)

    def send_framed(self, framed: bytes) -> None:
        """Queue what ``frame`` made, for many connections at once.  Dropped after our Close frame."""
        if not self._said_goodbye:
            self.out.append(framed)

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
        self._goodbye(_close_payload(error.code, error.text))
        self.ended = True
        self.closing = True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begin the closing handshake, or finish the one the peer began (its own code goes back then).  Closing twice does nothing.

        ``closing`` turns True when both sides said goodbye.  The reason is cut to 123 bytes of UTF-8.
        ValueError for codes that may not be sent (1005, 1006, 1015, below 1000, over 4999, unassigned ones).
        """
        payload = _close_payload(code, reason)
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


def _long_size(field: bytes) -> int:
    size = int.from_bytes(field, "big")
    if size < (126 if len(field) == 2 else 65536):
        raise ProtocolError(f"the frame size {size} is written in {len(field)} bytes, not in as few as possible")
    return size


def _parse_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a peer's Close frame."""
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise ProtocolError("a close frame of one byte")
    code = int.from_bytes(payload[:2], "big")
    reason = payload[2:].decode()
    if code not in _SENDABLE_CODES:
        raise ProtocolError(f"close code {code} may not be sent")
    return code, reason


def _close_payload(code: int, reason: str) -> bytes:
    if code not in _SENDABLE_CODES:
        raise ValueError(f"close code {code} may not be sent; use 1000 to 1003, 1007 to 1014 or 3000 to 4999")
    text = reason.encode("utf-8", "replace")
    if len(text) > 123:
        text = text[:123].decode("utf-8", "ignore").encode()
    return code.to_bytes(2, "big") + text
