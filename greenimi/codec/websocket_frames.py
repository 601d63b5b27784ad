"""Frames of a WebSocket (RFC 6455 section 5), as pure functions: what the codec and whoever frames for many connections share."""

from __future__ import annotations

import os
from collections.abc import Callable

from greenimi.errors import ProtocolError

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

COMPRESSED = 0x40
"""Beside the opcode of a message's first frame: the message is compressed (the first reserved bit; RFC 7692 section 6)."""

NO_STATUS = 1005  # the Close frame held no code
ABNORMAL = 1006  # no Close frame came

MAX_MESSAGE = 1 << 20
PONGS_PER_READ = 16

_BLOCK = 16384
_SENDABLE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


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

    Encode once, then hand the result to every connection of a broadcast.
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


def fragment(whole: bytes) -> bytes:
    """The same frame as one that more of its message follow."""
    return b"%c%b" % (whole[0] & 0x7F, whole[1:])


def too_large(size: int, limit: int) -> ValueError:
    """That a message cannot be sent."""
    return ValueError(f"a message of {size} bytes cannot be sent, at most {limit} are allowed")


def long_size(field: bytes) -> int:
    """The size of a frame that is written in 2 or 8 bytes.  ProtocolError when it would have fitted in fewer."""
    size = int.from_bytes(field, "big")
    if size < (126 if len(field) == 2 else 65536):
        raise ProtocolError(f"the frame size {size} is written in {len(field)} bytes, not in as few as possible")
    return size


def parse_close(payload: bytes) -> tuple[int, str]:
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


def close_payload(code: int, reason: str) -> bytes:
    """What a Close frame holds; the reason is cut to 123 bytes.  ValueError for codes that may not be sent."""
    if code not in _SENDABLE_CODES:
        raise ValueError(f"close code {code} may not be sent; use 1000 to 1003, 1007 to 1014 or 3000 to 4999")
    text = reason.encode("utf-8", "replace")
    if len(text) > 123:
        text = text[:123].decode("utf-8", "ignore").encode()
    return code.to_bytes(2, "big") + text
