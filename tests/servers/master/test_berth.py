"""What the master and a worker say to each other."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from greenimi.servers.master.berth import BOOTING, LEAVING, Berth, Words
from greenimi.servers.watch.scoreboard import Scoreboard


@pytest.fixture
def berth() -> Iterator[Berth]:
    made = Berth(1, 2, 3, Scoreboard(4), [], lambda: None)
    yield made
    made.close()
    made.worker.close()


def test_words_arrive_whole_and_in_order(berth: Berth) -> None:
    assert berth.master.heard() == []
    berth.worker.say(ready=True)
    berth.worker.say(reads=[1, 2])
    assert berth.master.heard() == [{"ready": True}, {"reads": [1, 2]}]
    assert berth.master.heard() == []


def test_half_a_word_waits_for_its_end() -> None:
    ours, theirs = socket.socketpair()
    words = Words(theirs)
    ours.sendall(b'{"ready": tr')
    assert words.heard() == []
    ours.sendall(b'ue}\n{"a"')
    assert words.heard() == [{"ready": True}]
    ours.close()
    assert words.heard() is None
    words.close()


def test_the_end_of_the_other_side_is_heard_and_speaking_to_it_does_no_harm(berth: Berth) -> None:
    berth.worker.close()
    assert berth.master.heard() is None
    berth.master.say(leave="stop")


def test_it_is_told_to_leave_once(berth: Berth) -> None:
    assert berth.state == BOOTING
    berth.leave(restart=True)
    berth.leave(restart=False)
    assert berth.state == LEAVING
    assert berth.worker.heard() == [{"leave": "restart"}]


def test_slots_are_told_when_they_change(berth: Berth) -> None:
    berth.read(frozenset((2, 0)))
    berth.read(frozenset((0, 2)))
    berth.read(frozenset())
    assert berth.worker.heard() == [{"read": [0, 2]}, {"read": []}]
    assert berth.reads == frozenset(), "it has not confirmed anything"


def test_in_the_worker_the_masters_things_are_closed() -> None:
    left = []
    berth = Berth(0, 1, 1, Scoreboard(4), [], lambda: left.append(True))
    berth.settle()
    assert left == [True]
    assert berth.worker.heard() is None, "nobody else holds the master's end"
    berth.worker.close()
