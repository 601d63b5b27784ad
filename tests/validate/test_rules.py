"""Every rule, kept and broken."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Any

import pytest

from greenimi.validate import helpers, rules
from greenimi.validate.dotted import ABSENT
from greenimi.validate.rules import ValueOf, declared


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


KEPT: list[tuple[rules.Rule, Any]] = [
    (rules.Required(), ""),
    (rules.Required(), 0),
    (rules.Text(), ""),
    (rules.Text(min=2, max=2), "日本"),
    (rules.Text(min=6, max=6, char=False), "日本"),
    (rules.Text(max=1, char=False), "\ud800"[:0]),
    (rules.Integer(), 7),
    (rules.Integer(), "-7"),
    (rules.Integer(min=1, max=3), 3),
    (rules.Integer(), 10**50),
    (rules.Number(), 7),
    (rules.Number(), "7.50"),
    (rules.Number(min=0.1), 0.1),
    (rules.Number(min=0.1), Decimal("0.1")),
    (rules.Number(accuracy=2), 1234),
    (rules.Number(accuracy=2), "1234"),
    (rules.Number(accuracy=2), 12.25),
    (rules.Number(accuracy=0), 3),
    (rules.Number(accuracy=2), Decimal("1E+3")),
    (rules.Decimal(), "1.0"),
    (rules.Decimal(), 1.0),
    (rules.Decimal(min=1, max=2, accuracy=1), Decimal("1.5")),
    (rules.InList(["a", 1]), 1),
    (rules.InEnum(Colour), "b"),
    (rules.InEnum(Colour), Colour.RED),
    (rules.Compare("==", 1), 1.0),
    (rules.Compare("!=", 1), 2),
    (rules.Compare("===", 1), 1),
    (rules.Compare("!==", 1), 1.0),
    (rules.Compare("<", 2), 1),
    (rules.Compare("<=", 1), 1),
    (rules.Compare(">", "a"), "b"),
    (rules.Compare(">=", 1), 1),
    (rules.Regex("[a-z]+"), "tea"),
    (rules.Condition(helpers.email), "a@example.org"),
    (rules.Condition(helpers.between, (1, 3)), 2),
]
BROKEN: list[tuple[rules.Rule, Any]] = [
    (rules.Required(), None),
    (rules.Required(), ABSENT),
    (rules.Text(), 1),
    (rules.Text(), None),
    (rules.Text(min=3), "日本"),
    (rules.Text(max=5, char=False), "日本"),
    (rules.Integer(), True),
    (rules.Integer(), 1.0),
    (rules.Integer(), "07"),
    (rules.Integer(), "+7"),
    (rules.Integer(), "7 "),
    (rules.Integer(), "\N{ARABIC-INDIC DIGIT SEVEN}"),
    (rules.Integer(), "-0"),
    (rules.Integer(), "9" * 5000),
    (rules.Integer(), Decimal(1)),
    (rules.Integer(min=1), 0),
    (rules.Number(), "1e3"),
    (rules.Number(), "nan"),
    (rules.Number(), float("inf")),
    (rules.Number(), Decimal("nan")),
    (rules.Number(), ".5"),
    (rules.Number(), True),
    (rules.Number(), [1]),
    (rules.Number(max=0.3), Decimal("0.31")),
    (rules.Number(accuracy=2), "1.255"),
    (rules.Number(accuracy=2), 1e-7),
    (rules.Decimal(), 1),
    (rules.Decimal(), "1"),
    (rules.Decimal(accuracy=1), "1.25"),
    (rules.InList(["a", 1]), True),
    (rules.InList(["a"]), ["a"]),
    (rules.InEnum(Colour), True),
    (rules.InEnum(Colour), "RED"),
    (rules.Compare("<", 2), "1"),
    (rules.Compare("<", 2), Decimal("snan")),
    (rules.Compare("===", 1), True),
    (rules.Regex("[a-z]+"), "tea\n"),
    (rules.Regex("[a-z]+"), "more tea"),
    (rules.Regex("[a-z]+"), b"tea"),
    (rules.Condition(helpers.email), "x"),
]


@pytest.mark.parametrize(("rule", "value"), KEPT)
def test_kept(rule: rules.Rule, value: Any) -> None:
    assert rule.problem("at", value, {}) is None


@pytest.mark.parametrize(("rule", "value"), BROKEN)
def test_broken(rule: rules.Rule, value: Any) -> None:
    problem = rule.problem("at", value, {})
    assert problem is not None
    assert (problem.path, problem.code) == ("at", type(rule).__name__.lower())


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (rules.Text(max=3), "must be text of at most 3 characters"),
        (rules.Text(min=3), "must be text of at least 3 characters"),
        (rules.Text(min=3, max=4, char=False), "must be text of 3 to 4 bytes"),
        (rules.Text(), "must be text"),
        (rules.Integer(), "must be a whole number"),
        (rules.Integer(min=1, max=3), "must be a whole number from 1 to 3"),
        (rules.Number(min=0, accuracy=2), "must be a number of at least 0 with at most 2 digits after the point"),
        (rules.Decimal(max=1), "must be a number with a fraction of at most 1"),
        (rules.InList(["a", 1]), "must be one of a, 1"),
        (rules.InEnum(Colour), "must be one of 1, b"),
        (rules.Compare("<", 1), "must be < 1"),
        (rules.Regex("[a-z]"), "must look like [a-z]"),
        (rules.Required(), "must be given"),
        (rules.Condition(helpers.email), "must be valid"),
    ],
)
def test_what_is_told(rule: rules.Rule, text: str) -> None:
    problem = rule.problem("at", None, {})
    assert problem is not None
    assert problem.text == text


def test_the_other_way_round() -> None:
    rule = rules.InList(["admin"], inverse=True)
    assert rule.problem("name", "ann", {}) is None
    problem = rule.problem("name", "admin", {})
    assert problem is not None
    assert problem.text == "must not be one of admin"


def test_messages_by_template() -> None:
    rule = rules.Text(min=3, message="{name} ({:value}) of {:data.user.name} is under {min}; {other} {:other} {:data.no}", code="short")
    problem = rule.problem("nick", "x" * 2, {"user": {"name": "ann"}})
    assert problem is not None
    assert (problem.text, problem.code) == ("nick (xx) of ann is under 3; {other} {:other} ", "short")


def test_values_in_messages_are_short() -> None:
    problem = rules.Integer(message="{:value}").problem("a", "x" * 10_000, {})
    assert problem is not None
    assert len(problem.text) == 100


def test_values_of_other_fields() -> None:
    rule = rules.Compare(">", ValueOf("begin"))
    assert rule.problem("end", 2, {"begin": 1}) is None
    assert rule.problem("end", 1, {}) is None  # nothing to compare with
    problem = rule.problem("end", 1, {"begin": 1})
    assert problem is not None
    assert problem.text == "must be > 1"
    both = rules.Condition(lambda value, low, data: low <= value == data["end"], (ValueOf("low"), ValueOf("")))
    assert both.problem("end", 3, {"low": 1, "end": 3}) is None
    assert both.problem("end", 0, {"low": 1, "end": 0}) is not None


def test_what_cannot_be_a_rule() -> None:
    with pytest.raises(ValueError, match="'=' is no comparison"):
        rules.Compare("=", 1)
    with pytest.raises(Exception, match="unterminated"):
        rules.Regex("[a")


def test_rules_in_annotations() -> None:
    rule = rules.Text()
    assert declared(["words", rule]) == (rule,)
    for wrong in (rules.Text(optional=True), rules.Text(default="")):
        with pytest.raises(TypeError, match="Text: optional and default are said by the field's own default"):
            declared([wrong])


def test_rules_of_ones_own() -> None:
    class Even(rules.Rule):
        says = "must be even"

        def holds(self, value: Any, data: Any) -> bool:
            return isinstance(value, int) and value % 2 == 0

    assert Even().problem("n", 2, {}) is None
    problem = Even(inverse=True).problem("n", 2, {})
    assert problem is not None
    assert (problem.text, problem.code) == ("must not be even", "even")
