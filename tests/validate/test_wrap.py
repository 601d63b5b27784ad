from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest

from greenimi.errors import Invalid
from greenimi.marks import marker, marks_of
from greenimi.validate import check, rules, validated
from greenimi.validate.rules import ValueOf

Sku = Annotated[str, rules.Text(min=1, max=3)]


class Shop:
    @validated
    def order(self, sku: Sku, pieces: Annotated[int, rules.Integer(min=1)] = 0, *more: Any) -> Any:
        return sku, pieces, more

    @staticmethod
    @validated
    def move(low: int, *, high: Annotated[int, rules.Compare(">", ValueOf("low"))]) -> int:
        return high - low


@validated
@dataclass(frozen=True)
class Line:
    sku: Sku
    pieces: Annotated[int, rules.Integer(min=1, error=LookupError)] = 1


@validated
class Basket:
    lines: list[Line]
    name: Sku

    def __init__(self, name: Any) -> None:
        self.name = name


class Special(Basket):
    def __init__(self) -> None:
        super().__init__("abc")
        self.name = "much longer"


def wrong(call: Any, *args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(Invalid) as caught:
        call(*args, **kwargs)
    errors: Any = caught.value.details["errors"]
    return [error["field"] for error in errors]


def test_methods() -> None:
    assert Shop().order("tea") == ("tea", 0, ())  # a default is the author's own matter
    assert Shop().order("tea", 2, "x") == ("tea", 2, ("x",))
    assert wrong(Shop().order, "coffee", pieces=0) == ["sku", "pieces"]
    assert Shop.move(1, high=2) == 1
    assert wrong(Shop.move, 2, high=2) == ["high"]
    with pytest.raises(TypeError):
        Shop().order()  # type: ignore[call-arg]


def test_objects() -> None:
    assert Line("tea") == Line("tea", 1)
    assert wrong(Line, "coffee") == ["sku"]
    with pytest.raises(LookupError):
        Line("tea", 0)
    assert Basket("abc").name == "abc"  # an attribute that is not there is not looked at
    assert wrong(Basket, "long") == ["name"]
    assert Special().name == "much longer"  # the rules of a base are kept when that is made


def test_single_objects() -> None:
    line = Line("tea")
    check(line)
    object.__setattr__(line, "sku", "")
    assert wrong(check, line) == ["sku"]
    assert wrong(check, ["a", ""], list[Sku]) == ["1"]
    check(5, int)


def test_what_a_function_carries_stays_with_it() -> None:
    @validated
    @marker("note", of="mine")
    def function(sku: Sku) -> str:
        """Says it."""
        return sku

    assert (function.__name__, function.__doc__) == ("function", "Says it.")
    assert [mark.options["of"] for mark in marks_of(function, "note")] == ["mine"]


def test_structs_have_no_init() -> None:
    class Wire(msgspec.Struct):
        sku: Sku

    with pytest.raises(TypeError, match="Wire is a Struct"):
        validated(Wire)
    assert wrong(check, Wire("")) == ["sku"]
