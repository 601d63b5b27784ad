"""Breaking work off wherever it waits."""

from __future__ import annotations

import gevent
import pytest

from greenimi import green
from greenimi.errors import HandlerTimeout
from greenimi.testing.kills import Broken, break_off, break_off_everywhere


def test_at_the_wait_that_is_named() -> None:
    steps: list[int] = []

    def work() -> None:
        for step in range(4):
            steps.append(step)
            green.sleep(0.001)

    run = break_off(work, 3)
    assert run.reached
    assert isinstance(run.error, HandlerTimeout)
    assert steps == [0, 1, 2]


def test_work_that_ends_before() -> None:
    run = break_off(lambda: green.sleep(0.001), 5)
    assert (run.waits, run.reached, run.error) == (1, False, None)


def test_everywhere() -> None:
    runs: list[Broken] = []

    def work() -> None:
        green.sleep(0.001)
        green.sleep(0.001)

    assert break_off_everywhere(work, runs.append, gevent.GreenletExit) == 2
    assert [type(run.error) for run in runs[:3]] == [gevent.GreenletExit, gevent.GreenletExit, type(None)]


def test_errors_of_the_work_itself() -> None:
    def work() -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        raise break_off(work, 1).error or AssertionError
