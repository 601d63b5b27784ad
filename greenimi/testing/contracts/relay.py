"""What every IRelay does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from greenimi import green
from greenimi.hub.settings import HubSettings
from greenimi.interfaces import ICalls, IRelay, IRelayReceiver
from greenimi.testing.support import wait_until

LONG = 30.0
"""Seconds that no test waits in vain."""


@implementer(IRelayReceiver)
class Recorder:
    """Writes down what it is told, in order: (kind, packet or process, sender).  Calls are answered with their packet behind ``re:``."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any, int]] = []
        self.on_told: Callable[[bytes, int], object] = lambda packet, sender: None
        self.on_called: Callable[[bytes, Callable[[bytes], None]], object] = lambda packet, answer: answer(b"re:" + packet)

    def told(self, packet: bytes, sender: int) -> None:
        self.events.append(("told", packet, sender))
        self.on_told(packet, sender)

    def called(self, packet: bytes, sender: int, answer: Callable[[bytes], None]) -> None:
        self.events.append(("called", packet, sender))
        self.on_called(packet, answer)

    def joined(self, process: int) -> None:
        self.events.append(("joined", process, process))

    def lost(self, process: int) -> None:
        self.events.append(("lost", process, process))

    def packets(self, kind: str = "told") -> list[bytes]:
        return [packet for found, packet, _ in self.events if found == kind]

    def has(self, kind: str, what: Any) -> bool:
        return any((found, value) == (kind, what) for found, value, _ in self.events)


class Member:
    """A relay that has joined, and what it was told."""

    def __init__(self, relay: IRelay) -> None:
        self.relay = relay
        self.recorder = Recorder()
        relay.start(self.recorder)
        self.process = relay.process

    def knows(self, other: Member) -> bool:
        return other.process in self.relay.processes() and self.recorder.has("joined", other.process)


class RelayContract(ABC):
    """At most once, in order, never waiting for anybody; what is wanted is known before what is sent."""

    @abstractmethod
    def make(self, settings: HubSettings) -> IRelay:
        """A relay that meets the others of the same test when it is started."""

    @abstractmethod
    def kill(self, relay: IRelay) -> None:
        """Have it end as if its process was killed."""

    queue = 1 << 20
    """Bytes that may wait for one process in these tests; a driver may need more."""

    @pytest.fixture(autouse=True)
    def _stop_all(self) -> Iterator[None]:
        with ExitStack() as self._ends:
            yield

    def join(self, number: int = 2) -> list[Member]:
        """So many that know each other."""
        members = [self.member() for _ in range(number)]
        wait_until(lambda: all(one.knows(two) for one in members for two in members if one is not two))
        return members

    def member(self) -> Member:
        relay = self.make(HubSettings(queue=self.queue, wait=5.0))
        self._ends.callback(relay.stop)
        return Member(relay)

    # -- who is there ------------------------------------------------------------------------------------------------
    def test_it_is_a_relay(self) -> None:
        one, two = self.join()
        assert verifyObject(IRelay, one.relay)
        assert verifyObject(ICalls, one.relay.call([two.process], b""))

    def test_each_has_a_number_of_its_own(self) -> None:
        members = self.join(4)
        assert len({member.process for member in members}) == 4
        assert all(0 <= member.process < 1 << 32 for member in members)

    def test_processes_are_the_others(self) -> None:
        one, two, three = self.join(3)
        assert sorted(one.relay.processes()) == sorted([two.process, three.process])

    def test_joined_and_lost_are_told_once_each(self) -> None:
        one, two, three = self.join(3)
        two.relay.stop()
        wait_until(lambda: one.recorder.has("lost", two.process) and three.recorder.has("lost", two.process))
        assert one.relay.processes() == (three.process,)
        four = self.member()
        wait_until(lambda: one.knows(four) and three.knows(four))
        told = [event[:2] for event in one.recorder.events]
        assert sorted(told) == sorted([("joined", two.process), ("joined", three.process), ("joined", four.process), ("lost", two.process)])
        assert two.process != four.process

    def test_who_is_killed_is_lost(self) -> None:
        one, two = self.join()
        assert one.relay.lives(two.process)
        self.kill(two.relay)
        wait_until(lambda: one.recorder.has("lost", two.process))
        assert one.relay.processes() == ()
        wait_until(lambda: not one.relay.lives(two.process))

    def test_who_leaves_is_told_nothing_of_it(self) -> None:
        one, two = self.join()
        two.relay.stop()
        two.relay.stop()
        wait_until(lambda: one.recorder.has("lost", two.process))
        assert not two.recorder.has("lost", one.process), "it would take the others for dead"
        assert two.relay.processes() == ()
        assert two.relay.tell([one.process], b"late") == 0

    # -- packets -----------------------------------------------------------------------------------------------------
    def test_a_packet_reaches_whom_it_is_for(self) -> None:
        one, two, three = self.join(3)
        assert one.relay.tell([two.process], b"\x00 for two \xff") == 1
        assert one.relay.tell([two.process, three.process], b"") == 2
        wait_until(lambda: three.recorder.packets() and len(two.recorder.packets()) == 2)
        assert two.recorder.events[-2:] == [("told", b"\x00 for two \xff", one.process), ("told", b"", one.process)]
        assert three.recorder.packets() == [b""]

    def test_nothing_comes_back_to_the_sender(self) -> None:
        one, two = self.join()
        assert one.relay.tell([one.process, two.process], b"x") == 1
        calls = one.relay.call([one.process], b"x")
        assert (calls.number, calls.wait(LONG)) == (0, [])
        wait_until(two.recorder.packets)
        one.relay.interest("here", True)
        assert one.relay.interested("here") == ()
        assert one.recorder.packets() == []

    def test_who_is_not_there_is_left_out(self) -> None:
        one, two = self.join()
        gone = two.process
        two.relay.stop()
        wait_until(lambda: one.recorder.has("lost", gone))
        nobody = (1 << 32) - 1
        assert one.relay.tell([gone, nobody], b"x") == 0
        assert one.relay.call([gone, nobody], b"x").wait(LONG) == []

    def test_packets_come_in_order(self) -> None:
        one, two = self.join()
        sent = [b"%d" % number for number in range(2000)]
        for number, packet in enumerate(sent):
            if number % 3:
                one.relay.tell([two.process], packet)
            else:
                one.relay.call([two.process], packet)
            if not number % 500:
                green.sleep(0)
        wait_until(lambda: len(two.recorder.packets()) + len(two.recorder.packets("called")) == len(sent))
        assert [packet for kind, packet, _ in two.recorder.events if kind in ("told", "called")] == sent

    def test_large_packets_come_whole(self) -> None:
        one, two = self.join()
        large = bytes(range(256)) * (self.queue // 512)
        for packet in (large, b"small", large[1:]):
            assert one.relay.tell([two.process], packet) == 1
            wait_until(lambda packet=packet: two.recorder.packets()[-1:] == [packet])  # type: ignore[misc]

    def test_a_queue_is_bounded(self) -> None:
        one, two, three = self.join(3)
        packet = bytes(self.queue // 10)
        handed = [one.relay.tell([two.process], packet) for _ in range(30)]
        assert set(handed) == {0, 1}, "nobody else had a turn meanwhile, so nothing can have been sent on"
        assert 5 <= sum(handed) <= 10
        assert one.relay.tell([three.process], packet) == 1, "others have queues of their own"
        wait_until(three.recorder.packets)
        wait_until(lambda: len(two.recorder.packets()) == sum(handed))
        assert one.relay.tell([two.process], packet) == 1, "there is room again"

    def test_a_receiver_that_fails_stops_nothing(self) -> None:
        one, two = self.join()

        def fail(packet: bytes, sender: int) -> None:
            raise RuntimeError("the receiver is broken")

        two.recorder.on_told = fail
        one.relay.tell([two.process], b"1")
        one.relay.tell([two.process], b"2")
        wait_until(lambda: two.recorder.packets() == [b"1", b"2"])
        assert one.relay.call([two.process], b"3").wait(LONG) == [(two.process, b"re:3")]

    # -- what is wanted ----------------------------------------------------------------------------------------------
    def test_what_is_wanted_is_known_to_the_others(self) -> None:
        one, two, three = self.join(3)
        assert one.relay.interested("group:ä") == ()
        two.relay.interest("group:ä", True)
        three.relay.interest("group:ä", True)
        wait_until(lambda: sorted(one.relay.interested("group:ä")) == sorted([two.process, three.process]))
        two.relay.interest("group:ä", False)
        wait_until(lambda: one.relay.interested("group:ä") == (three.process,))
        three.relay.interest("group:ä", False)
        wait_until(lambda: one.relay.interested("group:ä") == ())

    def test_saying_it_twice_is_saying_it_once(self) -> None:
        one, two = self.join()
        for here in (True, True, False, False):
            two.relay.interest("a", here)
        two.relay.interest("b", True)
        wait_until(lambda: one.relay.interested("b"))
        assert one.relay.interested("a") == ()

    def test_what_is_wanted_is_known_before_what_is_sent_later(self) -> None:
        one, two = self.join()
        seen: list[tuple[int, ...]] = []
        one.recorder.on_told = lambda packet, sender: seen.append(tuple(one.relay.interested(packet.decode())))
        for number in range(100):
            two.relay.interest(f"t{number}", True)
            two.relay.tell([one.process], f"t{number}".encode())
        wait_until(lambda: len(seen) == 100)
        assert seen == [(two.process,)] * 100

    def test_who_comes_later_knows_what_is_wanted_when_it_is_told_of_the_others(self) -> None:
        (one,) = self.join(1)
        for number in range(500):
            one.relay.interest(f"t{number}", True)
        one.relay.interest("t7", False)
        two = self.member()
        wait_until(lambda: two.knows(one))
        assert two.relay.interested("t499") == (one.process,)
        assert two.relay.interested("t7") == ()
        two.relay.tell([one.process], b"x")
        wait_until(one.recorder.packets)

    def test_what_was_wanted_before_the_start_is_told(self) -> None:
        (one,) = self.join(1)
        relay = self.make(HubSettings(queue=self.queue, wait=5.0))
        relay.interest("early", True)
        self._ends.callback(relay.stop)
        two = Member(relay)
        wait_until(lambda: one.knows(two))
        assert one.relay.interested("early") == (two.process,)

    def test_who_is_gone_wants_nothing(self) -> None:
        one, two = self.join()
        two.relay.interest("a", True)
        wait_until(lambda: one.relay.interested("a"))
        self.kill(two.relay)
        wait_until(lambda: one.recorder.has("lost", two.process))
        assert one.relay.interested("a") == ()

    # -- calls -------------------------------------------------------------------------------------------------------
    def test_calls_are_answered(self) -> None:
        one, two, three = self.join(3)
        calls = one.relay.call([two.process, three.process], b"who?")
        assert calls.number == 2
        assert sorted(calls.wait(LONG)) == sorted([(two.process, b"re:who?"), (three.process, b"re:who?")])
        assert sorted(calls.wait(0)) == sorted(calls.wait(LONG)), "asking again is free"

    def test_answers_find_their_calls(self) -> None:
        one, two = self.join()
        kept: list[Callable[[], None]] = []
        two.recorder.on_called = lambda packet, answer: kept.append(partial(answer, packet))
        calls = [one.relay.call([two.process], b"%d" % number) for number in range(50)]
        wait_until(lambda: len(kept) == 50)
        for answer in reversed(kept):
            answer()
        assert [found.wait(LONG) for found in calls] == [[(two.process, b"%d" % number)] for number in range(50)]

    def test_an_answer_counts_once(self) -> None:
        one, two = self.join()

        def twice(packet: bytes, answer: Callable[[bytes], None]) -> None:
            answer(b"first")
            answer(b"second")

        two.recorder.on_called = twice
        calls = one.relay.call([two.process], b"x")
        assert calls.wait(LONG) == [(two.process, b"first")]
        assert one.relay.call([two.process], b"y").wait(LONG) == [(two.process, b"first")]

    def test_a_caller_waits_no_longer_than_it_wants(self) -> None:
        one, two, three = self.join(3)
        late: list[Callable[[bytes], None]] = []
        two.recorder.on_called = lambda packet, answer: late.append(answer)
        calls = one.relay.call([two.process, three.process], b"x")
        wait_until(lambda: three.recorder.packets("called"))
        assert calls.wait(0.05) == [(three.process, b"re:x")]
        late[0](b"late")
        assert sorted(calls.wait(LONG)) == sorted([(three.process, b"re:x"), (two.process, b"late")])

    def test_a_caller_does_not_wait_for_the_dead(self) -> None:
        one, two, three = self.join(3)
        two.recorder.on_called = lambda packet, answer: None
        calls = one.relay.call([two.process, three.process], b"x")
        waiting = green.spawn(calls.wait, LONG)
        wait_until(lambda: two.recorder.packets("called"))
        self.kill(two.relay)
        assert waiting.get(timeout=LONG / 2) == [(three.process, b"re:x")]

    def test_a_caller_does_not_wait_for_a_relay_that_stopped(self) -> None:
        one, two = self.join()
        two.recorder.on_called = lambda packet, answer: None
        waiting = green.spawn(one.relay.call([two.process], b"x").wait, LONG)
        wait_until(lambda: two.recorder.packets("called"))
        one.relay.stop()
        assert waiting.get(timeout=LONG / 2) == []

    def test_several_may_wait_and_one_be_killed(self) -> None:
        one, two = self.join()
        answers: list[Callable[[bytes], None]] = []
        two.recorder.on_called = lambda packet, answer: answers.append(answer)
        calls = one.relay.call([two.process], b"x")
        first, second = green.spawn(calls.wait, LONG), green.spawn(calls.wait, LONG)
        wait_until(lambda: answers)
        first.kill()
        answers[0](b"here")
        assert second.get(timeout=LONG / 2) == [(two.process, b"here")]

    def test_answers_to_those_who_are_gone_harm_nobody(self) -> None:
        one, two = self.join()
        answers: list[Callable[[bytes], None]] = []
        two.recorder.on_called = lambda packet, answer: answers.append(answer)
        one.relay.call([two.process], b"x")
        wait_until(lambda: answers)
        self.kill(one.relay)
        wait_until(lambda: two.recorder.has("lost", one.process))
        answers[0](b"too late")
