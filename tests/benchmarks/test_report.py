"""Medians, goals, tables and the chart."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from benchmarks import chart, report
from benchmarks.goals import GOALS, at_least, at_most
from benchmarks.results import Outcome, Report, RowResult, medians
from benchmarks.servers import ROWS

RATES = {"p50_us": 500.0, "p99_us": 2000.0, "cpu_us": 9.0, "rss_mib": 40.0, "errors": 0.0}


def made(ours: float | None, theirs: float) -> Report:
    first = Outcome("greenimi", "<us>", RATES | {"rate": ours}) if ours else Outcome("greenimi", "<us>", failed="it is missing")
    second = Outcome("starlette", "a & b", RATES | {"rate": theirs})
    memory = Outcome("greenimi", "<us>", {"worker_mib": 57.0, "connection_kib": 7.0})
    return Report({"cpu": "one"}, 3, 2, [RowResult("http-hello", "a < b", [first, second]), RowResult("memory", "m", [memory])])


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


def test_the_chart_has_a_bar_for_each_figure() -> None:
    root = ET.fromstring(chart.draw(made(100.0, 40.0)))
    bars = root.findall("{*}rect")
    assert [bar.get("class") for bar in bars] == ["bar ours", "bar", "bar ours", "bar ours"]
    assert float(bars[0].get("width", "0")) == 2.5 * float(bars[1].get("width", "0"))
