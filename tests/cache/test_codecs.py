"""What becomes of values: as what they come back, and what cannot be kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.cache.codecs import CODECS, Codec, json, msgpack, raw


@dataclass
class Point:
    x: int
    y: float


def there_and_back(codec: Codec, value: Any, kind: Any = Any) -> Any:
    return codec.decoder(kind)(codec.encode(value))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON_VALUES)
def test_values_come_back(value: Any) -> None:
    for codec in (msgpack, json):
        assert there_and_back(codec, value) == value


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("value", [None, True, False, 1.5, -0.0, math.inf, "", "text ä", b"", b"\x00\xff"], ids=repr)
def test_plain_values_come_back_as_they_went(codec: Codec, value: Any) -> None:
    if type(value) in codec.plain:
        found = there_and_back(codec, value)
        assert type(found) is type(value)
        assert found == value


@pytest.mark.parametrize("codec", [msgpack, json], ids=lambda codec: codec.name)
def test_a_kind_makes_it_what_it_was(codec: Codec) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert there_and_back(codec, Point(1, 2.5), Point) == Point(1, 2.5)
    assert there_and_back(codec, (1, "a"), tuple[int, str]) == (1, "a")
    assert there_and_back(codec, {1: {2, 3}}, dict[int, set[int]]) == {1: {2, 3}}
    assert there_and_back(codec, [now, None], list[datetime | None]) == [now, None]
    assert there_and_back(codec, b"\xff", bytes) == b"\xff"
    assert there_and_back(codec, Point(1, 2.5)) == {"x": 1, "y": 2.5}


def test_raw_takes_text_and_bytes() -> None:
    assert there_and_back(raw, bytearray(b"ab")) == b"ab"
    assert there_and_back(raw, "b") == "b"
    assert there_and_back(raw, None, str | None) is None
    assert there_and_back(raw, b"x", bytes) == b"x"
    with pytest.raises(msgspec.ValidationError):
        there_and_back(raw, "text", int)
    with pytest.raises(TypeError, match="takes text and bytes, not list"):
        raw.encode([1])


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize(
    "value", [object(), [object()], lambda: 1, iter([]), "\ud800"], ids=["object", "list", "function", "iterator", "text"]
)
def test_what_cannot_be_told_is_an_error(codec: Codec, value: Any) -> None:
    with pytest.raises(TypeError):
        codec.encode(value)


def test_what_is_too_large_or_endless_is_an_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (2**70, endless):
        with pytest.raises(TypeError):
            msgpack.encode(value)


def test_decoders_are_made_once() -> None:
    assert msgpack.decoder(list[int]) is msgpack.decoder(list[int])


def test_pickle_is_not_offered() -> None:
    assert set(CODECS) == {"msgpack", "json", "raw"}
