from __future__ import annotations

import pytest

from tests.soak.places import Verdict
from tests.soak.slow_http import CLIENTS, DEADLINE, SLACK, Row, Watch, judge, rows_of

HEAD = "Seconds,Closed,Pending,Connected,Service Available\n"


class Seen(Watch):
    """A watch that saw this."""

    def __init__(self, held: list[tuple[float, int]], full: float) -> None:
        self.held = held
        self.full = full


def test_what_slowhttptest_wrote() -> None:
    assert rows_of(HEAD + "0,0,1,0,1000\n1,3,1,229,0\n") == [Row(0, 0, 0, True), Row(1, 3, 229, False)]
    with pytest.raises(ValueError, match="Service Available"):
        rows_of("Seconds,Closed,Connected\n0,0,0\n")


def test_all_cut_in_time() -> None:
    verdict = Verdict()
    judge([Row(5, 0, CLIENTS, True)], Seen([(5, CLIENTS), (5 + DEADLINE, 300), (5 + DEADLINE + SLACK, 2)], 5), verdict)
    assert (verdict.met, verdict.missed) == (3, 0)


def test_some_held_for_too_long_too_few_opened_and_the_service_away() -> None:
    verdict = Verdict()
    judge([Row(5, 0, CLIENTS - 1, False)], Seen([(5, CLIENTS - 1), (5 + DEADLINE + SLACK, 300)], 5), verdict)
    assert (verdict.met, verdict.missed) == (0, 3)
