"""The frames of HTTP/2 (RFC 9113 sections 4 and 6): made, and checked for what can be said of one by itself."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from h2.errors import ErrorCodes

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
WITH_PRIORITY = 0x20

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LARGEST_WINDOW = 2**31 - 1
LAST_STREAM = 2**31 - 1
FRAME_SIZE = 16384
"""Bytes of a frame that everybody takes.  We send none that are larger, whatever a peer says that it takes."""

_SIZES = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_OF_STREAMS = frozenset({DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION})
_OF_CONNECTION = frozenset({SETTINGS, PING, GOAWAY})

HEAD = Struct(">HBBBL")
"""Of a frame: the upper 16 and the lower 8 bits of its size, type, flags, stream."""
_NUMBER = Struct(">L")
_SETTING = Struct(">HL")


class Fault(Exception):
    """The peer broke HTTP/2.  ``code`` is what RFC 9113 section 7 calls it."""

    def __init__(self, code: ErrorCodes, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class ConnectionFault(Fault):
    """A connection error (section 5.4.1): GOAWAY."""


class StreamFault(Fault):
    """A stream error (section 5.4.2): RST_STREAM, the others go on."""


def broken(text: str) -> ConnectionFault:
    return ConnectionFault(ErrorCodes.PROTOCOL_ERROR, text)


def check(kind: int, flags: int, stream: int, size: int) -> None:
    """Raise ConnectionFault for a frame that is wrong whatever came before it; StreamFault for a PRIORITY of another size."""
    if stream == 0 and kind in _OF_STREAMS:
        raise broken(f"a frame of type {kind} belongs to a stream")
    if stream and kind in _OF_CONNECTION:
        raise broken(f"a frame of type {kind} belongs to no stream")
    wanted = _SIZES.get(kind, size)
    if size != wanted:
        fault = StreamFault if kind == PRIORITY else ConnectionFault
        raise fault(ErrorCodes.FRAME_SIZE_ERROR, f"a frame of type {kind} with {size} bytes, not {wanted}")
    if kind == SETTINGS and size % 6:
        raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, f"SETTINGS of {size} bytes, no multiple of 6")
    if kind == SETTINGS and flags & ACK and size:
        raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, "the acknowledgement of SETTINGS holds settings")
    if kind == GOAWAY and size < 8:
        raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, f"GOAWAY of {size} bytes")


def unpadded(payload: bytes, flags: int) -> bytes:
    """The payload of DATA or HEADERS without its padding (section 6.1)."""
    if not flags & PADDED:
        return payload
    if not payload:
        raise ConnectionFault(ErrorCodes.FRAME_SIZE_ERROR, "a padded frame without the size of its padding")
    end = len(payload) - payload[0]
    if end < 1:
        raise broken("more padding than frame")
    return payload[1:end]


def number(payload: bytes) -> int:
    """The 31 bits at the front of ``payload``."""
    return int.from_bytes(payload[:4], "big") & LAST_STREAM


def settings_in(payload: bytes) -> Iterable[tuple[int, int]]:
    """The settings in the payload of SETTINGS, in order."""
    return _SETTING.iter_unpack(payload)


# -- made ----------------------------------------------------------------------------------------------------------


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def head_frames(stream: int, block: bytes, flags: int, limit: int = FRAME_SIZE) -> bytes:
    """HEADERS with ``block``, and CONTINUATION where it holds more than ``limit`` bytes.  ``flags``: END_STREAM or 0."""
    size = len(block)
    if size <= limit:
        return HEAD.pack(size >> 8, size & 0xFF, HEADERS, flags | END_HEADERS, stream) + block
    rest = [
        frame(CONTINUATION, 0 if at + limit < size else END_HEADERS, stream, block[at : at + limit]) for at in range(limit, size, limit)
    ]
    return b"".join([frame(HEADERS, flags, stream, block[:limit]), *rest])


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*value) for value in values))


def reset(stream: int, code: int) -> bytes:
    return frame(RST_STREAM, 0, stream, _NUMBER.pack(code))


def goaway(last: int, code: int, text: str = "") -> bytes:
    return frame(GOAWAY, 0, 0, _NUMBER.pack(last) + _NUMBER.pack(code) + text.encode()[:200])


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, _NUMBER.pack(increment))
