"""multipart/form-data (RFC 7578), read as it arrives, sans-IO: bytes in, parts out.

Strict: what two readers could understand differently is refused.  Any split of the bytes gives the same parts and the same error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from greenimi.errors import BadMessage, Refusal, TooLarge
from greenimi.message import Headers

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_parameter = re.compile(rf';[ \t]*({_WORD})=("(?:[^"\\\x00-\x1f\x7f]|\\.)*"|{_WORD})[ \t]*').match
_kind = re.compile(rf"({_WORD}(?:/{_WORD})?)[ \t]*").match
_is_field_name = re.compile(_WORD).fullmatch
_has_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_is_boundary = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]").fullmatch
_PERCENT = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # as HTML has browsers write what would end a quoted text
_percents = re.compile(r"%(?:22|0[DdAa])")
_escapes = re.compile(r'\\(["\\])')
_CHARSETS = frozenset({"", "utf-8", "utf8", "us-ascii"})
_CODINGS = frozenset({"7bit", "8bit", "binary"})

_START, _DELIMITER, _HEAD, _DATA, _END = range(5)


@dataclass(frozen=True, slots=True)
class Part:
    """The head of a part; its bytes follow.  ``filename`` is None for a field that is no file."""

    name: str
    filename: str | None
    content_type: str
    headers: Headers


class PartEnd:
    """All of a part was given."""


PART_END = PartEnd()
Event = Part | bytes | PartEnd


class MultipartParser:
    """One form.  Feed it with bytes; ``close`` when there are no more.

    Both raise BadMessage (400) for what is malformed, TooLarge (413) for the head of a part of more than ``max_head`` bytes.
    """

    __slots__ = ("_buffer", "_delimiter", "_max_head", "_state")

    def __init__(self, boundary: str, max_head: int = 4096) -> None:
        self._delimiter = b"\r\n--" + boundary.encode()
        self._max_head = max_head
        self._state = _START
        self._buffer = b""

    def feed(self, data: bytes) -> Sequence[Event]:
        """What is complete by now: a Part, its bytes in pieces, PART_END, the next Part, ..."""
        found: list[Event] = []
        buffer = self._buffer + data if self._buffer else data
        while True:
            state = self._state
            rest: bytes | None
            if state == _DATA:
                rest = self._data(buffer, found)
            elif state == _HEAD:
                rest = self._head(buffer, found)
            elif state == _DELIMITER:
                rest = self._behind_delimiter(buffer)
            elif state == _START:
                rest = self._first_delimiter(buffer)
            else:
                rest = self._epilogue(buffer)
            buffer = buffer if rest is None else rest
            if rest is None or self._state == state:
                break
        self._buffer = buffer
        return found

    def close(self) -> None:
        """There are no more bytes."""
        if self._state != _END:
            raise BadMessage("the form ends before its final boundary")

    # each takes what stands at the front of the buffer and gives the rest; None, or the same state: it needs more bytes
    def _first_delimiter(self, buffer: bytes) -> bytes | None:
        """Senders of forms write no preamble; an empty line in front is known from some."""
        skip = 0 if buffer.startswith(b"\r") else 2
        wanted = self._delimiter[skip:]
        if buffer.startswith(wanted):
            self._state = _DELIMITER
            return buffer[len(wanted) :]
        if not wanted.startswith(buffer):
            raise BadMessage("the form does not begin with its boundary")
        return None

    def _behind_delimiter(self, buffer: bytes) -> bytes | None:
        mark = buffer[:2]
        if mark == b"\r\n":
            self._state = _HEAD
        elif mark == b"--":
            self._state = _END
        elif mark in (b"", b"\r", b"-"):
            return None
        else:
            raise BadMessage("unexpected bytes behind a boundary of the form")
        return buffer[2:]

    def _head(self, buffer: bytes, found: list[Event]) -> bytes | None:
        if buffer.startswith(b"\r\n"):
            raise BadMessage("a part of the form has no header fields")
        end = buffer.find(b"\r\n\r\n", 0, self._max_head + 4)
        if end < 0:
            if len(buffer) >= self._max_head + 4:
                raise TooLarge(f"the header fields of a part are over {self._max_head} bytes")
            return None
        found.append(_part(buffer[:end]))
        self._state = _DATA
        return buffer[end + 4 :]

    def _data(self, buffer: bytes, found: list[Event]) -> bytes:
        delimiter = self._delimiter
        end = buffer.find(delimiter)
        if end >= 0:
            self._state = _DELIMITER
            rest = buffer[end + len(delimiter) :]
        else:  # the end of what came may be the beginning of the delimiter
            end = buffer.find(b"\r", max(0, len(buffer) - len(delimiter) + 1))
            while end >= 0 and not delimiter.startswith(buffer[end:]):
                end = buffer.find(b"\r", end + 1)
            if end < 0:
                end = len(buffer)
            rest = buffer[end:]
        if end:
            found.append(buffer[:end])
        if self._state == _DELIMITER:
            found.append(PART_END)
        return rest

    def _epilogue(self, buffer: bytes) -> bytes:
        if buffer.strip(b"\r\n"):
            raise BadMessage("unexpected bytes behind the final boundary of the form")
        return b""


def boundary_of(content_type: str) -> str:
    """What separates the parts.  Raises Refusal (415) for multipart content that is no form, BadMessage without a usable boundary."""
    kind, parameters = _parse(content_type)
    if kind != "multipart/form-data":
        raise Refusal(f"bodies of the type {kind[:100]} are not taken here", status=415)
    boundary = parameters.get("boundary", "")
    if not _is_boundary(boundary):
        raise BadMessage("the form has no usable boundary")
    return boundary


def _part(head: bytes) -> Part:
    fields = []
    for line in head.split(b"\r\n"):
        try:
            name, colon, value = line.decode().partition(":")
        except UnicodeDecodeError:
            raise BadMessage("a header field of a part is not in UTF-8") from None
        if not colon or not _is_field_name(name) or _has_control(value):
            raise BadMessage("a header field of a part is malformed")
        fields.append((name, value.strip(" \t")))
    headers = Headers(fields)
    if len(headers) != len(fields):
        raise BadMessage("a header field of a part comes twice")
    kind, parameters = _parse(headers.get("content-disposition", ""))
    if kind != "form-data":
        raise BadMessage("a part of the form has no Content-Disposition: form-data")
    if "name" not in parameters:
        raise BadMessage("a part of the form has no name")
    if "filename*" in parameters:
        raise BadMessage("filename* must not be used in forms (RFC 7578 section 4.2)")
    if headers.get("content-transfer-encoding", "binary").lower() not in _CODINGS:
        raise BadMessage("parts of forms have no transfer encoding (RFC 7578 section 4.7)")
    content_type = headers.get("content-type", "")
    filename = parameters.get("filename")
    if filename is None and content_type and _parse(content_type)[1].get("charset", "").lower() not in _CHARSETS:
        raise BadMessage("fields of forms must be in UTF-8")
    return Part(parameters["name"], filename, content_type, headers)


def _parse(value: str) -> tuple[str, dict[str, str]]:
    """``kind; name="value"; ...``, in the way browsers write it (a quote in a value is ``%22``) or others do (``\\"``)."""
    found = _kind(value)
    if found is None:
        return "", {}
    parameters: dict[str, str] = {}
    at = found.end()
    while at < len(value):
        pair = _parameter(value, at)
        if pair is None:
            raise BadMessage("a header field has malformed parameters")
        name = pair[1].lower()
        if name in parameters:
            raise BadMessage(f"a header field says {name[:40]} twice")
        parameters[name] = _unquoted(pair[2])
        at = pair.end()
    return found[1].lower(), parameters


def _unquoted(text: str) -> str:
    if text[0] != '"':
        return text
    text = _escapes.sub(r"\1", text[1:-1])
    return _percents.sub(lambda found: _PERCENT[found[0].upper()], text)
