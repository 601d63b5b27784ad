"""The tree of errors and the facts they carry."""

from __future__ import annotations

import pytest

from greenimi import errors
from greenimi.errors import (
    AmbiguousBean,
    BadMessage,
    ConfigError,
    ConnectionClosed,
    GreenimiError,
    Invalid,
    MethodNotAllowed,
    MissingBean,
    MissingExtra,
    NotFound,
    Overloaded,
    ProtocolError,
    Refusal,
    Refused,
    SlowConsumer,
    StartError,
    TooLarge,
    Unauthorized,
)

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]


def test_one_tree_and_each_says_what_it_is() -> None:
    assert all(issubclass(kind, GreenimiError) for kind in ALL)
    assert all(kind.__dict__.get("__doc__") for kind in ALL)


def test_the_hint_follows_the_text() -> None:
    error = ConfigError("there is no such key", hint="did you mean driver?")
    assert str(error) == "there is no such key\n  hint: did you mean driver?"
    assert error.text == "there is no such key"
    assert str(ConfigError("plain")) == ConfigError("plain").text == "plain"
    assert ConfigError.hint == ""


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (GreenimiError, 500),
        (Refusal, 400),
        (BadMessage, 400),
        (Unauthorized, 401),
        (Refused, 403),
        (NotFound, 404),
        (TooLarge, 413),
        (Invalid, 422),
        (Overloaded, 503),
        (ProtocolError, 400),
    ],
)
def test_statuses(kind: type[GreenimiError], status: int) -> None:
    assert kind("x").status == status


def test_a_refusal_carries_what_its_answer_needs() -> None:
    details = {"field": "a"}
    error = Refusal("no", status=418, headers=[("A", "b")], details=details, hint="h")
    assert (error.status, error.headers, error.details, error.hint) == (418, (("A", "b"),), {"field": "a"}, "h")
    assert error.details is not details
    assert Refusal.status == 400
    assert (Refusal("x").headers, Refusal("x").details) == ((), {})


def test_method_not_allowed_lists_the_others() -> None:
    error = MethodNotAllowed("not so", ["GET", "PUT"])
    assert (error.status, error.allow) == (405, ("GET", "PUT"))
    assert error.headers == (("Allow", "GET, PUT"),)
    assert error.details == {"allow": ["GET", "PUT"]}


def test_a_protocol_error_knows_both_codes() -> None:
    error = ProtocolError("bad", status=431, code=1009)
    assert (error.status, error.code, error.text) == (431, 1009, "bad")
    assert (ProtocolError("bad").status, ProtocolError("bad").code) == (400, 1002)


@pytest.mark.parametrize(
    ("kind", "known_as"),
    [
        (MissingBean, LookupError),
        (AmbiguousBean, LookupError),
        (MissingExtra, ImportError),
        (MissingExtra, StartError),
        (ConnectionClosed, ConnectionError),
        (SlowConsumer, ConnectionClosed),
        (errors.NoScope, RuntimeError),
        (errors.Frozen, RuntimeError),
    ],
)
def test_they_are_caught_as_what_python_calls_them(kind: type[GreenimiError], known_as: type[Exception]) -> None:
    with pytest.raises(known_as, match=r"^x\n  hint: y$"):
        raise kind("x", hint="y")
