"""Values become what is declared; where they cannot, everything that is wrong is named."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from greenimi.enums import Enum as Labelled
from greenimi.validate import BindError, Converter, rules
from greenimi.validate.convert import ensure_convertible

T = TypeVar("T")
UNKNOWN = "is not known here"
NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"  # in pydantic's words


class Size(enum.IntEnum):
    ONE = 1


class Colour(Labelled):
    RED = "r", "Red"


class Point(NamedTuple):
    x: int
    y: int


class Keys(TypedDict):
    a: int


class Wire(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    the_name: Annotated[str, msgspec.Meta(min_length=2)]


class Model(BaseModel):
    a: int
    b: list[int] = []


@dataclass
class Line:
    sku: Annotated[str, rules.Text(min=1, max=3)]
    pieces: Annotated[int, msgspec.Meta(ge=1)] = 1


@dataclass
class Order:
    name: str
    lines: Annotated[list[Line], msgspec.Meta(min_length=1)]
    price: Annotated[Decimal, rules.Number(min=0, accuracy=2)] = Decimal(0)
    low: int = 0
    high: Annotated[int, rules.Compare(">=", rules.ValueOf("low"))] = 0
    more: dict[str, Line] = field(default_factory=dict)
    parent: Order | None = None

    def __post_init__(self) -> None:
        if self.name == "nobody":
            raise ValueError("nobody orders nothing")


@dataclass
class Page(Generic[T]):
    items: list[T]


def wrong(annotation: Any, value: Any, **options: Any) -> dict[str, str]:
    with pytest.raises(BindError) as caught:
        Converter(annotation, **options)(value)
    return {problem.path: problem.text for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("annotation", "value", "found"),
    [
        (int, 1, 1),
        (Decimal, "1.10", Decimal("1.10")),
        (datetime, "2026-03-01T00:00:00Z", datetime(2026, 3, 1, tzinfo=UTC)),
        (date, "2026-03-01", date(2026, 3, 1)),
        (time, "12:30:00", time(12, 30)),
        (timedelta, "PT90S", timedelta(seconds=90)),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (Size, 1, Size.ONE),
        (Colour, "r", Colour.RED),
        (Literal["a"], "a", "a"),
        (set[int], [1, 1], {1}),
        (dict[int, int], {"1": 2}, {1: 2}),
        (Point, [1, 2], Point(1, 2)),
        (Keys, {"a": 1, "b": 2}, {"a": 1}),
        (Wire, {"theName": "ab"}, Wire("ab")),
        (Line, {"sku": "tea"}, Line("tea")),
        (dict[str, object], {"a": [1]}, {"a": [1]}),
        (Model, {"a": "1"}, Model(a=1)),
        (list[Model], [{"a": 1}], [Model(a=1)]),
        (Page[Line], {"items": [{"sku": "a"}]}, Page([Line("a")])),
    ],
)
def test_what_fits(annotation: Any, value: Any, found: Any) -> None:
    converter = Converter(annotation)
    assert converter(value) == found
    assert converter.json_decoder()(json.dumps(value).encode()) == found


@pytest.mark.parametrize(
    ("annotation", "text", "found"),
    [
        (int, "3", 3),
        (bool, "on", True),
        (list[int], ["1", "2"], [1, 2]),
        (Size, "1", Size.ONE),
        (int | None, "5", 5),
        (datetime, "2026-03-01T00:00:00Z", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_text(annotation: Any, text: Any, found: Any) -> None:
    assert Converter(annotation, text=True)(text) == found
    assert wrong(int | None, "", text=True) == {"": "Expected `int`, got `str`"}


def test_everything_that_is_wrong() -> None:
    line: dict[str, Any] = {"sku": "tea"}
    value = {
        "name": 1,
        "lines": [line, {"sku": "coffee"}, {"pieces": 0}, 7],
        "price": "1.255",
        "more": {"x": {"sku": ""}},
        "parent": {"name": "a", "lines": [], "low": "x", "high": -1},
    }
    assert wrong(Order, value) == {
        "name": "Expected `str`, got `int`",
        "lines.1.sku": "must be text of 1 to 3 characters",
        "lines.2.sku": "is missing",
        "lines.2.pieces": "Expected `int` >= 1",
        "lines.3": "Expected `object`, got `int`",
        "price": "must be a number of at least 0 with at most 2 digits after the point",
        "more.x.sku": "must be text of 1 to 3 characters",
        "parent.lines": "Expected `array` of length >= 1",
        "parent.low": "Expected `int`, got `str`",
    }


def test_rules_are_asked_where_the_types_fit() -> None:
    assert wrong(Order, {"name": "a", "lines": [{"sku": "long"}], "low": 1}) == {
        "lines.0.sku": "must be text of 1 to 3 characters",
        "high": "must be >= 1",
    }


@pytest.mark.parametrize(
    ("annotation", "value", "found"),
    [
        (Order, {"name": "nobody", "lines": [{"sku": "a"}]}, {"": "nobody orders nothing"}),
        (list[Order], [{"name": "nobody", "lines": [{"sku": "a"}]}], {"0": "nobody orders nothing"}),
        (Order, [], {"": "Expected `object`, got `array`"}),
        (Wire, {"theName": "a", "x": 1, "the_name": "ab"}, {"theName": "Expected `str` of length >= 2", "x": UNKNOWN, "the_name": UNKNOWN}),
        (Point, [1], {"": "Expected `array` of length 2, got 1"}),
        (dict[int, int], {"a": 1, "1": "x"}, {"a": "Expected `int`, got `str`", "1": "Expected `int`, got `str`"}),
        (Model, {"a": "x", "b": [1, "y"]}, {"a": NO_INTEGER, "b.1": NO_INTEGER}),
        (list[Model], [{"a": 1}, {}], {"1.a": "Field required"}),
        (int | str, [], {"": "Expected `int | str`, got `array`"}),
        (Decimal, "NaN", {"": "Expected a finite number, got NaN"}),
    ],
)
def test_where_it_is_wrong(annotation: Any, value: Any, found: dict[str, str]) -> None:
    assert wrong(annotation, value) == found


def test_path_and_source_are_told() -> None:
    with pytest.raises(BindError) as caught:
        Converter(Line, path="line", source="body")({"sku": ""})
    assert [(problem.path, problem.source, problem.code) for problem in caught.value.problems] == [("line.sku", "body", "text")]
    assert wrong(list[int], ["x"], path="tags") == {"tags.0": "Expected `int`, got `str`"}


def test_the_error_that_a_rule_asks_for() -> None:
    with pytest.raises(LookupError):
        Converter(Annotated[str, rules.InList(["a"], error=LookupError)])("b")


def test_a_float_of_text_is_finite() -> None:
    assert wrong(list[float], ["1", "nan"], text=True) == {"1": "Expected `float`, got `NotFinite`"}


def test_problems_and_time_are_bounded() -> None:
    assert len(wrong(list[int], ["x"] * 1000)) == 50
    assert wrong(list[int], [*range(200_000), "x"]) == {"200000": "Expected `int`, got `str`"}  # as msgspec told, after 10 000 looks


def test_deep_values() -> None:
    deep: Any = None
    for _ in range(5000):
        deep = {"name": "a", "lines": [{"sku": "a"}], "parent": deep}
    assert wrong(Order, deep) == {"": "nested too deeply"}


class Service:
    """No data."""


@dataclass
class Holder:
    service: Service


@pytest.mark.parametrize("annotation", [Service, Holder, list[Service], dict[str, Holder | None]])
def test_no_data(annotation: Any) -> None:
    with pytest.raises(TypeError, match="Service"):
        ensure_convertible(annotation)


@pytest.mark.parametrize("annotation", [Order, Page[Line], Model | None, list[Model], object, Any, Point, Keys, Colour])
def test_data(annotation: Any) -> None:
    ensure_convertible(annotation)
    assert callable(Converter(annotation).json_decoder())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "lines", "sku", "parent", "price", "x"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_whatever_comes_is_taken_or_refused(value: Any) -> None:
    try:
        found = Converter(Order)(value)
    except BindError:
        return
    assert isinstance(found, Order)
