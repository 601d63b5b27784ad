from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from greenimi.errors import Invalid
from greenimi.validate import Validator
from greenimi.validate.rules import Compare, Condition, InList, Integer, Required, Text, ValueOf

ORDERS = Validator(
    {
        "customer.name": [Required(), Text(min=2, max=10, message="{name} must have {min} to {max} characters, not {:value}")],
        "lines.*.sku": Text(min=1, max=3),
        "lines.*.pieces": Integer(min=1, default=1),
        "status": InList(["open", "paid"], default="open"),
        "note": Text(max=5, optional=True),
        "end": Compare(">", ValueOf("begin"), optional=True),
        "customer.role": InList(["admin"], inverse=True, optional=True, code="role"),
    },
    scenes={"basket": ["lines.*.sku", "lines.*.pieces"], "name": ["customer.name"]},
)
GOOD: dict[str, Any] = {"customer": {"name": "ann"}, "lines": [{"sku": "tea", "pieces": 2}], "status": "paid"}


@dataclass
class Customer:
    name: str


class Order:
    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self.lines = [{"sku": "tea"}]


def test_what_keeps_all_rules() -> None:
    outcome = ORDERS.validate_all(GOOD)
    assert outcome
    assert (outcome.message, outcome.messages, outcome.errors, outcome.data) == ("", [], {}, GOOD)
    assert outcome.data is GOOD
    assert set(outcome.results) == {"customer.name", "lines.0.sku", "lines.0.pieces", "status", "note", "end", "customer.role"}
    assert all(outcome.results.values())
    outcome.raise_errors()
    assert ORDERS.check(GOOD) is GOOD


BAD: dict[str, Any] = {
    "customer": {"name": "a", "role": "admin"},
    "lines": [{"sku": "tea"}, {"sku": "coffee"}, {}],
    "note": "much longer",
    "begin": 3,
    "end": 2,
}


def test_everything_that_is_wrong() -> None:
    outcome = ORDERS.validate_all(BAD)
    assert not outcome
    assert outcome.errors == {
        "customer.name": [{"text": "customer.name must have 2 to 10 characters, not a", "code": "text"}],
        "lines.1.sku": [{"text": "must be text of 1 to 3 characters", "code": "text"}],
        "lines.2.sku": [{"text": "is missing", "code": "missing"}],
        "note": [{"text": "must be text of at most 5 characters", "code": "text"}],
        "end": [{"text": "must be > 3", "code": "compare"}],
        "customer.role": [{"text": "must not be one of admin", "code": "role"}],
    }
    assert [failed.name for failed in outcome.failed][:2] == ["customer.name", "lines.*.sku"]
    assert isinstance(outcome.failed[0].rule, Text)
    assert outcome.results["lines.0.sku"] is True
    assert outcome.results["lines.1.sku"] is False


def test_defaults_take_the_place_of_what_is_missing_or_wrong() -> None:
    data = {**GOOD, "status": "lost", "lines": [{"sku": "tea", "pieces": 0}, {"sku": "tea"}]}
    outcome = ORDERS.validate_all(data)
    assert outcome
    assert outcome.data == {**data, "status": "open", "lines": [{"sku": "tea", "pieces": 1}] * 2}
    assert data["status"] == "lost"


def test_the_first_only() -> None:
    outcome = ORDERS.validate(BAD)
    assert outcome.messages == ["customer.name must have 2 to 10 characters, not a"]
    assert outcome.message == outcome.messages[0]
    assert list(outcome.results) == ["customer.name"]


def test_scenes() -> None:
    assert set(ORDERS.validate_all(BAD, scene="basket").errors) == {"lines.1.sku", "lines.2.sku"}
    assert set(ORDERS.validate_all({}, scene="name").errors) == {"customer.name"}
    assert set(ORDERS.validate_all({}, scene="basket").errors) == {"lines"}
    assert ORDERS.validate_all({"lines": []}, scene="basket")
    with pytest.raises(KeyError):
        ORDERS.validate_all(GOOD, scene="other")
    with pytest.raises(ValueError, match="the scene 'x' names 'b', for which there are no rules"):
        Validator({"a": Required()}, scenes={"x": ["a", "b"]})


def test_plain_objects() -> None:
    order = Order(Customer("ann"))
    found = ORDERS.check(order, scene="basket")
    assert (found.lines, order.lines) == ([{"sku": "tea", "pieces": 1}], [{"sku": "tea"}])
    assert ORDERS.validate_all(Order(Customer("a")), scene="name").messages == ["customer.name must have 2 to 10 characters, not a"]


def test_raising() -> None:
    with pytest.raises(Invalid) as caught:
        ORDERS.check(BAD)
    errors: Any = caught.value.details["errors"]
    assert caught.value.status == 422
    assert [error["field"] for error in errors][:2] == ["customer.name", "lines.1.sku"]
    with pytest.raises(LookupError, match="no such sku: x"):
        Validator({"sku": Condition(str.isdigit, message="no such {name}: {:value}", error=LookupError)}).check({"sku": "x"})


def test_absent_values() -> None:
    rules: dict[str, Any] = {"a": Required(), "b": [Text(), Text(min=5)], "c": Required(inverse=True), "d": Text(message="say {name}")}
    outcome = Validator(rules).validate_all({})
    assert outcome.errors == {
        "a": [{"text": "must be given", "code": "required"}],
        "b": [{"text": "is missing", "code": "missing"}],
        "d": [{"text": "say d", "code": "missing"}],
    }


def test_outcomes_are_bounded() -> None:
    assert len(Validator({"*": Integer()}).validate_all(["x"] * 1000).failed) == 50
