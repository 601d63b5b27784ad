"""Turns of those who write."""

from __future__ import annotations

import sqlite3

import gevent
import pytest

from greenimi import green
from greenimi.pool.database.sqlite_turns import Turns


def test_first_come_first_served() -> None:
    turns = Turns(10.0)
    order: list[int] = []

    def work(number: int) -> None:
        turns.take()
        order.append(number)
        green.sleep(0)
        turns.give()

    gevent.joinall([green.spawn(work, number) for number in range(20)], raise_error=True)
    assert order == list(range(20))
    turns.take()


def test_a_turn_that_does_not_come() -> None:
    turns = Turns(0.01)
    turns.take()
    with pytest.raises(sqlite3.OperationalError, match=r"database is locked: others of this process wrote for 0\.01 seconds"):
        turns.take()
    turns.give()
    turns.take()


def test_one_who_is_killed_while_waiting_or_just_then() -> None:
    turns = Turns(10.0)
    turns.take()

    def work() -> None:
        turns.take()
        turns.give()

    waiting = [green.spawn(work) for _ in range(3)]
    green.sleep(0)
    waiting[0].kill()
    turns.give()  # it is the second one's now, who does not know yet
    waiting[1].kill()
    waiting[2].get(timeout=5)
    turns.take()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.01):
        turns.take()
