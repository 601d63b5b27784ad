"""The bookkeeping of channels: what is sent, and when a subscriber is served."""

from __future__ import annotations

from greenimi.pool.redis.channels import Channels
from greenimi.pool.redis.pubsub import Subscription


def subscription(*names: bytes, pattern: bool = False) -> Subscription:
    return Subscription(names, pattern, None, 10, lambda gone: None)


def test_only_the_first_and_the_last_subscriber_matter_to_the_server() -> None:
    channels = Channels()
    one, two = subscription(b"a", b"b"), subscription(b"b")
    assert channels.add(one) == [(b"SUBSCRIBE", b"a"), (b"SUBSCRIBE", b"b")]
    assert channels.add(two) == []
    assert len(channels) == 2
    assert channels.listeners(b"b", False) == (one, two)
    assert channels.remove(one) == [(b"UNSUBSCRIBE", b"a")]
    assert channels.remove(one) == []
    assert channels.remove(two) == [(b"UNSUBSCRIBE", b"b")]
    assert len(channels) == 0


def test_served_when_all_is_confirmed() -> None:
    channels = Channels()
    one = subscription(b"a", b"b")
    channels.add(one)
    assert channels.answered(True) == []
    assert not channels.confirmed(one)
    assert channels.answered(True) == [one]
    assert channels.confirmed(one)


def test_an_answer_to_an_earlier_command_confirms_nothing() -> None:
    channels = Channels()
    one, two = subscription(b"a"), subscription(b"a")
    channels.add(one)
    channels.remove(one)
    channels.add(two)
    assert channels.answered(True) == []
    assert channels.answered(False) == []
    assert not channels.confirmed(two)
    assert channels.answered(True) == [two]


def test_patterns_are_not_channels() -> None:
    channels = Channels()
    plain, pattern = subscription(b"a*"), subscription(b"a*", pattern=True)
    assert channels.add(plain) == [(b"SUBSCRIBE", b"a*")]
    assert channels.add(pattern) == [(b"PSUBSCRIBE", b"a*")]
    assert channels.listeners(b"a*", True) == (pattern,)
    assert channels.remove(pattern) == [(b"PUNSUBSCRIBE", b"a*")]


def test_a_new_connection_begins_anew() -> None:
    channels = Channels()
    one, gone = subscription(b"a"), subscription(b"b")
    channels.add(one)
    channels.add(gone)
    channels.answered(True)
    channels.remove(gone)
    channels.disconnected()
    assert not channels.confirmed(one)
    assert channels.connected() == [(b"SUBSCRIBE", b"a")]
    assert channels.answered(True) == [one]
    assert channels.everyone() == {one}
    assert channels.listeners(b"b", False) == ()


def test_a_refusal_is_of_the_next_command() -> None:
    channels = Channels()
    good, bad = subscription(b"good"), subscription(b"bad")
    channels.add(good)
    channels.add(bad)
    assert channels.answered(True) == [good]
    assert channels.refused() == [bad]
    assert channels.confirmed(good)
    assert not channels.confirmed(bad)
