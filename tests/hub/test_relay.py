"""Relays without a wire."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
from zope.interface.verify import verifyObject

from greenimi import green
from greenimi.errors import StartError
from greenimi.hub.relay import MemoryRelay, NoRelay, exchange
from greenimi.hub.settings import HubSettings
from greenimi.interfaces import IRelay
from greenimi.testing.contracts import RelayContract
from greenimi.testing.contracts.relay import LONG, Member, Recorder


class TestMemory(RelayContract):
    @pytest.fixture(autouse=True)
    def _name(self, request: pytest.FixtureRequest) -> None:
        self.name = request.node.nodeid

    def make(self, settings: HubSettings) -> IRelay:
        return MemoryRelay(replace(settings, folder=self.name))

    def kill(self, relay: IRelay) -> None:
        relay.stop()


def test_who_has_another_name_is_not_met() -> None:
    one, two = (Member(MemoryRelay(HubSettings(folder=name))) for name in ("one", "two"))
    green.sleep(0)
    assert one.relay.processes() == two.relay.processes() == ()
    one.relay.stop()
    two.relay.stop()


def test_an_exchange_lives_as_long_as_somebody_has_it() -> None:
    first = weakref.ref(exchange("short"))
    relay = MemoryRelay(HubSettings(folder="short"))
    second = weakref.ref(exchange("short"))
    assert second() is not None
    del relay
    gc.collect()
    assert first() is second() is None


def test_a_memory_relay_starts_once() -> None:
    member = Member(MemoryRelay(HubSettings(folder="once")))
    with pytest.raises(StartError, match="runs already"):
        member.relay.start(member.recorder)
    member.relay.stop()


def test_calls_that_nobody_answers_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (Member(MemoryRelay(HubSettings(folder="forgetful"))) for _ in range(2))
    two.recorder.on_called = lambda packet, answer: None
    first = one.relay.call([two.process], b"x")
    monkeypatch.setattr("greenimi.hub.relay.ANSWER_TIME", -1.0)
    one.relay.call([two.process], b"y")
    assert first.wait(LONG) == []
    one.relay.stop()
    two.relay.stop()


def test_a_process_that_is_alone_has_a_number_and_no_others() -> None:
    relay = NoRelay(HubSettings(node=7))
    assert verifyObject(IRelay, relay)
    assert relay.process >> 20 == 7
    assert relay.process != NoRelay(HubSettings(node=7)).process
    relay.start(Recorder())
    relay.interest("x", here=True)
    assert relay.processes() == relay.interested("x") == ()
    assert relay.tell([1], b"x") == 0
    calls = relay.call([1], b"x")
    assert (calls.number, calls.wait(LONG)) == (0, [])
    assert relay.healthy
    assert not relay.lives(1)
    relay.stop()
