"""What a subscriber gets, and that a gap is never hidden."""

from __future__ import annotations

import logging

import pytest

from greenimi import green
from greenimi.pool.redis.pubsub import Gap, Published, Subscription


def subscription(limit: int = 10) -> Subscription:
    return Subscription([b"a", b"b", b"a"], False, None, limit, lambda gone: None)


def message(number: int) -> Published:
    return Published("a", b"%d" % number)


def test_in_order() -> None:
    queue = subscription()
    for number in range(3):
        queue.deliver(message(number))
    assert [queue.get(0) for _ in range(4)] == [message(0), message(1), message(2), None]
    assert queue.names == (b"a", b"b")


def test_the_oldest_are_lost_and_counted() -> None:
    queue = subscription(limit=2)
    for number in range(5):
        queue.deliver(message(number))
    assert queue.get(0) == Gap("this subscriber is too slow", 3)
    assert [queue.get(0), queue.get(0), queue.get(0)] == [message(3), message(4), None]


def test_a_gap_that_is_pushed_out_is_told_all_the_same() -> None:
    queue = subscription(limit=2)
    queue.deliver(message(0))
    queue.deliver(Gap("there was no connection"))
    for number in (1, 2, 3):
        queue.deliver(message(number))
    assert queue.get(0) == Gap("there was no connection", None)
    assert [queue.get(0), queue.get(0), queue.get(0)] == [message(2), message(3), None]


def test_a_gap_only_after_it_was_served_once() -> None:
    queue = subscription()
    queue.confirm()
    assert queue.live.is_set()
    assert queue.get(0) is None
    queue.confirm()
    assert queue.get(0) is None
    queue.interrupt()
    assert not queue.live.is_set()
    queue.confirm()
    assert queue.get(0) == Gap("there was no connection")


def test_a_gap_for_one_that_did_not_wait() -> None:
    queue = subscription()
    queue.promise()
    queue.confirm()
    assert queue.get(0) == Gap("there was no connection")


def test_waiting_and_closing() -> None:
    queue = subscription()
    heard = green.spawn(list, queue)
    green.sleep(0)
    queue.deliver(message(1))
    green.sleep(0)
    queue.close()
    queue.close()
    assert heard.get(timeout=5) == [message(1)]
    assert queue.closed
    assert queue.get() is None


def test_what_has_come_can_be_got_after_closing() -> None:
    with subscription() as queue:
        queue.deliver(message(1))
    assert queue.get() == message(1)
    assert queue.get() is None


def test_a_callback_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    def callback(what: object) -> None:
        heard.append(what)
        raise ValueError("no")

    queue = Subscription([b"a"], False, callback, 10, lambda gone: None)
    with caplog.at_level(logging.ERROR):
        queue.deliver(message(1))
        queue.deliver(message(2))
    assert heard == [message(1), message(2)]
    assert "a subscriber of a failed" in caplog.text


def test_a_refusal_ends_it() -> None:
    gone: list[Subscription] = []
    queue = Subscription([b"a"], False, None, 10, gone.append)
    error = ValueError("no right")
    queue.fail(error)
    assert (queue.error, queue.closed, gone) == (error, True, [queue])
    assert queue.answered.is_set()
    assert not queue.live.is_set()
