from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from greenimi.codec import Json, MsgPack, Raw, Text, payload_from
from greenimi.errors import BadMessage, ConfigError
from greenimi.interfaces import IPayload


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int


class Box(msgspec.Struct):
    name: str


class Shout:
    """Somebody's own payload."""

    name = "shout"
    text = True

    def decode(self, raw: bytes | str) -> Any:
        return raw

    def encode(self, value: Any) -> bytes:
        return str(value).upper().encode()


class Wants:
    def __init__(self, argument: int) -> None:
        self.argument = argument


class Nothing:
    name = "nothing"
    text = True


RICH = {
    "point": Point(1, 2),
    "box": Box("b"),
    "when": datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    "id": UUID(int=7),
    "price": Decimal("1.50"),
    "colour": Colour.RED,
}
PLAIN = {
    "point": {"x": 1, "y": 2},
    "box": {"name": "b"},
    "id": "00000000-0000-0000-0000-000000000007",
    "price": "1.50",
    "colour": "red",
}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("payload", [Json(), MsgPack(), Text(), Raw()])
def test_payloads_keep_the_interface(payload: Any) -> None:
    assert verifyObject(IPayload, payload)
    assert payload_from(payload.name).text is payload.text


@given(values)
def test_json_as_the_standard_library_reads_it(value: Any) -> None:
    payload = Json()
    encoded = payload.encode(value)
    assert json.loads(encoded) == value
    assert payload.decode(encoded) == payload.decode(encoded.decode()) == value
    assert payload.decode(json.dumps(value)) == value


@given(values)
def test_msgpack_round_trip(value: Any) -> None:
    payload = MsgPack()
    assert payload.decode(payload.encode(value)) == value


def test_rich_values_are_told() -> None:
    assert Json().decode(Json().encode(RICH)) == {**PLAIN, "when": "2024-05-06T07:08:09Z"}
    assert MsgPack().decode(MsgPack().encode(RICH)) == {**PLAIN, "when": RICH["when"]}


def test_json_has_no_nan() -> None:
    assert Json().encode([float("nan"), float("inf")]) == b"[null,null]"


@pytest.mark.parametrize(
    ("payload", "raw"),
    [
        (Json(), b""),
        (Json(), "{"),
        (Json(), b"NaN"),
        (Json(), b'{"a":1,}'),
        (Json(), b'"\xff"'),
        (Json(), b"[" * 100_000),
        (Json(), b"1 2"),
        (Json(), b"1e999"),
        (MsgPack(), b""),
        (MsgPack(), b"\xc1"),
        (MsgPack(), b"\x01\x01"),
        (MsgPack(), b"\xa1\xff"),
        (MsgPack(), b"\x91" * 100_000),
        (MsgPack(), "text"),
        (Text(), b"ab\xff"),
    ],
)
def test_what_cannot_be_read_is_the_clients_fault(payload: Any, raw: bytes | str) -> None:
    with pytest.raises(BadMessage, match="the payload is not") as caught:
        payload.decode(raw)
    assert caught.value.status == 400
    assert "\n" not in str(caught.value)


class Strange:
    pass


@pytest.mark.parametrize("payload", [Json(), MsgPack()])
def test_what_cannot_be_told_names_its_type(payload: Any) -> None:
    with pytest.raises(TypeError, match=re.escape(f"cannot encode a {__name__}.Strange")):
        payload.encode({"a": [Strange()]})
    with pytest.raises(TypeError, match="cannot encode this str"):
        payload.encode("\ud800")
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="cannot encode this list"):
        payload.encode(endless)


def test_msgpack_integers_have_64_bits() -> None:
    with pytest.raises(TypeError, match="cannot encode this int"):
        MsgPack().encode(2**64)


def test_text_is_text() -> None:
    payload = Text()
    assert payload.decode(b"\xc3\xa9") == payload.decode("é") == "é"
    assert payload.encode("é") == b"\xc3\xa9"
    for wrong in (b"bytes", 1, None):
        with pytest.raises(TypeError, match=f"not {type(wrong).__name__}"):
            payload.encode(wrong)
    with pytest.raises(TypeError, match="UTF-8"):
        payload.encode("\ud800")


def test_raw_is_bytes() -> None:
    payload = Raw()
    assert payload.decode(b"\xff") == b"\xff"
    assert payload.decode("é") == b"\xc3\xa9"
    assert payload.encode(bytearray(b"ab")) == payload.encode(memoryview(b"ab")) == payload.encode(b"ab") == b"ab"
    for wrong in ("text", 1, None):
        with pytest.raises(TypeError, match=f"not {type(wrong).__name__}"):
            payload.encode(wrong)


def test_payloads_of_your_own() -> None:
    assert payload_from(f"{__name__}:Shout").encode("hi") == b"HI"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jsn", "unknown payload 'jsn'\n  hint: did you mean json?"),
        ("xml", "one of json, msgpack, text, raw"),
        ("no.such.module:X", "payload 'no.such.module:X' cannot be loaded"),
        (f"{__name__}:Wants", "argument"),
        (f"{__name__}:Nothing", "has no decode"),
    ],
)
def test_bad_names_are_named(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        payload_from(name)
