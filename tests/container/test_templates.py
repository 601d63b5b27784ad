"""Names made from the arguments of a call."""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.container.templates import KeyTemplate


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Customer:
    id: int


@dataclass
class Order:
    customer: Customer
    lines: list[dict[str, Any]]


def function(sku: Any, count: Any = 1, *rest: Any, order: Any = None, **more: Any) -> None:
    """What templates are made for."""


class Shop:
    region = "eu"

    def place(self, sku: Any, count: Any = 1) -> None:
        """A method."""


def name(template: str, *args: Any, **kwargs: Any) -> str:
    return KeyTemplate(template, function)(args, kwargs)


@pytest.mark.parametrize(
    ("template", "args", "kwargs", "expected"),
    [
        ("all", ("a",), {}, "all"),
        ("stock:{sku}", ("tea",), {}, "stock:tea"),
        ("stock:{sku}", (), {"sku": "tea"}, "stock:tea"),
        ("stock:{sku}:{count}", ("tea",), {}, "stock:tea:1"),
        ("stock:{sku}:{count}", ("tea",), {"count": 3}, "stock:tea:3"),
        ("{{{sku}}}", (7,), {}, "{7}"),
        ("{sku}", (None,), {}, "None"),
        ("{sku}", (Colour.RED,), {}, "red"),
        ("{sku}", (uuid.UUID(int=1),), {}, "00000000-0000-0000-0000-000000000001"),
        ("{order.customer.id}", ("",), {"order": Order(Customer(5), [])}, "5"),
        ("{order.lines.0.sku}", ("",), {"order": Order(Customer(5), [{"sku": "x"}])}, "x"),
        ("{sku.a.b}", ({"a": {"b": 2}},), {}, "2"),
        ("{more.extra}", ("",), {"extra": "e"}, "e"),
        ("{rest.1}", ("", 1, "a", "b"), {}, "b"),
        ("a:b {sku}", ("a:b %",), {}, "a:b a:b %"),
    ],
)
def test_names(template: str, args: tuple[Any, ...], kwargs: dict[str, Any], expected: str) -> None:
    assert name(template, *args, **kwargs) == expected


def test_self_is_a_parameter_like_others() -> None:
    template = KeyTemplate("{self.region}:{sku}", Shop.place)
    assert template((Shop(), "tea"), {}) == "eu:tea"


@pytest.mark.parametrize("value", [[1, 2], {"b": 1, "a": 2}, b"raw", Order(Customer(1), [])])
def test_what_is_no_scalar_is_hashed(value: Any) -> None:
    found = name("x:{sku}", value)
    assert len(found) == 34
    assert found == name("x:{sku}", value)
    assert found != name("x:{sku}", "other")


def test_order_of_keys_makes_no_other_name() -> None:
    assert name("{sku}", {"a": 1, "b": 2}) == name("{sku}", {"b": 2, "a": 1})


def test_all_arguments_however_they_are_passed_but_not_self() -> None:
    assert name("{:args}", "tea", 1) == name("{:args}", sku="tea") != name("{:args}", "tea", 2)
    template = KeyTemplate("{:args}", Shop.place)
    assert template((Shop(), "tea"), {}) == template((object(), "tea", 1), {})


@given(st.text(alphabet="a%:-1"), st.text(alphabet="a%:-1"), st.text(alphabet="a%:-1"), st.text(alphabet="a%:-1"))
def test_different_values_make_different_names(one: str, two: str, three: str, four: str) -> None:
    template = KeyTemplate("x:{sku}:{count}", function)
    assert (template((one, two), {}) == template((three, four), {})) == ((one, two) == (three, four))


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{nobody}", "no parameter nobody, there are: sku"),
        ("{}", "empty"),
        ("{sku", "expected"),
        ("{sku!r}", "neither a conversion nor a format"),
        ("{sku:>3}", "neither a conversion nor a format"),
        ("{:kwargs}", "neither a conversion nor a format"),
        ("{sku}{count}", "between two placeholders"),
        ("{sku}and{count}", "between two placeholders"),
    ],
)
def test_templates_that_do_not_fit(template: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        KeyTemplate(template, function)


def test_a_value_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"no id on the way to \{order.customer.id\}"):
        name("{order.customer.id}", "", order={"customer": {}})


def test_a_call_that_the_function_would_refuse() -> None:
    with pytest.raises(TypeError, match="sku"):
        name("{sku}")


def test_a_value_that_has_no_content() -> None:
    with pytest.raises(TypeError, match="no name can be made of a object"):
        name("{sku}", object())
