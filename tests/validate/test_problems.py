from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from greenimi.validate import BindError, Problem, describe
from greenimi.validate.problems import misfit, refusal, shown


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (int, "int"),
        (int | None, "int or null"),
        (list[int], "list[int]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (dict[str, list[int]], "dict[str, list[int]]"),
        (Literal["a", 1], "one of 'a', 1"),
        (Annotated[int, "x"], "int"),
        (None, "null"),
        (Any, "Any"),
    ],
)
def test_a_type_in_words(kind: Any, said: str) -> None:
    assert describe(kind) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "null"),
        ({"a": 1}, "a table"),
        ([1], "a list"),
        ("a", "str 'a'"),
        (True, "bool True"),
        (object(), "object"),
        (1 << 200, "int (a long number)"),
    ],
)
def test_a_value_in_words(value: object, said: str) -> None:
    assert shown(value) == said


def test_a_long_value_is_cut() -> None:
    assert len(shown("x" * 1_000_000)) < 60


def test_the_error_says_every_problem_to_people_and_to_the_client() -> None:
    error = BindError([Problem("a.b", "is missing"), *misfit("", int, "x").problems])
    assert error.text == "a.b: is missing; expected int, got str 'x'"
    assert error.status == 422
    assert error.details == {
        "errors": [
            {"field": "a.b", "text": "is missing", "code": "type"},
            {"field": "", "text": "expected int, got str 'x'", "code": "type"},
        ]
    }


def test_where_a_value_came_from_is_told_to_the_client() -> None:
    detail = Problem("a", "is missing", code="missing", source="query").as_detail()
    assert detail == {"field": "a", "source": "query", "text": "is missing", "code": "missing"}


def test_the_first_error_of_its_own_is_raised_instead() -> None:
    problems = [Problem("a", "one"), Problem("b", "two", error=KeyError), Problem("c", "three", error=OSError)]
    assert repr(refusal(problems)) == repr(KeyError("two"))
    assert isinstance(refusal(problems[:1]), BindError)
