from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from greenimi import green
from tests.soak.data_load import Load, Wrong, judge, judge_recovery
from tests.soak.places import Verdict


def sleeps(seconds: float) -> Callable[[int], object]:
    return lambda who: green.sleep(seconds)


def test_answers_errors_and_wrong_answers_are_counted() -> None:
    def ask(who: int) -> None:
        green.sleep(0.001)
        if who == 1:
            raise OSError("refused")
        if who == 2:
            raise Wrong("an answer of another")

    with Load(ask, 3) as load:
        load.wait_answers(50)
    assert load.answers >= 50
    assert load.errors[OSError] > 0
    assert load.examples == {OSError: "refused"}
    assert set(load.wrong) == {"an answer of another"}
    assert load.asked == load.answers + load.errors[OSError] + len(load.wrong)
    assert f"{load.errors[OSError]} OSError" in load.told
    assert load.hung == load.killed == 0


def test_questions_are_given_up_at_random_times() -> None:
    with Load(sleeps(0.01), 4, kill_within=0.02) as load:
        load.wait_answers(50)
    assert load.killed > 0
    with Load(sleeps(0.01), 4, kill_within=0.02, kill_share=0.0) as load:
        load.wait_answers(50)
    assert load.killed == 0


def test_those_who_hang_are_counted_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.soak.data_load._ENDS", 0.05)
    with Load(lambda who: green.sleep(60 if who else 0.001), 2) as load:
        load.wait_answers(1)
    assert load.hung == 1


def test_recovered_are_all_or_none() -> None:
    stuck = [True]

    def ask(who: int) -> None:
        green.sleep(0.001)
        if who == 1 and stuck:
            raise OSError("refused")

    with Load(ask, 2) as load:
        load.wait_answers(10)
        assert load.recovered(time.monotonic(), 0.1) is None
        stuck.clear()
        took = load.recovered(time.monotonic(), 10)
    assert took is not None


def test_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    load = Load(lambda who: None)
    load.answers, load.longest = 10, 2.0
    load.errors[ConnectionResetError] = 1
    verdict = Verdict()
    judge(verdict, load, longest=3, errors=(OSError,))
    assert (verdict.met, verdict.missed) == (4, 0)
    verdict = Verdict()
    judge(verdict, load, longest=3)
    assert (verdict.met, verdict.missed) == (3, 1)
    load.wrong, load.hung = ["x for y"], 1
    verdict = Verdict()
    judge(verdict, load, longest=1, errors=(ValueError,))
    assert (verdict.met, verdict.missed) == (0, 4)
    assert "the first: x for y" in capsys.readouterr().out


def test_the_bar_of_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = Verdict()
    load = Load(lambda who: None)
    for took in (0.5, 2.0, None):
        monkeypatch.setattr(load, "recovered", lambda since, seconds, took=took: took)
        judge_recovery(verdict, load, 0.0, 1.0)
    assert (verdict.met, verdict.missed) == (1, 2)
