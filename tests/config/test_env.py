from __future__ import annotations

from typing import Any

import pytest

from greenimi.config import Env
from greenimi.errors import ConfigError


@pytest.mark.parametrize(
    ("getter", "text", "expected"),
    [
        ("str", "a", "a"),
        ("str", "", ""),
        ("str", "1", "1"),
        ("int", "42", 42),
        ("int", "-1", -1),
        ("float", "1.5", 1.5),
        ("float", "2", 2.0),
        ("bool", "true", True),
        ("bool", "1", True),
        ("bool", "FALSE", False),
        ("bool", "0", False),
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", "[]", []),
        ("list", "a, b,c", ["a", "b", "c"]),
        ("list", "a", ["a"]),
        *[(getter, "null", None) for getter in ("str", "int", "float", "bool", "json", "list")],
    ],
)
def test_a_value_of_the_type(getter: str, text: str, expected: object) -> None:
    found = getattr(Env({"NAME": text}), getter)("NAME", "default")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("getter", "text"),
    [
        ("int", ""),
        ("int", "1.0"),
        ("int", "a"),
        ("float", ""),
        ("float", "a"),
        ("float", "nan"),
        ("bool", ""),
        ("bool", "2"),
        ("json", ""),
        ("json", "{"),
        ("list", ""),
    ],
)
def test_a_bad_value_is_an_error_even_with_a_default(getter: str, text: str) -> None:
    with pytest.raises(ConfigError, match="environment: NAME: expected"):
        getattr(Env({"NAME": text}), getter)("NAME", 1)


@pytest.mark.parametrize("getter", ["str", "int", "float", "bool", "json", "list"])
def test_a_missing_variable_gives_the_default_or_an_error(getter: str) -> None:
    default = object()
    assert getattr(Env({}), getter)("NAME", default) is default
    with pytest.raises(ConfigError, match="environment: NAME is not set"):
        getattr(Env({}), getter)("NAME")


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        ("1", None, "1"),
        ("1", "", "1"),
        ("1", 0, 1),
        ("1", 0.5, 1.0),
        ("1", False, True),
        ("1,2", [], ["1", "2"]),
        ("{}", {}, {}),
        ("null", 0, None),
    ],
)
def test_calling_it_takes_the_type_of_the_default(text: str, default: Any, expected: object) -> None:
    found = Env({"NAME": text})("NAME", default)
    assert found == expected
    assert type(found) is type(expected)
    assert Env({})("NAME", default) == default


def test_a_separator_of_ones_own() -> None:
    assert Env({"NAME": "a:b,c"}).list("NAME", separator=":") == ["a", "b,c"]


def test_a_secret_is_not_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        Env({"API_TOKEN": "hunter2"}).int("API_TOKEN")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
