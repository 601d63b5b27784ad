"""What is kept for a value: the value, encoded or as it is, and what has to be known of it."""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from greenimi.cache.codecs import Codec

__all__ = ["MISSING", "Entry", "Packer", "Stored", "Unreadable"]

MISSING: Any = object()
"""There is no value; None is one."""

_PLAIN, _FULL = b"\x01", b"\x02"
_FACTS = struct.Struct(">ddI")  # ends, cost, length of the tags
_BODY = 2 + _FACTS.size
_DIGITS = frozenset(b"-0123456789")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_encode_tags = msgspec.msgpack.Encoder().encode
_decode_tags = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class Unreadable(ValueError):
    """What is kept was written by something else: another codec, another release, another program."""


class Entry(NamedTuple):
    """One value.

    coded   ``value`` is what the codec made of it; else it is the value
    ends    the time (``time.time()``) of its end, and
    cost    the seconds that it took to make it: for making it anew early; 0 for values that were not made by a cache
    tags    the version that each of its tags had
    """

    value: Any
    coded: bool
    ends: float = 0.0
    cost: float = 0.0
    tags: Mapping[str, bytes] | None = None

    @property
    def size(self) -> int:
        return sys.getsizeof(self.value) + (sum(map(len, self.tags)) + 48 * len(self.tags) if self.tags else 0)


Stored: TypeAlias = "bytes | Entry"
"""What stores are given; an Entry only those that are local."""


class Packer:
    """Values to what is stored, and back."""

    def __init__(self, codec: Codec, *, local: bool) -> None:
        self._codec = codec
        self._local = local

    def pack(self, value: Any, kind: Any = Any, ends: float = 0.0, cost: float = 0.0, tags: Mapping[str, bytes] | None = None) -> Stored:
        """TypeError for a value that cannot be kept.  An integer that is nothing but that is kept as digits, so that it can be added to."""
        plain = type(value)
        bare = not ends and not tags
        if plain is int and bare and kind is Any and _SMALLEST <= value <= _LARGEST:
            return b"%d" % value
        if self._local and plain in self._codec.plain and (kind is Any or kind is plain):
            return Entry(value, False, ends, cost, tags)
        data = self._codec.encode(value)
        if self._local:
            return Entry(data, True, ends, cost, tags)
        if bare:
            return _PLAIN + self._codec.mark + data
        told = _encode_tags(tags or {})
        return b"".join((_FULL, self._codec.mark, _FACTS.pack(ends, cost, len(told)), told, data))

    def open(self, stored: Stored) -> Entry:
        """Unreadable for what no cache of this codec wrote."""
        if type(stored) is Entry:
            return stored
        data: Any = stored
        if data[1:2] == self._codec.mark:
            if data[:1] == _PLAIN:
                return Entry(data[2:], True)
            if data[:1] == _FULL:
                return self._full(data)
        if data and _DIGITS.issuperset(data):
            try:
                return Entry(int(data), False)
            except ValueError:
                pass
        raise Unreadable(f"it begins with {bytes(data[:8])!r}")

    def _full(self, data: bytes) -> Entry:
        try:
            ends, cost, length = _FACTS.unpack_from(data, 2)
            tags = _decode_tags(data[_BODY : _BODY + length]) if length else {}
        except (struct.error, msgspec.DecodeError) as error:
            raise Unreadable(str(error)) from error
        return Entry(data[_BODY + length :], True, ends, cost, tags)

    def value(self, entry: Entry, kind: Any = Any) -> Any:
        """Unreadable when it is no ``kind``."""
        if not entry.coded and (kind is Any or type(entry.value) is kind):
            return entry.value
        try:
            return self._codec.decoder(kind)(entry.value) if entry.coded else msgspec.convert(entry.value, kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unreadable(str(error)) from error
