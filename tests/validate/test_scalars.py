from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.validate import BindError, Text, bind


def test_bound_text_is_a_plain_str() -> None:
    assert type(bind(str, Text("a"))) is str


def test_null_of_a_textual_source_is_none_but_a_client_may_be_called_null() -> None:
    kind: Any = str | None
    assert bind(kind, Text("null")) is None
    assert bind(kind, "null", text=True) == "null"


@given(st.integers() | st.floats(allow_nan=False) | st.text() | st.booleans() | st.none() | st.lists(st.integers()))
def test_a_strict_type_takes_its_own_values_only(value: object) -> None:
    for kind in (int, str, bool):
        if type(value) is kind:
            assert bind(kind, value) == value
        else:
            with pytest.raises(BindError):
                bind(kind, value)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_what_is_written_as_text_reads_back(value: float) -> None:
    assert bind(type(value), str(value), text=True) == value


@given(st.text(), st.sampled_from([int, float, bool]))
def test_any_text_is_a_value_or_a_bind_error(text: str, kind: Any) -> None:
    try:
        found: object = bind(kind, text, text=True)
    except BindError:
        return
    assert type(found) is kind
