from __future__ import annotations

from typing import Any

from greenimi.pool.redis.waiting import Replies, nobody


def test_replies_wake_once_when_all_are_there() -> None:
    woken: list[Any] = []
    replies = Replies(woken.append, 2)
    replies(1)
    assert woken == []
    replies(2)
    assert woken == [[1, 2]]
    replies.wake("more")
    assert woken == [[1, 2]]


def test_what_comes_after_an_error_is_thrown_away() -> None:
    woken: list[Any] = []
    replies, error = Replies(woken.append, 2), ValueError()
    replies(1)
    replies.wake(error)
    replies(2)
    replies.wake(ValueError())
    nobody(error)
    assert woken == [error]
