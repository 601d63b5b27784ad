from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import pytest

from greenimi.validate.dotted import ABSENT, dig, places, put


class Point(NamedTuple):
    x: int


@dataclass(frozen=True)
class User:
    name: str
    tags: list[str]
    _secret: str = "s"


class Money(msgspec.Struct):
    pence: int | msgspec.UnsetType = msgspec.UNSET


class Plain:
    def __init__(self) -> None:
        self.user = User("ann", ["a", "b"])


@pytest.mark.parametrize(
    ("data", "name", "found"),
    [
        ({"a": {"b": [1, {"c": None}]}}, "a.b.1.c", None),
        ({"a": 1}, "", {"a": 1}),
        (Plain(), "user.tags.1", "b"),
        (Point(3), "x", 3),
        ((1, 2), "1", 2),
        (Money(5), "pence", 5),
    ],
)
def test_what_is_there(data: Any, name: str, found: Any) -> None:
    assert dig(data, name) == found


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({}, "a"),
        ({"a": 1}, "a.real"),
        ([1], "1"),
        ([1], "-1"),
        ([1], "\N{ARABIC-INDIC DIGIT ZERO}"),
        ([1], "9" * 5000),
        ("text", "upper"),
        (None, "a"),
        (User("ann", []), "_secret"),
        (Plain(), "__class__"),
        (Money(), "pence"),
    ],
)
def test_what_is_not(data: Any, name: str) -> None:
    assert dig(data, name) is ABSENT
    assert not ABSENT
    assert repr(ABSENT) == "ABSENT"


@pytest.mark.parametrize(
    ("data", "name", "found"),
    [
        ({"a": {"b": 1}}, "a.b", [("a.b", 1)]),
        ({"a": [{"b": 1}, {}]}, "a.*.b", [("a.0.b", 1), ("a.1.b", ABSENT)]),
        ({"a": [[1, 2], [3]]}, "a.*.*", [("a.0.0", 1), ("a.0.1", 2), ("a.1.0", 3)]),
        ({"a": []}, "a.*.b", []),
        ({}, "a.*.b", [("a", ABSENT)]),
        ({"a": "text"}, "a.*.b", [("a", ABSENT)]),
        ({}, "a.b", [("a.b", ABSENT)]),
        ([1], "*", [("0", 1)]),
    ],
)
def test_every_place(data: Any, name: str, found: list[tuple[str, Any]]) -> None:
    assert list(places(data, name)) == found


def test_put_leaves_the_original_alone() -> None:
    data = {"a": [{"b": 1}, {"b": 2}], "c": 3}
    assert put(data, "a.1.b", 5) == {"a": [{"b": 1}, {"b": 5}], "c": 3}
    assert put(data, "d.e", 1) == {**data, "d": {"e": 1}}
    assert data == {"a": [{"b": 1}, {"b": 2}], "c": 3}


def test_put_into_objects() -> None:
    user, money, plain = User("ann", []), Money(1), Plain()
    assert put(user, "name", "bob") == User("bob", [])
    assert put(money, "pence", 2) == Money(2)
    changed = put(plain, "user.name", "bob")
    assert (changed.user.name, plain.user.name, type(changed)) == ("bob", "ann", Plain)
