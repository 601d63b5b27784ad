from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from greenimi.event import Events, lifecycle
from greenimi.event.lifecycle import ORDER, HubBlocked, Lifecycle, ServerCreated, WorkerDraining, WorkerStarted, WorkerStopping


def test_the_order_lists_every_event_once() -> None:
    defined = [value for value in vars(lifecycle).values() if isinstance(value, type) and value.__bases__ == (Lifecycle,)]
    assert list(ORDER) == defined


@pytest.mark.parametrize("kind", [*ORDER, HubBlocked])
def test_events_are_frozen_and_say_one_sentence(kind: type[Any]) -> None:
    values = ["x"] * len(dataclasses.fields(kind))
    assert len({kind(*values), kind(*values)}) == 1, "a dataclass has a hash when it is frozen"
    assert kind.__doc__
    assert "\n" not in kind.__doc__
    assert kind.__doc__.endswith(".")
    assert kind.__name__ in (lifecycle.__doc__ or "")


def test_one_listener_may_hear_all() -> None:
    events = Events()
    seen: list[Lifecycle] = []
    events.on(Lifecycle, seen.append)
    events.emit(ServerCreated("web"))
    events.emit(WorkerStarted())
    assert seen == [ServerCreated("web"), WorkerStarted()]


def test_a_worker_drains_before_it_stops() -> None:
    assert ORDER.index(WorkerStarted) < ORDER.index(WorkerDraining) < ORDER.index(WorkerStopping)


def test_a_blocked_hub_is_no_part_of_the_life() -> None:
    events = Events()
    life: list[Lifecycle] = []
    blocked: list[HubBlocked] = []
    events.on(Lifecycle, life.append)
    events.on(HubBlocked, blocked.append)
    events.emit(HubBlocked(0.5, "shop.py:1 in slow", "> shop.py:1 in slow"))
    assert life == []
    assert [event.seconds for event in blocked] == [0.5]
