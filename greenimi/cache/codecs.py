"""What becomes of a value when it is kept: bytes.  Never pickle, which would run whatever somebody has put into the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

import msgspec

__all__ = ["CODECS", "Codec", "json", "msgpack", "raw"]

Decode = Callable[[bytes], Any]


class Codec:
    """``encode(value)`` gives bytes, ``decoder(kind)(bytes)`` the value again, as a ``kind``.

    ``mark`` stands in front of what is kept, so that nobody reads what another codec wrote.  ``plain`` are the types whose values nobody
    can change and that come back as they went.
    """

    def __init__(
        self,
        name: str,
        mark: bytes,
        plain: frozenset[type],
        encode: Callable[[Any], bytes],
        make_decoder: Callable[[Any], Decode],
    ) -> None:
        self.name = name
        self.mark = mark
        self.plain = plain
        self._encode = encode
        self._make_decoder = make_decoder
        self._decoders: dict[Any, Decode] = {}

    def encode(self, value: Any) -> bytes:
        """TypeError for what cannot be told."""
        try:
            return self._encode(value)
        except (OverflowError, RecursionError, UnicodeError) as error:
            raise TypeError(str(error)) from error

    def decoder(self, kind: Any) -> Decode:
        """``kind``: a type as annotations name it; Any for whatever it is.  TypeError for one that is no such type."""
        found = self._decoders.get(kind)
        if found is None:
            found = self._decoders[kind] = self._make_decoder(kind)
        return found


msgpack = Codec(
    "msgpack",
    b"m",
    frozenset({NoneType, bool, float, str, bytes}),
    msgspec.msgpack.Encoder().encode,
    lambda kind: msgspec.msgpack.Decoder(kind).decode,
)
json = Codec(
    "json",
    b"j",
    frozenset({NoneType, bool, str}),
    msgspec.json.Encoder().encode,
    lambda kind: msgspec.json.Decoder(kind).decode,
)


def _encode_raw(value: Any) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, str):
        return b"t" + value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return b"b" + bytes(value)
    raise TypeError(f"the codec raw takes text and bytes, not {type(value).__name__}")


def _decode_raw(data: bytes) -> str | bytes | None:
    match data[:1]:
        case b"n":
            return None
        case b"t":
            return data[1:].decode()
    return data[1:]


def _raw_decoder(kind: Any) -> Decode:
    if kind is Any:
        return _decode_raw

    def decode(data: bytes) -> Any:
        return msgspec.convert(_decode_raw(data), kind, builtin_types=(bytes,))

    return decode


raw = Codec("raw", b"r", frozenset({NoneType, str, bytes}), _encode_raw, _raw_decoder)

CODECS: Mapping[str, Codec] = {codec.name: codec for codec in (msgpack, json, raw)}
