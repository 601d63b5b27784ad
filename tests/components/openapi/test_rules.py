from __future__ import annotations

import re
from enum import Enum
from typing import Any

import pytest

from greenimi.components.openapi.rules import keywords, pattern_of
from greenimi.validate import rules
from greenimi.validate.rules import ValueOf


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (rules.Text(min=2, max=5), {"minLength": 2, "maxLength": 5}),
        (rules.Text(max=5), {"maxLength": 5}),
        (rules.Text(max=5, char=False), {}),
        (rules.Integer(min=0, max=9), {"minimum": 0, "maximum": 9}),
        (rules.Number(min=0.5, accuracy=2), {"minimum": 0.5}),
        (rules.Decimal(max=3), {"maximum": 3}),
        (rules.InList(["a", Size.LARGE]), {"enum": ["a", "large"]}),
        (rules.InList(ValueOf("sizes")), {}),
        (rules.InEnum(Size), {"enum": ["small", "large"]}),
        (rules.Compare(">", 3), {"exclusiveMinimum": 3}),
        (rules.Compare("<", 3), {"exclusiveMaximum": 3}),
        (rules.Compare(">=", 3), {"minimum": 3}),
        (rules.Compare("<=", ValueOf("end")), {}),
        (rules.Compare("!=", 3), {"not": {"const": 3}}),
        (rules.Compare("!=", ValueOf("end")), {}),
        (rules.Compare("===", "x"), {"const": "x"}),
        (rules.Regex("[a-z]+|[0-9]"), {"pattern": "^(?:[a-z]+|[0-9])$"}),
        (rules.Regex("a", flags=re.IGNORECASE), {}),
        (rules.Regex("(?P<a>x)"), {}),
        (rules.InList(["a"], inverse=True), {"not": {"enum": ["a"]}}),
        (rules.Required(), {}),
        (rules.Condition(str.isupper), {}),
    ],
)
def test_keywords(rule: Any, found: dict[str, Any]) -> None:
    assert keywords(rule) == found


def test_a_rule_of_an_application_is_the_rule_it_derives_from() -> None:
    class Sku(rules.Regex):
        pass

    class Own(rules.Rule):
        pass

    assert keywords(Sku("[a-z]+")) == {"pattern": "^(?:[a-z]+)$"}
    assert keywords(Own()) == {}


@pytest.mark.parametrize("expression", ["(?P<n>a)", "(?i)a", r"\Aa", r"a\Z", "(?=a)", "(?<!a)b", "(?#x)a"])
def test_what_only_python_understands_is_left_out(expression: str) -> None:
    assert pattern_of(expression) is None
