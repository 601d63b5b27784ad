"""What ``greenimi status`` shows people and programs."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import pytest

from greenimi.cli import status as module
from greenimi.cli.status import as_json, duration, quantile, render, short, size
from greenimi.servers.watch.status_types import BookedWorker, Status, WorkerStatus
from tests.servers.records import server, worker

NOW = 10_000.0


def status(workers: Sequence[BookedWorker | WorkerStatus] = (), **master: Any) -> Status:
    facts: Any = {
        "pid": 100,
        "since": NOW - 7500,
        "generation": 3,
        "reloads": 2,
        "last_reload": {"ok": True, "text": "generation 3 serves", "when": NOW - 60},
        "conf": "/srv/shop/conf/app.toml",
        "before": 0,
        "successor": 0,
        "complete": True,
        "folder": "/run/hub-x",
    }
    facts.update(master)
    return {
        "master": facts,
        "listeners": [
            {"server": "web", "kind": "http", "address": "127.0.0.1:8000"},
            {"server": "beacon", "kind": "udp", "address": "127.0.0.1:9001"},
            {"server": "beacon", "kind": "udp", "address": "127.0.0.1:9001"},
        ],
        "workers": list(workers),
    }


LATENCY = {"buckets": [0, 0, 0, 0, 0, 900, 90, 0, 10], "sum": 1.0}
READY = worker(
    201,
    generation=3,
    since=NOW - 100,
    at=NOW - 0.5,
    servers={"web": server(connections=12, accepted=40, refused=1, handled=1000, latency=LATENCY)},
    handlers={"size": 20, "busy": 7, "waiting": 3, "limit": 1000, "overloaded": False},
    loop={"lag": 0.0012, "max_lag": 0.25},
    blocked={"count": 3, "seconds": 1.0, "reports": [{"when": NOW - 30, "seconds": 0.31, "where": "shop.py:41 in place"}]},
    memory=50 << 20,
    cpu=4.0,
)


def rows(text: str, head: str) -> list[list[str]]:
    """The table that starts with ``head``, without its heads, each row cut at two spaces."""
    lines = text.split("\n\n")
    section = next(part for part in lines if f"\n{head}" in f"\n{part}").splitlines()
    at = next(number for number, line in enumerate(section) if line.startswith(head))
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in section[at + 1 :]]


def shown(found: Status, **options: Any) -> str:
    return render(found, now=NOW, **{"color": False, **options})


def test_what_other_rooms_count() -> None:
    one = worker(201, at=NOW, sources={"hub": {"connections": 3.0, "groups": 0.0, "kept_total": 2.0}, "pool.main": {"busy": 0.0}})
    two = worker(202, at=NOW, sources={"hub": {"connections": 4.0}})
    assert rows(shown(status([one, two])), "counts of") == [["hub", "connections 7, kept 2"]]
    assert "counts of" not in shown(status([worker(201, at=NOW)]))


def test_master_workers_servers_and_what_was_blocked() -> None:
    text = shown(status([READY]))
    assert text.splitlines()[:3] == [
        "master 100, up 2h 5m, generation 3, 2 reloads",
        "conf   /srv/shop/conf/app.toml",
        "reload ok 1m ago: generation 3 serves",
    ]
    assert rows(text, "worker ") == [["0", "201", "3", "ready", "1m 40s", "12", "7/1000", "3", "1.2ms (max 250ms)", "50M", "4.0%"]]
    assert rows(text, "server ") == [
        ["web", "http", "127.0.0.1:8000", "12", "40", "1", "1000", "25µs", "64µs"],
        ["beacon", "udp", "127.0.0.1:9001", "-", "-", "-", "-", "-", "-"],
    ]
    assert "nothing else could run, 3 times; the last:" in text
    assert rows(text, "blocked ") == [["30s ago", "0", "310ms", "shop.py:41 in place"]]


def test_a_worker_that_said_nothing_yet_and_one_that_fell_silent() -> None:
    booting: BookedWorker = {"pid": 202, "place": 1, "generation": 3, "state": "booting"}
    silent = worker(203, place=2, since=NOW - 100, at=NOW - 42, state="leaving")
    busy = worker(204, place=3, since=NOW - 100, at=NOW, handlers={"size": 1, "busy": 1, "waiting": 9, "limit": 1, "overloaded": True})
    found = rows(shown(status([booting, silent, busy])), "worker ")
    assert found[0] == ["1", "202", "3", "booting", *["-"] * 7]
    assert found[1][3] == "leaving, silent for 42s"
    assert found[2][3] == "ready, overloaded"


def test_what_there_is_not_is_not_shown() -> None:
    text = shown(status(reloads=0, last_reload=None))
    assert text.splitlines()[0] == "master 100, up 2h 5m, generation 3"
    assert "reload" not in text
    assert "there is no worker" in text
    assert "nothing else could run" not in text
    one = shown(status(reloads=1, last_reload={"ok": False, "text": "web: 5\nmore", "when": NOW - 1}))
    assert "1 reload\n" in one
    assert "reload failed 1s ago: web: 5\n" in one


def test_numbers_of_all_workers_are_added_by_server() -> None:
    other = worker(301, place=1, at=NOW, servers={"web": server(connections=3, handled=5, latency={"buckets": [5], "sum": 0.0})})
    assert rows(shown(status([READY, other])), "server ")[0][3:7] == ["15", "40", "1", "1005"]


@pytest.mark.parametrize("width", [20, 79, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = shown(status([READY]), width=width)
    assert all(len(line) <= width for line in text.splitlines())
    whole = shown(status([READY])).splitlines()
    for line, full in zip(text.splitlines(), whole, strict=True):
        assert line == full if len(full) <= width else line == f"{full[: width - 1]}…"


def test_color_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in render(status([READY]))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    painted = render(status([READY]))
    assert "\x1b[1mworker " in painted
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in render(status([READY]))


@pytest.mark.parametrize("as_it_is", [False, True])
def test_the_command_asks_the_master(as_it_is: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = status([READY])
    asked: list[Any] = []

    def answer(path: Any, question: Any) -> Any:
        asked.append((path, question))
        return {"done": True, "status": found}

    monkeypatch.setattr(module, "find_master", lambda options: "the socket")
    monkeypatch.setattr(module, "ask", answer)
    assert module.run(Namespace(json=as_it_is)) == 0
    assert asked == [("the socket", {"do": "status"})]
    out = capsys.readouterr().out
    assert json.loads(out) == found if as_it_is else out.startswith("master 100, up ")


def test_programs_get_everything() -> None:
    assert json.loads(as_json(status([READY]))) == status([READY])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m 59s"), (3600, "1h"), (90_000, "1d 1h"), (86_459, "1d")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_small_numbers_for_people() -> None:
    assert [short(found) for found in (0.00004, 0.0034, 0.045, 1.24)] == ["40µs", "3.4ms", "45ms", "1.2s"]
    assert [size(found) for found in (512, 48 << 20, 3 << 29)] == ["512B", "48M", "1.5G"]


def test_quantiles_of_buckets() -> None:
    assert quantile([], 0.5) is None
    assert quantile([0, 0], 0.5) is None
    half = quantile([0, 0, 0, 0, 100], 0.5)
    assert half == pytest.approx(12e-6)  # in the middle of 8 to 16 microseconds
    assert quantile([100], 1.0) == pytest.approx(1e-6)
    late = quantile([0, 98, 0, 0, 0, 0, 0, 0, 0, 0, 2], 0.99)
    assert late is not None
    assert 512e-6 <= late <= 1024e-6
