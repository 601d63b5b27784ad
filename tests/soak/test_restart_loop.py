from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from greenimi.testing.plugin import Serve
from greenimi.testing.resuming import Absence
from tests.soak import restart_loop
from tests.soak.places import Verdict
from tests.soak.restart_loop import BACK, Teller, judge_absences, judge_story, judge_whole, readers
from tests.soak.test_listeners import CONF

STORY: list[tuple[int | None, int]] = [(1, 0), (2, 1), (3, 2), (4, 5)]


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_loop, "CLIENTS", 2)
    monkeypatch.setattr(restart_loop, "PATIENCE", 5.0)


def reader(heard: list[tuple[int | None, int]] = STORY, **more: Any) -> Any:
    client = {"gaps": [], "problems": [], "absences": [], "is_open": True, **more}
    return SimpleNamespace(heard=heard, client=SimpleNamespace(**client))


@pytest.mark.parametrize(
    ("second", "missed"),
    [
        (reader(), 0),
        (reader(STORY[::-1]), 1),
        (reader([*STORY[:3], (4, 6)]), 1),
        (reader(gaps=["story"]), 1),
        (reader(problems=["something"]), 1),
    ],
)
def test_everybody_hears_the_same(second: Any, missed: int) -> None:
    assert judged([reader(), second]) == missed


@pytest.mark.parametrize(
    ("heard", "missed"),
    [
        ([(1, 0), (2, 1), (4, 2), (5, 5)], 1),
        ([(1, 0), (2, 1), (3, 2), (3, 2)], 2),
        ([(1, 0), (2, 2), (3, 5), (4, 6)], 1),
        ([(1, 0), (2, 1), (3, 2), (4, 9)], 1),
    ],
)
def test_what_all_of_them_hear_is_the_story(heard: list[tuple[int | None, int]], missed: int) -> None:
    assert judged([reader(heard), reader(heard)]) == missed


def judged(found: list[Any]) -> int:
    """Bars that are missed where three messages were told, and of three more nobody knows."""
    verdict = Verdict()
    judge_story(found, SimpleNamespace(told=[0, 1, 2], tried=[5, 6, 7]), verdict)  # type: ignore[arg-type]
    assert verdict.met + verdict.missed == 5
    return verdict.missed


def absence(code: int = 1012, seconds: float | None = 0.5, *, restored: bool = True) -> Absence:
    return Absence(code, "", 0.0, 1, seconds, restored)


@pytest.mark.parametrize(
    ("found", "missed"),
    [
        ([absence()], 0),
        ([absence(seconds=BACK + 0.1)], 1),
        ([absence(seconds=None)], 1),
        ([absence(1006)], 1),
        ([absence(restored=False)], 1),
        ([], 1),
    ],
)
def test_absences(found: list[Absence], missed: int) -> None:
    verdict = Verdict()
    judge_absences([reader(absences=[absence()]), reader(absences=found)], True, verdict)
    assert (verdict.met, verdict.missed) == (4 - missed, missed)


@pytest.mark.live
def test_a_story_is_told(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restart_loop, "MESSAGES", 50)
    service: Any = serve(["tests.soak.apps.rooms"], {**CONF, "hub": {"groups": {"story": {"history": 100}}}})
    verdict = Verdict()
    with ExitStack() as ends:
        found = readers(ends, service)
        teller = Teller(service)
        found[1].client.cut()
        teller.greenlet.get()
        assert teller.told == list(range(50))
        judge_story(found, teller, verdict)
        judge_absences(found[1:], False, verdict)
        judge_whole(found, verdict)
    assert (verdict.met, verdict.missed) == (8, 0)
