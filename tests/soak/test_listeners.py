from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from greenimi.testing.plugin import Serve
from greenimi.testing.support import wait_until
from tests.soak.listeners import Listener, Speaker, heard, judge_stalls, listeners, of_worker, refusal, room_client, slow
from tests.soak.places import Verdict

CONF = {"servers": {"web": {"kind": "http"}}, "hub": {"groups_each": 2, "groups": {"story": {"history": 10}}}}


def listened(numbers: list[int], latencies: list[float] | None = None) -> Listener:
    found = Listener.__new__(Listener)
    found.numbers, found.latencies, found.pid = numbers, latencies or [0.0] * len(numbers), len(numbers)
    return found


@pytest.mark.parametrize(
    ("numbers", "in_order", "whole"),
    [([2, 3, 4], True, True), ([2, 4], True, False), ([2, 3, 3, 4], False, False), ([2, 4, 3], False, False), ([1, 2, 3, 4], True, False)],
)
def test_what_came(numbers: list[int], *, in_order: bool, whole: bool) -> None:
    found = listened(numbers)
    assert found.is_in_order is in_order
    assert found.is_whole(2, 5) is whole


def test_latencies_from_a_message_on() -> None:
    found = [listened([0, 1, 2], [9.0, 0.1, 0.2]), listened([1], [0.3])]
    assert slow(found) == 9.0
    assert slow(found, 1) == 0.3
    assert of_worker(found, 1) == found[1:]


@pytest.mark.parametrize(("seconds", "met"), [(1.0, 1), (1.01, 0)])
def test_nobody_waits_longer(seconds: float, met: int) -> None:
    verdict = Verdict()
    judge_stalls("a send", seconds, 1.0, verdict)
    assert (verdict.met, verdict.missed) == (met, 1 - met)


@pytest.mark.live
def test_rooms(serve: Serve) -> None:
    service: Any = serve(["tests.soak.apps.rooms"], CONF)
    with ExitStack() as ends:
        speaker = ends.enter_context(Speaker(service))
        found = listeners(ends, service, 3, "hall", "story")
        assert speaker.shout("hall", 20, 0, 1000).get() < 10
        assert heard(found, 20)
        assert speaker.shout("story", 5, 0).get() < 10
        assert heard(found, 25)
        assert all(each.is_whole(0, 25) for each in found)
        assert speaker.ask("reach", group="hall").items() >= {"delivered": 3, "unknown": 0, "published": 0}.items()
        assert speaker.ask("count", group="hall")["count"] == 3
        assert speaker.ask("push", to=found[0].id)["delivered"] == 1
        assert speaker.ask("push", to="1")["delivered"] == 0
        with room_client(service) as client:
            assert [refusal(client, "join", group=name) for name in ("one", "two", "three")] == [0, 0, 409]
            assert client.request("part", group="one")
            assert client.request("held")["connections"] == 6
        assert not any(each.ended for each in found)
        for connection in list(service.app.doors.servers["web"].connections):
            connection.close(1001)
        wait_until(lambda: all(each.ended for each in found))
