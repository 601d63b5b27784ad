"""Medians, goals, tables and the chart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import get_args
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, goals, report
from benchmarks.goals import GOALS, Goal, aim, at_least, at_most
from benchmarks.results import Outcome, Report, RowResult, medians
from benchmarks.servers import ROWS, Load

RATES = {"p50_us": 500.0, "p99_us": 2000.0, "cpu_us": 9.0, "rss_mib": 40.0, "errors": 0.0}


def made(ours: float | None, theirs: float) -> Report:
    first = Outcome("greenimi", "<us>", RATES | {"rate": ours}) if ours else Outcome("greenimi", "<us>", failed="it is missing")
    second = Outcome("starlette", "a & b", RATES | {"rate": theirs})
    memory = Outcome("greenimi", "<us>", {"worker_mib": 57.0, "connection_kib": 7.0})
    rows = [RowResult("http-hello", "a < b", "wrk", [first, second], "TLSv1.3"), RowResult("memory", "m", "memory", [memory])]
    return Report({"cpu": "one"}, 3, 2, rows)


def test_medians_of_each_figure() -> None:
    assert medians([{"a": 1, "b": 9}, {"a": 5, "b": 7}, {"a": 2, "b": 8}]) == {"a": 2, "b": 8}


def test_a_report_survives_json() -> None:
    found = made(100.0, 40.0)
    kept = json.dumps(found.as_json())
    assert json.dumps(Report.from_json(json.loads(kept)).as_json()) == kept


@pytest.mark.parametrize(
    ("ours", "verdict"), [(100.0, ("2.00", "reached")), (99.0, ("1.98", "not reached")), (None, ("-", "not measured"))]
)
def test_a_goal_compares_requests(ours: float | None, verdict: tuple[str, str]) -> None:
    assert at_least("http-hello", 2.0, "starlette").verdict(made(ours, 50.0)) == verdict


def test_a_goal_limits_a_figure() -> None:
    found = made(1.0, 1.0)
    assert at_most("memory", 56, "worker_mib", "").verdict(found) == ("57.00", "not reached")
    assert at_most("memory", 8, "connection_kib", "").verdict(found) == ("7.00", "reached")


def test_a_goal_may_compare_another_figure() -> None:
    goal = Goal("http-hello", "", 2.5, "cpu_us", "starlette")
    assert goal.verdict(made(1.0, 1.0)) == ("1.00", "reached")
    assert replace(goal, bound=0.9).verdict(made(1.0, 1.0)) == ("1.00", "not reached")


def test_a_missed_goal_fails_the_run_and_a_missed_aim_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    goal = at_least("http-hello", 2.0, "starlette")
    found = made(50.0, 50.0)
    monkeypatch.setattr(goals, "GOALS", [goal, at_least("ws-echo", 9, "uvicorn")])
    assert goals.missed(found) == [goal]
    assert "goals not reached: http-hello at least 2 times starlette" in report.as_text(found)
    monkeypatch.setattr(goals, "GOALS", [aim(goal)])
    assert goals.missed(found) == []
    assert "every goal that was measured is reached" in report.as_text(found)


def test_goals_speak_of_rows_and_servers_that_exist() -> None:
    servers = {row.name: {server.name for server in row.servers} for row in ROWS}
    assert all(not goal.server or goal.server in servers[goal.row] for goal in GOALS)
    assert {goal.row for goal in GOALS} == set(servers)


@pytest.mark.parametrize("write", [report.as_text, report.as_markdown])
def test_tables_show_figures_ratios_and_what_is_missing(write: object) -> None:
    assert callable(write)
    whole = write(made(100.0, 40.0))
    assert "2.50 x" in whole
    assert "greenimi is left out of http-hello: it is missing" in write(made(None, 40.0))


def test_each_kind_of_load_has_columns_that_goals_and_tables_share() -> None:
    loads = {row.name: row.load for row in ROWS}
    shown = {load: {column.figure for column in columns} for load, columns in report.COLUMNS.items()}
    assert set(shown) == set(get_args(Load))
    assert all(goal.figure in shown[loads[goal.row]] for goal in GOALS)


def test_the_tls_spoken_stands_in_the_heading() -> None:
    assert "### a < b (TLSv1.3)\n" in report.as_markdown(made(100.0, 40.0))


def test_a_server_that_differs_between_rows_is_told_for_each() -> None:
    texts = {"plain": ["http-hello", "ws-echo"], "with TLS": ["tls-hello"]}
    assert report.abouts(texts) == "plain. In tls-hello: with TLS"


def test_the_chart_has_a_bar_for_each_figure() -> None:
    root = ET.fromstring(chart.draw(made(100.0, 40.0)))
    bars = root.findall("{*}rect")
    assert [bar.get("class") for bar in bars] == ["bar ours", "bar", "bar ours", "bar ours"]
    assert float(bars[0].get("width", "0")) == 2.5 * float(bars[1].get("width", "0"))
