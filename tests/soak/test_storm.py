from __future__ import annotations

from typing import Any

import pytest

from greenimi.testing.plugin import Serve
from greenimi.testing.support import free_port, wait_until
from tests.soak.crowd import RETRY
from tests.soak.places import Verdict
from tests.soak.storm import BACK, CLIENTS, GRACEFUL, SLOWEST, Accepting, Happened, Storm, judge_kill, judge_reload, most_in_a_second

CONF = {"servers": {"web": {"kind": "http"}, "till": {"kind": "tcp"}, "beacon": {"kind": "udp"}}}
BEGAN = 100.0
VICTIMS = 7


@pytest.mark.parametrize(
    ("moments", "most"),
    [([], 0), ([5.0], 1), ([3.0, 1.0, 2.0], 1), ([1.0, 1.2, 1.9, 2.0], 3), ([0.0, 0.9, 1.8, 1.85, 2.7, 9.0], 3)],
)
def test_most_in_a_second(moments: list[float], most: int) -> None:
    assert most_in_a_second(moments) == most


def told(waits: list[tuple[float, float]] = [], **moments: list[float]) -> Happened:  # noqa: B006 - never changed
    """Moments are seconds after the beginning."""
    happened = Happened()
    earlier: dict[str, Any] = {"whole": 3, "waits": [(BEGAN - 9, 8.0)], "happened": {"lost": [BEGAN - 1], "answered": [BEGAN - 1]}}
    happened.add(earlier)
    now = {what: [BEGAN + each for each in found] for what, found in moments.items()}
    happened.add({"whole": CLIENTS, "waits": [(BEGAN + asked, seconds) for asked, seconds in waits], "happened": now})
    return happened


def test_what_happened_earlier_does_not_count() -> None:
    happened = told([(-0.5, 1.0), (2.0, 0.25)], lost=[0.5])
    assert happened.whole == CLIENTS
    assert happened.since("lost", BEGAN) == [0.5]
    assert happened.since("answered", BEGAN) == []
    assert happened.slowest(BEGAN) == (2, 1.0)


FINE = {"lost": [0.1] * VICTIMS, "opened": [0.5] * VICTIMS, "answered": [BACK - 1] * VICTIMS}


@pytest.mark.parametrize(
    ("changed", "waits", "missed"),
    [
        ({}, [(1.0, 0.1)], 0),
        ({"lost": [0.1] * (VICTIMS + 1)}, [(1.0, 0.1)], 2),
        ({"answered": [1.0] * (VICTIMS - 1)}, [(1.0, 0.1)], 1),
        ({"answered": [BACK + 1] * VICTIMS}, [(1.0, 0.1)], 1),
        ({"told": [1.0]}, [(1.0, 0.1)], 1),
        ({"dismissed": [1.0]}, [(1.0, 0.1)], 1),
        ({"wrong": [1.0]}, [(1.0, 0.1)], 1),
        ({}, [(1.0, SLOWEST + 1)], 1),
        ({}, [], 1),
    ],
)
def test_a_kill(changed: dict[str, list[float]], waits: list[tuple[float, float]], missed: int) -> None:
    verdict = Verdict()
    moments: dict[str, Any] = {**FINE, **changed}
    judge_kill(told(waits, **moments), BEGAN, VICTIMS, verdict)
    assert (verdict.met, verdict.missed) == (5 - missed, missed)


SPREAD = [5.0 * number / CLIENTS for number in range(CLIENTS)]


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({}, 0),
        ({"told": SPREAD[1:]}, 1),
        ({"lost": [1.0]}, 1),
        ({"refused": [1.0]}, 1),
        ({"answered": SPREAD[1:]}, 1),
        ({"answered": [*SPREAD[1:], GRACEFUL + 1]}, 1),
        ({"opened": [1.0] * CLIENTS}, 1),
    ],
)
def test_a_reload(changed: dict[str, list[float]], missed: int) -> None:
    verdict = Verdict()
    moments: dict[str, Any] = {"told": SPREAD, "opened": SPREAD, "answered": SPREAD, **changed}
    judge_reload(told(**moments), BEGAN, verdict)
    assert (verdict.met, verdict.missed) == (5 - missed, missed)


def record(pid: int, at: float, accepted: int) -> dict[str, Any]:
    return {"pid": pid, "at": at, "servers": {"web": {"accepted": accepted}}}


def test_accepted_in_a_second_by_one_worker() -> None:
    accepting = Accepting.__new__(Accepting)
    accepting._records = {}
    assert accepting.most == 0
    accepting.add([record(1, 10.0, 0), record(2, 10.5, 0), {"pid": 3}])
    accepting.add([record(1, 11.0, 900), record(2, 11.5, 800)])
    accepting.add([record(1, 11.0, 900), record(2, 11.5, 800)])
    accepting.add([record(1, 13.0, 2900)])  # one was not seen
    assert accepting.most == 1000


@pytest.mark.live
def test_a_crowd_comes_back(serve: Serve) -> None:
    served = serve(["tests.soak.apps.soak"], CONF)
    web: Any = served.app.doors.servers["web"]
    with Storm(served.addresses["web"][1], 20) as storm:
        assert storm.is_whole()
        for connection in list(web.connections)[:5]:
            connection.shut()
        assert storm.is_whole(lost=5)
        for connection in list(web.connections):
            connection.close(1012)
        wait_until(lambda: len(storm.look().since("told", 0)) == 20)
        assert storm.is_whole()
        storm.ask()
        assert storm.is_whole()
        happened = storm.happened
    assert [len(happened.since(what, 0)) for what in ("opened", "answered", "lost", "told")] == [45, 45, 5, 20]
    assert not any(happened.since(what, 0) for what in ("refused", "dismissed", "wrong"))
    assert happened.slowest(0)[0] >= 20


@pytest.mark.live
def test_a_crowd_that_is_not_let_in_tries_again() -> None:
    with Storm(free_port(), 3) as storm:
        wait_until(lambda: len(storm.look().since("refused", 0)) >= 9)
        refused = storm.happened.since("refused", 0)
    assert storm.happened.whole == 0
    assert refused[6] - refused[0] >= 2 * RETRY
