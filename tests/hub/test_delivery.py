from __future__ import annotations

from collections.abc import Sequence

import pytest

from greenimi import green
from greenimi.hub.delivery import Delivery
from greenimi.hub.packets import number
from greenimi.testing.support import wait_until


class Calls:
    """Answers that may come; who waits for them waits until told."""

    def __init__(self, asked: int, *counts: int) -> None:
        self.number = asked
        self.waits: list[float] = []
        self.ready = green.Event()
        self.ready.set()
        self._answers = [(process, number(count)) for process, count in enumerate(counts)]

    def wait(self, seconds: float) -> Sequence[tuple[int, bytes]]:
        self.waits.append(seconds)
        self.ready.wait()
        return self._answers


def test_without_others_it_is_known_at_once() -> None:
    delivery = Delivery(3)
    assert (delivery.delivered, delivery.published, delivery.unknown) == (3, 0, 0)
    assert repr(delivery) == "<Delivery delivered=3 published=0 unknown=0>"


def test_answers_are_added_and_silence_is_unknown() -> None:
    calls = Calls(3, 5, 1)
    delivery = Delivery(2, calls, 0.5)
    assert delivery.published == 3
    assert not calls.waits  # nobody has asked yet
    assert repr(delivery) == "<Delivery here=2 published=3>"
    assert (delivery.delivered, delivery.unknown) == (8, 1)
    assert (delivery.delivered, delivery.unknown) == (8, 1)
    assert calls.waits == [0.5]  # once, and for as long as was said


def test_two_who_ask_at_once_are_told_the_same() -> None:
    calls = Calls(1, 4)
    calls.ready.clear()
    delivery = Delivery(1, calls, 1.0)
    told: list[int] = []
    for _ in range(2):
        green.spawn(lambda: told.append(delivery.delivered))
    wait_until(lambda: len(calls.waits) == 2)
    calls.ready.set()
    wait_until(lambda: len(told) == 2)
    assert told == [5, 5]


def test_who_is_stopped_while_asking_spoils_nothing() -> None:
    calls = Calls(1, 4)
    calls.ready.clear()
    delivery = Delivery(0, calls, 1.0)
    asking = green.spawn(lambda: delivery.delivered)
    wait_until(lambda: calls.waits)
    asking.kill()
    calls.ready.set()
    assert delivery.delivered == 4


@pytest.mark.parametrize("first", ["delivered", "unknown"])
def test_several_as_one(first: str) -> None:
    delivery = Delivery.joined(1, [Delivery(0, Calls(1, 2), 1.0), Delivery(0, Calls(2, 3), 1.0)])
    getattr(delivery, first)
    assert (delivery.delivered, delivery.published, delivery.unknown) == (6, 3, 1)
