"""Frames between two processes of a machine: length (4 bytes), kind (1), then the fields of the kind.  Numbers are little-endian.

::

    HELLO   magic (4), version (2), process (4), process id (4)     first of all, each way
    WANT    target, UTF-8                                           packets for it are wanted there
    UNWANT  target, UTF-8                                           and not any more
    READY   nothing                                                 all that is wanted there was told
    BEAT    nothing                                                 there is nothing to say
    TELL    packet
    CALL    number (4), packet                                      wants an ANSWER of that number
    ANSWER  number (4), packet
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

HELLO, WANT, UNWANT, READY, BEAT, TELL, CALL, ANSWER = range(8)

LARGEST = 64 * 1024 * 1024
"""Bytes of a frame behind its kind, at most."""

VERSION = 1
_MAGIC = b"gimi"
_HEAD = Struct("<IB")
_NUMBERED = Struct("<IBI")
_NUMBER = Struct("<I")
_HELLO = Struct("<4sHII")
_head_of = _HEAD.unpack_from
_HEAD_SIZE = _HEAD.size


class FrameError(Exception):
    """What came is no frame, or none that may come now."""


class Greeting(NamedTuple):
    process: int
    pid: int


def frame(kind: int, body: bytes = b"") -> bytes:
    return _HEAD.pack(len(body), kind) + body


def numbered(kind: int, number: int, packet: bytes) -> bytes:
    """A CALL or an ANSWER."""
    return _NUMBERED.pack(len(packet) + 4, kind, number) + packet


def number_of(body: bytes) -> int:
    """Of a CALL or an ANSWER; the packet begins behind the fourth byte."""
    if len(body) < _NUMBER.size:
        raise FrameError("a number is missing")
    number: int = _NUMBER.unpack_from(body)[0]
    return number


def hello(process: int, pid: int) -> bytes:
    return frame(HELLO, _HELLO.pack(_MAGIC, VERSION, process, pid))


def greeting_of(body: bytes) -> Greeting:
    """Who says a HELLO.  FrameError when it is none, or one of another version."""
    if len(body) != _HELLO.size or not body.startswith(_MAGIC):
        raise FrameError("it does not say hello")
    _, version, process, pid = _HELLO.unpack(body)
    if version != VERSION:
        raise FrameError(f"it speaks version {version}, this process version {VERSION}")
    return Greeting(process, pid)


def target_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise FrameError("a target is no UTF-8") from None


class FrameReader:
    """Cuts what is received into frames, however it was split on its way."""

    __slots__ = ("_chunks", "_have", "_need")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []  # of a frame that is not complete,
        self._have = 0  # so many bytes,
        self._need = 0  # and so many make the next step

    def receive(self, data: bytes, frames: list[tuple[int, bytes]]) -> None:
        """Add every frame that is complete, as (kind, body).  Raises FrameError behind the last good one."""
        if self._chunks:
            self._chunks.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        end = len(data)
        at = 0
        need = _HEAD_SIZE
        while end - at >= _HEAD_SIZE:
            length, kind = _head_of(data, at)
            if length > LARGEST or kind > ANSWER:
                raise FrameError(f"a frame of {length} bytes and kind {kind}")
            body = at + _HEAD_SIZE
            if body + length > end:
                need += length
                break
            at = body + length
            frames.append((kind, data[body:at]))
        if at < end:
            self._chunks.append(data[at:])
            self._have = end - at
            self._need = need
