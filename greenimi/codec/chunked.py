"""The chunked transfer coding, strictly (RFC 9112 section 7.1): CRLF only, bounded size lines, bounded trailers."""

from __future__ import annotations

import re

from greenimi.errors import ProtocolError

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t !-~\x80-\xff]*)?")
_TRAILER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t !-~\x80-\xff]*)")
_SIZE_LINE_LIMIT = 4096
_FRAMING = frozenset({"content-length", "transfer-encoding", "host"})  # a trailer of that name is an attack
_NO_TRAILERS = frozenset({"trailer", "content-encoding", "content-type", "authorization"})  # and these are left out

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedReader:
    """Takes a chunked body apart, whatever the split of the bytes.

    ``feed`` returns the pieces of the body; after ``done`` the bytes behind the body are in ``rest``, the trailer fields in ``trailers``.
    """

    __slots__ = ("_left", "_limit", "_room", "_state", "_trailer_size", "done", "rest", "trailers")

    def __init__(self, trailer_limit: int, body_limit: int) -> None:
        self._room = body_limit
        self._state = _SIZE
        self._left = 0
        self._limit = trailer_limit
        self._trailer_size = 0
        self.rest = b""
        self.trailers: list[tuple[str, str]] = []
        self.done = False

    def feed(self, data: bytes) -> list[bytes]:
        """The body pieces in ``data``.  Raises ProtocolError (400, or 431 for trailers over the limit)."""
        if self.rest:
            data = self.rest + data
            self.rest = b""
        pieces: list[bytes] = []
        position = 0
        end = len(data)
        while position < end and self._state != _DONE:
            if self._state == _DATA:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                pieces.append(piece)
                if not self._left:
                    self._state = _DATA_END
                continue
            step = self._line(data, position)
            if step < 0:
                break
            position = step
        self.done = self._state == _DONE
        self.rest = data[position:]
        return pieces

    def _line(self, data: bytes, position: int) -> int:
        """Consume one control line; -1 when it is not complete yet."""
        if self._state == _DATA_END:
            ending = data[position : position + 2]
            if not b"\r\n".startswith(ending):
                raise ProtocolError("a chunk does not end with CRLF")
            if len(ending) < 2:
                return -1
            self._state = _SIZE
            return position + 2
        limit = _SIZE_LINE_LIMIT if self._state == _SIZE else self._limit
        at = data.find(b"\n", position, position + limit + 2)
        if at < 0:
            if len(data) - position > limit + 1:  # its CR may be here
                raise ProtocolError("a chunk's size line or a trailer is too long", status=431 if self._state == _TRAILERS else 400)
            if self._state == _SIZE:
                self._check_partial_size(data[position:])
            return -1
        if at == position or data[at - 1] != 13:
            raise ProtocolError("a line of a chunked body ends without CR")
        line = data[position : at - 1]
        if self._state == _SIZE:
            self._size(line)
        else:
            self._trailer(line)
        return at + 1

    @staticmethod
    def _check_partial_size(start: bytes) -> None:
        """Refuse garbage at once rather than wait for the rest of its line."""
        if start[:1] and not re.match(rb"[0-9A-Fa-f]", start):
            raise ProtocolError("a chunk size is not hexadecimal")

    def _size(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise ProtocolError("a chunk size is malformed")
        self._left = int(match[1], 16)
        self._room -= self._left
        if self._room < 0:
            raise ProtocolError("the body is larger than this server takes", status=413)
        self._state = _DATA if self._left else _TRAILERS

    def _trailer(self, line: bytes) -> None:
        if not line:
            self._state = _DONE
            return
        self._trailer_size += len(line)
        if self._trailer_size > self._limit:
            raise ProtocolError(f"the trailers are over {self._limit} bytes", status=431)
        match = _TRAILER.fullmatch(line)
        if match is None:
            raise ProtocolError("a trailer field is malformed")
        name = match[1].decode("latin-1").lower()
        if name in _FRAMING:
            raise ProtocolError(f"the field {name} is not allowed as a trailer")
        if name not in _NO_TRAILERS:  # they would change what a request means, which was acted on already (RFC 9110 section 6.5.1)
            self.trailers.append((name, match[2].decode("latin-1").rstrip(" \t")))
