"""Placeholders as people write them, and what may be told of values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.pool.database.statements import StatementError, masked, prepare, shortened


@pytest.mark.parametrize(
    ("sql", "binds", "text", "values"),
    [
        ("a = ? AND b = ?", [1, 2], "a = %s AND b = %s", [1, 2]),
        ("a = %s AND b = %s", (1, 2), "a = %s AND b = %s", (1, 2)),
        ("a = :x AND b = :y OR :x", {"x": 1, "y": 2, "z": 3}, "a = %s AND b = %s OR %s", [1, 2, 1]),
        ("a LIKE 'x%' AND b = ?", [1], "a LIKE 'x%%' AND b = %s", [1]),
        ("a % 2 = ?", [1], "a %% 2 = %s", [1]),
        ("DATE_FORMAT(a, '%%Y') = %s AND b LIKE 'x%'", [1], "DATE_FORMAT(a, '%%Y') = %s AND b LIKE 'x%%'", [1]),
        ("'?' \"?\" `?` '\\'?' '''?' ?", [1], "'?' \"?\" `?` '\\'?' '''?' %s", [1]),
        ("a -- why?\n = ?", [1], "a -- why?\n = %s", [1]),
        ("5--? # ?\n /* ? :x */", [1], "5--%s # ?\n /* ? :x */", [1]),
        ("SELECT @x := ?, a::text", [1], "SELECT @x := %s, a::text", [1]),
        ("'12:30:00' = :at", {"at": 1}, "'12:30:00' = %s", [1]),
        ("SELECT '%s'", None, "SELECT '%s'", None),
        ("SELECT ?", [], "SELECT ?", None),
    ],
)
def test_placeholders_of_mysql(sql: str, binds: Any, text: str, values: Any) -> None:
    assert prepare(sql, binds, "%s", mysql=True) == (text, values)


@pytest.mark.parametrize(
    ("sql", "binds", "text", "values"),
    [
        ("a = %s AND b LIKE 'x%%'", [1], "a = ? AND b LIKE 'x%'", [1]),
        ("a = :x AND b LIKE 'x%'", {"x": 1}, "a = ? AND b LIKE 'x%'", [1]),
        ("'\\' || ? || E'\\'?' || $$ ? $$ || $x$ ? $$ $x$", [1], "'\\' || ? || E'\\'?' || $$ ? $$ || $x$ ? $$ $x$", [1]),
        ("a --? \n = ?", [1], "a --? \n = ?", [1]),
    ],
)
def test_placeholders_of_others(sql: str, binds: Any, text: str, values: Any) -> None:
    assert prepare(sql, binds, "?", mysql=False) == (text, values)


@pytest.mark.parametrize(
    ("sql", "binds", "problem"),
    [
        ("a = ? AND b = ?", [1], "1 values for 2 placeholders"),
        ("a = ? AND b = %s", [1, 2], "mixes"),
        ("a = ? AND b = :b", {"b": 1}, "mixes"),
        ("a = :a", [1], "a mapping is wanted"),
        ("a = ?", {"a": 1}, "with names"),
        ("a = :a", {"b": "secret"}, "no value for :a"),
        ("a = ?", "secret", "not text"),
        ("a = ?", 5, "not of the type int\n  hint: a single value is"),
    ],
)
def test_what_does_not_fit(sql: str, binds: Any, problem: str) -> None:
    with pytest.raises(StatementError, match=problem) as refused:
        prepare(sql, binds, "%s", mysql=True)
    assert "secret" not in str(refused.value)


def test_long_statements_are_not_remembered() -> None:
    sql = f"SELECT '{'x' * 10_000}', ?"
    assert prepare(sql, [1], "%s", mysql=True) == (sql.replace("?", "%s"), [1])


PIECES = st.sampled_from(["a", " ", "'", '"', "`", "?", "%", "%%", ":", "\\", "--", "#", "/*", "*/", "\n", "$$"])


@given(st.lists(PIECES).map("".join), st.booleans())
def test_text_without_placeholders_stays_as_it_is(text: str, mysql: bool) -> None:
    """Whatever is quoted how: after formatting by the driver the server sees what was written."""
    try:
        found, values = prepare(f"{text.replace('?', '')}\n ", [], "%s", mysql=mysql)
        assert (found, values) == (f"{text.replace('?', '')}\n ", None)
        found, values = prepare(text, [1] * text.count("?"), "%s", mysql=mysql)
    except StatementError:
        return  # some stand in quotes
    if values is not None:
        assert found % tuple("?" for _ in values) == text


def test_values_are_told_by_kind_and_length() -> None:
    assert masked(["secret", b"12", 5, None, 1.5, [1, 2]]) == ("str(6)", "bytes(2)", "int", "NULL", "float", "list(2)")
    assert masked({"a": "secret"}) == ("str(6)",)
    assert masked(None) == ()
    assert len(masked([1] * 1000)) == 50


def test_statements_in_a_log_are_one_short_line() -> None:
    assert shortened("SELECT\n   1") == "SELECT 1"
    assert len(shortened("x" * 100_000)) < 2100
