from __future__ import annotations

import dataclasses

import pytest

from greenimi.event import Events, lifecycle
from greenimi.event.lifecycle import ORDER, Lifecycle, ServerCreated, WorkerStarted


def test_the_order_lists_every_event_once() -> None:
    defined = [value for value in vars(lifecycle).values() if isinstance(value, type) and value.__bases__ == (Lifecycle,)]
    assert list(ORDER) == defined


@pytest.mark.parametrize("kind", ORDER)
def test_events_are_frozen_and_say_one_sentence(kind: type[Lifecycle]) -> None:
    values = ["x"] * len(dataclasses.fields(kind))  # type: ignore[arg-type]
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
