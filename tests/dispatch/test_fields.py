"""Routes of messages by what they hold."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi.dispatch.fields import FieldRouter, dig


def router() -> FieldRouter[str]:
    found: FieldRouter[str] = FieldRouter("action")
    found.add_action("say", "say")
    found.add_condition({"data.op": "x"}, "one key")
    found.add_condition({"data.op": "x", "version": 1}, "two keys")
    found.add_condition({"data.op": "x", "other": 1}, "two other keys")
    return found


@pytest.mark.parametrize(
    ("data", "route"),
    [
        ({"action": "say"}, "say"),
        ({"action": "say", "data": {"op": "x"}}, "say"),
        ({"action": "shout", "data": {"op": "x"}}, "one key"),
        ({"data": {"op": "x"}, "version": 1}, "two keys"),
        ({"data": {"op": "x"}, "version": 1, "other": 1}, "two keys"),
        ({"data": {"op": "x"}, "version": "1"}, "one key"),
        ({"data": {"op": "x"}, "version": True}, "one key"),
        ({"data": {"op": "x"}, "version": 1.0}, "one key"),
        ({"data": {"op": "y"}}, None),
        ({"data": "x"}, None),
        ({"action": ["say"]}, None),
        ({"action": None}, None),
        ({}, None),
        (None, None),
        ("say", None),
        (["say"], None),
        (1, None),
    ],
)
def test_action_then_conditions(data: Any, route: str | None) -> None:
    assert router().find(data) == route


def test_the_default_takes_the_rest() -> None:
    found = router()
    found.set_default("default")
    assert found.find({"action": "say"}) == "say"
    others: list[Any] = [{}, None, "x", [], {"action": "x"}]
    assert [found.find(data) for data in others] == ["default"] * 5


@pytest.mark.parametrize(
    ("dotted", "value"),
    [("a", {"b": [1, {"c": None}]}), ("a.b", [1, {"c": None}]), ("a.b.0", 1), ("a.b.1.c", None)],
)
def test_dotted_keys(dotted: str, value: Any) -> None:
    assert dig({"a": {"b": [1, {"c": None}]}}, dotted) == value


@pytest.mark.parametrize("dotted", ["x", "a.x", "a.b.2", "a.b.-1", "a.b.x", "a.b.0.c", "a.b.1.c.d"])
def test_keys_that_are_not_there(dotted: str) -> None:
    data: Any = {"a": {"b": [1, {"c": None}]}}
    assert dig(data, dotted) is dig({}, "nothing")


def test_null_is_a_value() -> None:
    found: FieldRouter[str] = FieldRouter("action")
    found.add_condition({"a": None}, "null")
    assert found.find({"a": None}) == "null"
    assert found.find({}) is None
    assert found.find({"a": 0}) is None


def test_a_condition_on_a_payload_that_is_a_list() -> None:
    found: FieldRouter[str] = FieldRouter("action")
    found.add_condition({"0": "hello"}, "greeting")
    assert found.find(["hello", 1]) == "greeting"
    assert found.find([]) is None
