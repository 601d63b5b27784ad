"""The first message of a TLS client, as far as it must be known before OpenSSL gets it (RFC 8446 section 4.1.2, RFC 7301).

Python's ssl goes on without a protocol where RFC 7301 wants a client refused that offers only protocols the server does not speak, and it
does not tell afterwards what was offered.
"""

from __future__ import annotations

LIMIT = 16 * 1024
"""Bytes of a hello that are looked at; those of real clients stay below 4 KiB."""

_RECORDS = 4  # that a hello may be spread over; one is usual
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_ALPN = 16


class _Unreadable(Exception):
    pass


def offered_protocols(data: bytes | bytearray) -> list[bytes] | None:
    """The application protocols (ALPN) that the hello at the front of ``data`` offers; None while it is not complete.

    What is no hello, or one that cannot be read, offers nothing: refusing it is OpenSSL's part.
    """
    try:
        body = _reassemble(data)
        return None if body is None else _protocols(body)
    except _Unreadable:
        return []


def _reassemble(data: bytes | bytearray) -> bytes | None:
    """The hello's body out of its records; None while something is missing."""
    message = bytearray()
    at = 0
    for _ in range(_RECORDS):
        if at >= len(data):
            return None
        if data[at] != _HANDSHAKE:
            raise _Unreadable
        if len(data) < at + 5:
            return None
        end = at + 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        message += data[at + 5 : end]
        if message and message[0] != _CLIENT_HELLO:
            raise _Unreadable
        if len(message) >= 4:
            size = int.from_bytes(message[1:4], "big")
            if size > LIMIT:
                raise _Unreadable
            if len(message) >= 4 + size:
                return bytes(message[4 : 4 + size])
        at = end
    raise _Unreadable


def _protocols(body: bytes) -> list[bytes]:
    fields = _Cutter(body)
    fields.skip(2 + 32)  # version, random
    fields.cut(1)  # session
    fields.cut(2)  # ciphers
    fields.cut(1)  # compression
    if not fields.left:
        return []
    extensions = _Cutter(fields.cut(2))
    while extensions.left:
        kind = extensions.number(2)
        content = extensions.cut(2)
        if kind == _ALPN:
            names = _Cutter(_Cutter(content).cut(2))
            found = []
            while names.left:
                found.append(names.cut(1))
            return found
    return []


class _Cutter:
    """Takes fields off the front of a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def skip(self, size: int) -> None:
        if size > self.left:
            raise _Unreadable
        self._at += size

    def number(self, size: int) -> int:
        start = self._at
        self.skip(size)
        return int.from_bytes(self._data[start : self._at], "big")

    def cut(self, prefix: int) -> bytes:
        """A field that begins with its length, in ``prefix`` bytes."""
        size = self.number(prefix)
        start = self._at
        self.skip(size)
        return self._data[start : self._at]
