from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, TypeVar

import msgspec
import pytest
from pydantic import BaseModel

from greenimi.validate import rules
from greenimi.validate.dotted import ABSENT
from greenimi.validate.shapes import Field, belongs, look_in, shape_of

T = TypeVar("T")
RULE = rules.Text()
UserId = NewType("UserId", int)


@dataclass
class Item(Generic[T]):
    one: T
    more: list[T] = field(default_factory=list)
    made: int = field(default=0, init=False)


class Wire(msgspec.Struct, rename="camel"):
    the_name: str
    size: int = 1


class Row(msgspec.Struct, array_like=True):
    a: int


class Keys(TypedDict):
    a: int
    b: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int = 0


class Model(BaseModel):
    a: int


@pytest.mark.parametrize(
    ("annotation", "form"),
    [
        (int, "value"),
        (Any, "value"),
        (Literal["a"], "value"),
        (None, "value"),
        (list[int], "list"),
        (list, "list"),
        (frozenset[int], "list"),
        (tuple[int, ...], "list"),
        (Sequence[int], "list"),
        (tuple[int, str], "row"),
        (Point, "row"),
        (Row, "row"),
        (dict[str, int], "map"),
        (Mapping[str, int], "map"),
        (int | None, "union"),
        (Optional[int], "union"),  # noqa: UP045 - the old spelling too
        (Item[int], "record"),
        (Wire, "record"),
        (Keys, "record"),
        (Model, "foreign"),
        (BaseModel, "foreign"),
        (object, "value"),
    ],
)
def test_forms(annotation: Any, form: str) -> None:
    assert shape_of(annotation).form == form


def test_what_is_around_a_type() -> None:
    shape = shape_of(Annotated[Annotated[UserId, RULE, "words"], msgspec.Meta(ge=1)])
    assert (shape.bare, shape.rules, shape.metadata[:2]) == (int, (RULE,), (RULE, "words"))
    assert len(shape.metadata) == 3


def test_fields() -> None:
    assert shape_of(Item[int]).fields == (Field("one", "one", int, True), Field("more", "more", list[int], False))
    assert shape_of(Wire).fields == (Field("the_name", "theName", str, True), Field("size", "size", int, False))
    assert shape_of(Keys).fields == (Field("a", "a", int, True), Field("b", "b", str, False))
    assert shape_of(Point).fields == (Field("x", "x", int, True), Field("y", "y", int, False))
    assert shape_of(tuple[int, str]).fields == (Field("0", "0", int, True), Field("1", "1", str, True))


@pytest.mark.parametrize(
    ("value", "annotation", "belonging"),
    [
        (1, int, True),
        ("1", int, False),
        (1, Any, True),
        ("a", Literal["a"], True),
        ("b", Literal["a"], False),
        (None, None, True),
        (None, int | None, True),
        ([1], list[str], True),
        ({}, Keys, True),
        (Item(1), Item[int], True),
        (Wire("a"), Item[int], False),
    ],
)
def test_belonging(value: Any, annotation: Any, belonging: bool) -> None:
    assert belongs(value, shape_of(annotation)) is belonging


def test_looking_for_a_field() -> None:
    assert look_in(shape_of(Keys))({"a": 1}, "b") is ABSENT
    assert look_in(shape_of(tuple[int, str]))((1, "x"), "1") == "x"
    assert look_in(shape_of(Wire))(Wire("a"), "the_name") == "a"
    assert look_in(shape_of(Wire))(Wire("a"), "other") is ABSENT
