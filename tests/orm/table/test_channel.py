from __future__ import annotations

import pytest

from greenimi import green
from greenimi.orm import Channel, ChannelTimeout, UnreadableRecord
from greenimi.orm.table.tables import Tables


@pytest.fixture
def driver() -> str:
    return "sqlite"


def test_what_is_pushed_is_popped_in_order(running: Tables) -> None:
    channel: Channel[dict[str, int]] = Channel("jobs", dict[str, int], size=3)
    other: Channel[str] = Channel("others", str)
    for number in range(3):
        channel.push({"job": number})
    other.push("a")
    assert len(channel) == 3
    assert [channel.pop()["job"] for _ in range(3)] == [0, 1, 2]
    assert len(channel) == 0
    assert channel
    assert other.pop(wait=0.0) == "a"
    assert repr(channel) == "<Channel jobs>"


def test_a_full_channel_and_an_empty_one(running: Tables) -> None:
    channel: Channel[int] = Channel("jobs", int, size=1)
    with pytest.raises(ChannelTimeout, match=r"the channel jobs was empty for 0\.01 seconds"):
        channel.pop(wait=0.01)
    channel.push(1)
    for wait in (0.0, 0.01):
        with pytest.raises(ChannelTimeout, match=r"the channel jobs was full, 1 values, for 0\.\d+ seconds"):
            channel.push(2, wait=wait)
    assert channel.pop() == 1


def test_who_waits_is_woken(running: Tables) -> None:
    channel: Channel[int] = Channel("jobs", int, size=1)
    popping = green.spawn(channel.pop)
    green.sleep(0)
    channel.push(1)
    assert popping.get(timeout=1.0) == 1
    channel.push(2)
    pushing = green.spawn(channel.push, 3)
    green.sleep(0)
    assert channel.pop() == 2
    pushing.get(timeout=1.0)
    assert channel.pop() == 3


def test_values_are_checked_when_they_are_popped(running: Tables) -> None:
    Channel[str]("jobs").push("text")
    with pytest.raises(UnreadableRecord, match="what the channel jobs had is no <class 'int'>: "):
        Channel[int]("jobs", int).pop()


def test_channels_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="the name of a channel has up to 64"):
        Channel("")
    with pytest.raises(ValueError, match="has room for at least one value, not 0"):
        Channel("a", size=0)
