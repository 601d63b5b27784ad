"""The command line: rows by name and by group, and what the exit status tells."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from benchmarks import cli, goals
from benchmarks.goals import aim, at_least
from benchmarks.results import Outcome, Report, RowResult
from benchmarks.servers import ROWS


def names(text: str) -> list[str]:
    return [row.name for row in cli.row_names(text)]


def test_rows_are_chosen_by_name_or_by_their_first_word() -> None:
    assert names("reload, guest") == ["guest", "reload"]
    assert names("tls") == [row.name for row in ROWS if row.name.startswith("tls-")]
    assert names("tls,tls-hello,tls") == names("tls")
    assert names("memory") == ["memory"]


@pytest.mark.parametrize("text", ["", "nothing", "guest,tls-"])
def test_rows_that_do_not_exist_are_told(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="there are"):
        cli.row_names(text)


def test_a_missed_goal_is_in_the_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    figures = dict.fromkeys(("rate", "p50_us", "p99_us", "cpu_us", "rss_mib", "errors"), 1.0)
    row = RowResult("guest", "", "wrk", [Outcome("greenimi", "", figures), Outcome("granian-wsgi", "", figures)])
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(Report({}, 1, 1, [row]).as_json()))
    goal = at_least("guest", 2, "granian-wsgi")
    for wanted, status in ((goal, 3), (aim(goal), 0)):
        monkeypatch.setattr(goals, "GOALS", [wanted])
        assert cli.main(["--from", str(kept)]) == status
    assert "not reached" in capsys.readouterr().out
