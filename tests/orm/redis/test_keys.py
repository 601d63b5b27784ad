from __future__ import annotations

import datetime as dt
import enum
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.orm.redis.keys import KeyRule


class Size(enum.Enum):
    BIG = "big"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        ("a b", "a b"),
        (Size.BIG, "big"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_a_key_of_one_value_is_written_as_it_is(value: Any, text: str) -> None:
    assert KeyRule("a-{id}:%").key({"id": value}) == f"a-{text}:%"


def test_marks_between_values_are_written_as_numbers() -> None:
    rule = KeyRule("{id}-{name}")
    assert rule.fields == ["id", "name"]
    assert rule.key({"id": -1, "name": "b-c%:d"}) == "%2D1-b%2Dc%25:d"


@pytest.mark.parametrize("value", [None, True, 1.5, b"a", ["a"]])
def test_values_that_are_no_keys(value: Any) -> None:
    with pytest.raises(TypeError, match=r"keys are made of texts, numbers, dates and UUIDs; id is "):
        KeyRule("{id}").key({"id": value})


@pytest.mark.parametrize("rule", ["{a}{b}", "{a}x{b}", "{a}%{b}", "{}", "{a.b}", "{a!r}", "{a:>5}", "{a"])
def test_rules_that_do_not_tell_values_apart(rule: str) -> None:
    with pytest.raises(ValueError, match=r"\{a\}|punctuation|no name of a field|expected '}'"):
        KeyRule(rule)


_texts = st.text(alphabet="ab-:%2D", max_size=6)


@given(st.sampled_from(["{a}-{b}", "{a}:-{b}", "x{a}2-D{b}:", "{a}:{b}-{a}"]), st.tuples(_texts, _texts), st.tuples(_texts, _texts))
def test_different_values_have_different_keys(text: str, one: tuple[str, str], two: tuple[str, str]) -> None:
    rule = KeyRule(text)
    keys = [rule.key({"a": a, "b": b}) for a, b in (one, two)]
    assert (keys[0] == keys[1]) == (one == two)
