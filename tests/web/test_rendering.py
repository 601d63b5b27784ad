"""Values as JSON, XML, text and MessagePack."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.web.rendering import json_renderer, to_msgpack, to_text, to_xml

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass
class Order:
    sku: str
    lines: list[int]


class Line(msgspec.Struct):
    number: int


class Colour(Enum):
    RED = "red"


def test_json_as_it_is_wanted() -> None:
    value = {"b": [1], "a": "ä"}
    assert json_renderer()(value) == '{"b":[1],"a":"ä"}'.encode()
    assert json_renderer(sort=True)(value) == '{"a":"ä","b":[1]}'.encode()
    assert json_renderer(indent=2)({"b": [1]}) == b'{\n  "b": [\n    1\n  ]\n}'
    assert json_renderer(indent=1, sort=True)({"b": 1, "a": 2}) == b'{\n "a": 2,\n "b": 1\n}'


@pytest.mark.parametrize(
    ("value", "inner"),
    [
        ({"b": "x", "a": 1}, "<a>1</a><b>x</b>"),
        ({"a": {"z", "y", "x"}}, "<a><item>x</item><item>y</item><item>z</item></a>"),
        ({"list": [1, [2]]}, "<list><item>1</item><item><item>2</item></item></list>"),
        ([], ""),
        ((1, None), '<item>1</item><item nil="true"/>'),
        ({3, 1, 2}, "<item>1</item><item>2</item><item>3</item>"),
        ("<&>\"'", "&lt;&amp;&gt;\"'"),
        ("a\r\nb", "a&#13;\nb"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        (float("inf"), "INF"),
        (float("-inf"), "-INF"),
        (float("nan"), "NaN"),
        (Decimal("1.10"), "1.10"),
        (b"\x00\xff", "AP8="),
        (Colour.RED, "red"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (Order("tea", [1]), "<sku>tea</sku><lines><item>1</item></lines>"),
        (Line(7), "<number>7</number>"),
        ({"two words": 1}, '<entry name="two words">1</entry>'),
        ({"1st": None}, '<entry name="1st" nil="true"/>'),
        ({"xmlish": 1, "": 2, 'a"<b': 3}, '<entry name="">2</entry><entry name=\'a"&lt;b\'>3</entry><entry name="xmlish">1</entry>'),
        ({1: "x"}, '<entry name="1">x</entry>'),
        ("bell \x07, lone \ud800, end \ufffe", "bell \ufffd, lone \ufffd, end \ufffd"),
        ({"a": {"b\x00": 1}}, '<a><entry name="b\ufffd">1</entry></a>'),
    ],
)
def test_xml(value: Any, inner: str) -> None:
    assert to_xml(value) == f"{HEAD}<response>{inner}</response>\n"


def test_the_outermost_element() -> None:
    assert to_xml(None, "order") == f'{HEAD}<order nil="true"/>\n'


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=10,
)


@given(values)
def test_xml_can_always_be_read_and_is_always_the_same(value: Any) -> None:
    text = to_xml(value)
    assert ET.fromstring(text).tag == "response"
    assert to_xml(value) == text


def test_xml_knows_no_entities_of_a_value() -> None:
    assert "<!" not in to_xml("<!ENTITY x SYSTEM 'file:///etc/passwd'>]]>")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (1, "1"),
        (1.5, "1.5"),
        (True, "True"),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"a": [1]}, '{\n  "a": [\n    1\n  ]\n}'),
        (Order("tea", []), '{\n  "sku": "tea",\n  "lines": []\n}'),
    ],
)
def test_text(value: Any, text: str) -> None:
    assert to_text(value) == text


def test_messagepack() -> None:
    assert msgspec.msgpack.decode(to_msgpack({"a": b"x"})) == {"a": b"x"}


def test_what_nobody_can_tell() -> None:
    for renderer in (json_renderer(), to_xml, to_text, to_msgpack):
        with pytest.raises(TypeError):
            renderer(object())
