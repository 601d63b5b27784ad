from __future__ import annotations

import logging
from contextvars import ContextVar

import pytest
from greenlet import GreenletExit

from greenimi import green
from greenimi.errors import Overloaded
from greenimi.hub import later as module
from greenimi.hub.later import Later
from greenimi.testing.support import PATIENCE, wait_until

who: ContextVar[str] = ContextVar("who", default="nobody")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.001)


def test_one_after_the_other_in_order() -> None:
    later = Later()
    done: list[int] = []

    def job(number: int) -> None:
        green.sleep(0.001 if number == 0 else 0)
        done.append(number)

    for number in range(20):
        later.add(lambda number=number: job(number))  # type: ignore[misc]
    assert not done  # never at once
    assert len(later) == 20
    assert later.wait(PATIENCE)
    assert done == list(range(20))


def test_what_jobs_add_is_done_as_well() -> None:
    later = Later()
    done: list[str] = []
    later.add(lambda: later.add(lambda: done.append("second")))
    assert later.wait(PATIENCE)
    assert done == ["second"]
    later.add(lambda: done.append("third"))
    assert later.wait(PATIENCE)
    assert done == ["second", "third"]


def test_failed_job_holds_up_none(caplog: pytest.LogCaptureFixture) -> None:
    later = Later()
    done: list[int] = []
    later.add(lambda: 1 / 0)
    later.add(lambda: done.append(1))
    assert later.wait(PATIENCE)
    assert done == [1]
    assert "ZeroDivisionError" in caplog.text


def test_who_waits_waits_no_longer_than_said() -> None:
    later = Later()
    gate = green.Event()
    later.add(gate.wait)
    assert not later.wait(0.001)
    gate.set()
    assert later.wait(PATIENCE)


def test_overloaded_is_tried_again_before_the_others() -> None:
    later = Later()
    done: list[str] = []

    def busy() -> None:
        done.append("try")
        if len(done) < 4:
            raise Overloaded("busy")

    later.add(busy)
    later.add(lambda: done.append("behind"))
    assert later.wait(PATIENCE)
    assert done == ["try", "try", "try", "try", "behind"]


def test_store_that_stays_away_is_waited_for_once(caplog: pytest.LogCaptureFixture) -> None:
    """The jobs behind the first one that had to be given up are tried once each, until one succeeds."""
    later = Later()
    tries = [0, 0, 0]

    def fail(number: int) -> None:
        tries[number] += 1
        raise Overloaded("busy")

    later.add(lambda: fail(0))
    later.add(lambda: fail(1))
    later.add(lambda: None)
    later.add(lambda: fail(2))
    with caplog.at_level(logging.ERROR):
        assert later.wait(PATIENCE)
    assert tries == [module._TRIES, 1, module._TRIES]
    assert len(caplog.records) == 3


def test_jobs_have_none_of_the_context_of_who_added_them() -> None:
    later = Later()
    seen: list[str] = []
    token = who.set("a handler")
    try:
        later.add(lambda: seen.append(who.get()))
    finally:
        who.reset(token)
    assert later.wait(PATIENCE)
    assert seen == ["nobody"]


def test_goes_on_after_its_greenlet_was_killed() -> None:
    later = Later()
    done: list[int] = []

    def end() -> None:
        raise GreenletExit

    later.add(end)
    later.add(lambda: done.append(1))
    wait_until(lambda: later.wait(0))
    later.add(lambda: done.append(2))
    assert later.wait(PATIENCE)
    assert done == [1, 2]


def test_no_more_wait_than_may(caplog: pytest.LogCaptureFixture) -> None:
    later = Later(2)
    done: list[int] = []
    for number in range(4):
        later.add(lambda number=number: done.append(number))  # type: ignore[misc]
    assert later.wait(PATIENCE)
    assert done == [0, 1]
    assert [record.getMessage() for record in caplog.records] == [
        "2 things wait to be done, further ones are left out",
        "2 things were left out",
    ]
    later.add(lambda: done.append(4))
    assert later.wait(PATIENCE)
    assert done == [0, 1, 4]
