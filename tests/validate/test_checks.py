"""Rules within types, asked of values that are of the type."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
import pytest

from greenimi.validate import Problem, rules
from greenimi.validate.checks import check_of

Short = Annotated[str, rules.Text(max=2)]


@dataclass
class Tree:
    name: Short
    children: list[Tree] = field(default_factory=list)
    low: int = 0
    high: Annotated[int, rules.Compare(">=", rules.ValueOf("low"))] = 0


@dataclass
class Endless:
    name: str
    inner: Endless | None = None


class Keys(TypedDict):
    a: NotRequired[Short]


class Wire(msgspec.Struct, rename="camel"):
    the_name: Short | msgspec.UnsetType = msgspec.UNSET


def wrong(annotation: Any, value: Any) -> list[str]:
    check = check_of(annotation)
    assert check is not None
    problems: list[Problem] = []
    check(value, "", problems, value)
    return [problem.path for problem in problems]


@pytest.mark.parametrize("annotation", [int, str, list[int], Endless, dict[str, list[Endless]], int | None, Any, tuple[int, str], "x"])
def test_types_without_rules_cost_nothing(annotation: Any) -> None:
    assert check_of(annotation) is None


@pytest.mark.parametrize(
    ("annotation", "value", "paths"),
    [
        (Short, "ab", []),
        (Short, "abc", [""]),
        (list[Short], ["a", "abc", "abcd"], ["1", "2"]),
        (dict[str, Short], {"k": "abc"}, ["k"]),
        (tuple[int, Short], (1, "abc"), ["1"]),
        (Tree, Tree("ab", [Tree("a"), Tree("abc", low=1)]), ["children.1.name", "children.1.high"]),
        (Keys, {"a": "abc"}, ["a"]),
        (Keys, {}, []),
        (Wire, Wire("abc"), ["theName"]),
        (Wire, Wire(), []),
        (Short | None, None, []),
        (Short | None, "abc", [""]),
        (int | list[Short], ["abc"], ["0"]),
        (int | list[Short], 5, []),
        (Annotated[str | None, rules.Text(max=2)], None, []),
        (Annotated[str | None, rules.Text(max=2)], "abc", [""]),
        (Annotated[list[Short], rules.Condition(bool)], [], [""]),
        (Decimal, Decimal(1), []),
        (Decimal, Decimal("NaN"), [""]),
        (list[Decimal | None], [Decimal("Infinity"), None], ["0"]),
    ],
)
def test_paths_of_what_is_wrong(annotation: Any, value: Any, paths: list[str]) -> None:
    assert wrong(annotation, value) == paths


def test_several_rules_are_all_asked() -> None:
    assert wrong(Annotated[str, rules.Text(min=3), rules.Regex("[a-z]+")], "A") == ["", ""]


@pytest.mark.parametrize("value", [["abc"] * 1000, {str(number): "abc" for number in range(1000)}])
def test_problems_are_bounded(value: Any) -> None:
    assert len(wrong(list[Short] if isinstance(value, list) else dict[str, Short], value)) == 50
