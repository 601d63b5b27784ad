"""Commands to bytes, and bytes to replies: by hiredis where it is installed (extra ``speed``), else in Python."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol, TypeAlias

from redis._parsers import BaseParser, Encoder
from redis.connection import PythonRespSerializer
from redis.exceptions import DataError, InvalidResponse

hiredis: Any = None
with suppress(ImportError):
    hiredis = import_module("hiredis")

__all__ = ["MORE", "Push", "Reader", "new_reader", "pack", "split_name"]

MORE: Any = object()
"""What a reader gives when the next reply is not complete yet."""


class Reader(Protocol):
    """Bytes in any pieces go in, whole replies come out.  Errors of the server come out as redis-py's exceptions, not raised."""

    def feed(self, data: bytes, /) -> object: ...
    def gets(self) -> Any:
        """The next reply, or MORE.  Raises UnicodeDecodeError in place of a reply that cannot be decoded, and goes on with the next.

        Raises InvalidResponse for bytes that are no reply; it cannot go on after that.
        """


_encode = Encoder("utf-8", "strict", False).encode
_python = PythonRespSerializer(sys.maxsize, _encode)


def _pack_python(words: tuple[Any, ...]) -> bytes:
    """``words`` must not be empty."""
    return b"".join(_python.pack(*words))


def _pack_hiredis(words: tuple[Any, ...]) -> bytes:
    try:
        packed: bytes = hiredis.pack_command(words)
    except TypeError:
        try:
            packed = hiredis.pack_command(tuple(bytes(word) if isinstance(word, bytearray | memoryview) else word for word in words))
        except TypeError as error:
            raise DataError(*error.args) from None
    return packed


def split_name(words: tuple[Any, ...]) -> tuple[Any, ...]:
    """A command whose name may be several words in one, word by word."""
    name = words[0]
    parts = name.encode().split() if isinstance(name, str) else name.split()
    return (*parts, *words[1:]) if len(parts) > 1 else words


class _PythonPush(list[Any]):
    """What the server says without being asked."""


if hiredis is None:
    pack, Push = _pack_python, _PythonPush
else:
    pack, Push = _pack_hiredis, hiredis.PushNotification


def new_reader(decode: bool) -> Reader:
    """A reader for one connection.  ``decode``: texts come as str, not as bytes."""
    if hiredis is None:
        return PythonReader(decode)
    encoding = {"encoding": "utf-8"} if decode else {}
    reader: Reader = hiredis.Reader(
        protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=MORE, errors="strict", **encoding
    )
    return reader


_Steps: TypeAlias = Generator[None, None, Any]
"""Yields whenever more bytes are needed, and goes on where it was."""


class PythonReader:
    """The protocol, versions 2 and 3, with the shapes of redis-py's parsers in Python: maps are dicts, sets are lists."""

    def __init__(self, decode: bool) -> None:
        self._decode = decode
        self._data = bytearray()
        self._at = 0  # so far it was read
        self._steps: _Steps | None = None
        self._wrong: UnicodeDecodeError | None = None

    def feed(self, data: bytes) -> None:
        del self._data[: self._at]
        self._at = 0
        self._data += data

    def gets(self) -> Any:
        steps = self._steps = self._steps or self._reply()
        try:
            next(steps)
        except StopIteration as end:
            self._steps = None
            wrong, self._wrong = self._wrong, None
            if wrong is not None:
                raise wrong from None
            return end.value
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidResponse(f"this is no reply of a Redis: {error}") from None
        return MORE

    def _reply(self) -> _Steps:
        line = yield from self._line()
        kind, rest = line[:1], line[1:]
        if kind in b"+":
            return self._text(rest)
        if kind in b":(":
            return int(rest)
        if kind in b"$=!":
            return (yield from self._bulk(kind, int(rest)))
        if kind in b"*~>":
            return (yield from self._array(kind, int(rest)))
        if kind == b"%":
            return (yield from self._map(int(rest)))
        if kind == b"-":
            return BaseParser.parse_error(rest.decode("utf-8", "replace"))
        if kind == b"_":
            return None
        if kind == b"#":
            return rest == b"t"
        if kind == b",":
            return float(rest)
        raise ValueError(repr(line[:100]))

    def _line(self) -> _Steps:
        while (end := self._data.find(b"\r\n", self._at)) < 0:
            yield
        line = bytes(self._data[self._at : end])
        self._at = end + 2
        return line or b"\0"

    def _bulk(self, kind: bytes, length: int) -> _Steps:
        if length < 0:
            return None
        while len(self._data) < self._at + length + 2:
            yield
        body = bytes(self._data[self._at : self._at + length])
        self._at += length + 2
        if kind == b"!":
            return BaseParser.parse_error(body.decode("utf-8", "replace"))
        return self._text(body[4:] if kind == b"=" else body)

    def _array(self, kind: bytes, length: int) -> _Steps:
        if length < 0:
            return None
        found: list[Any] = _PythonPush() if kind == b">" else []
        for _ in range(length):
            found.append((yield from self._reply()))  # noqa: PERF401 - a comprehension cannot yield
        return found

    def _map(self, length: int) -> _Steps:
        found = {}
        for _ in range(length):
            key = yield from self._reply()
            found[key] = yield from self._reply()
        return found

    def _text(self, text: bytes) -> str | bytes:
        if not self._decode:
            return text
        try:
            return text.decode()
        except UnicodeDecodeError as error:  # raised when the whole reply has come
            self._wrong = error
            return ""
