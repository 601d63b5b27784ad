from __future__ import annotations

import json

import pytest

from greenimi.cli.output import complain, say_records, table


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    assert table(["a", "long"], [["wide cell", 1], ["x", ""]]) == "a          long\nwide cell  1\nx"


def test_records_as_a_table_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["web", ["one", "two"]], ["ü", []]]
    say_records(["name", "layers"], rows, as_json=False)
    assert capsys.readouterr().out == "name  layers\nweb   one, two\nü\n"
    say_records(["name", "layers"], rows, as_json=True)
    out = capsys.readouterr().out
    assert json.loads(out) == [{"name": "web", "layers": ["one", "two"]}, {"name": "ü", "layers": []}]
    assert "ü" in out


def test_complaints_go_to_stderr_with_who_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    complain(ValueError("no"), "greenimi x")
    assert capsys.readouterr() == ("", "greenimi x: no\n")
