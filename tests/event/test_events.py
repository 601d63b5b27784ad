from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.event import Event, Events, NamedEvent, StopPropagation
from greenimi.event.events import KNOWN


@dataclass(frozen=True)
class Placed(Event):
    sku: str = ""


class PlacedAbroad(Placed):
    pass


@dataclass(frozen=True, slots=True)
class Slotted(Event):
    sku: str = ""


@dataclass(frozen=True)
class Plain:
    number: int = 0


class Thing:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def hear(self, event: object) -> None:
        self.heard.append(event)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def seen() -> list[Any]:
    return []


def teller(seen: list[Any], name: str) -> Callable[[object], None]:
    def tell(event: object) -> None:
        seen.append(name)

    return tell


def left(events: Events) -> tuple[int, int, int]:
    """How many groups, targets and remembered answers there are."""
    return len(events._general.groups), len(events._targets), len(events._heard)


# -- who hears -----------------------------------------------------------------------------------------------------


def test_a_listener_of_a_class_hears_subclasses_too(events: Events, seen: list[Any]) -> None:
    events.on(Placed, seen.append)
    here, abroad = Placed("a"), PlacedAbroad("b")
    assert events.emit(here) is here
    assert events.emit(abroad) is abroad
    events.emit(Plain())
    assert seen == [here, abroad]


def test_object_hears_everything(events: Events, seen: list[Any]) -> None:
    events.on(object, seen.append)
    events.emit(3)  # type: ignore[call-overload, unused-ignore]
    events.emit("a.b")
    assert seen[0] == 3
    assert seen[1].name == "a.b"


def test_names(events: Events, seen: list[Any]) -> None:
    events.on("order.placed", seen.append)
    events.on(NamedEvent, seen.append, priority=-1)
    made = events.emit("order.placed", data={"sku": "x"})
    assert (made.name, made.data) == ("order.placed", {"sku": "x"})
    other = events.emit("order")
    given = events.emit(NamedEvent("order.placed", 3))
    assert seen == [made, made, other, given, given]


def test_mistakes_are_told_at_once(events: Events) -> None:
    with pytest.raises(ValueError, match="lower-case words with dots"):
        events.on("Order", print)
    with pytest.raises(ValueError, match="lower-case words with dots"):
        events.emit("Order")
    with pytest.raises(TypeError, match="by class or by name"):
        events.on(3, print)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="cannot be called"):
        events.on(Plain, None)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="weak reference"):
        events.on(Plain, print, target=3)
    events.emit(Plain())
    with pytest.raises(TypeError, match="given by its name"):
        events.emit(Plain(), data=3)  # type: ignore[call-overload]


def test_a_new_listener_is_heard_after_the_type_is_known(events: Events, seen: list[Any]) -> None:
    events.emit(Placed())
    events.emit("a.b")
    events.on(Placed, teller(seen, "type"))
    events.on("a.b", teller(seen, "name"))
    events.emit(Placed())
    events.emit("a.b")
    assert seen == ["type", "name"]


# -- order ---------------------------------------------------------------------------------------------------------

SUBSCRIPTIONS = st.lists(st.tuples(st.sampled_from([NamedEvent, Event, object, "a.b"]), st.integers(-2, 2)), max_size=12)


@given(SUBSCRIPTIONS, st.booleans(), st.booleans())
def test_order_is_priority_then_first_come(subscriptions: list[tuple[Any, int]], parent: bool, target: bool) -> None:
    above = Events()
    events = Events(above) if parent else above
    seen: list[int] = []
    thing = Thing()
    for number, (what, priority) in enumerate(subscriptions):
        where = above if number % 2 else events
        where.on(
            what, lambda _, number=number: seen.append(number), priority=priority, target=thing if target and number % 3 == 0 else None
        )
    events.emit("a.b", target=thing if target else None)
    assert seen == sorted(range(len(subscriptions)), key=lambda number: -subscriptions[number][1])


# -- once and off --------------------------------------------------------------------------------------------------


def test_once_is_removed_before_it_is_called(events: Events, seen: list[Any]) -> None:
    def again(event: Placed) -> None:
        seen.append(event)
        events.emit(Placed("again"))

    events.on(Placed, again, once=True)
    events.emit(Placed("first"))
    events.emit(Placed("later"))
    assert seen == [Placed("first")]


def test_a_once_listener_that_fails_is_gone(events: Events) -> None:
    def fail(event: object) -> None:
        raise KeyError

    events.on(Placed, fail, once=True)
    with pytest.raises(KeyError):
        events.emit(Placed())
    events.emit(Placed())


def test_nothing_is_left_after_100_000_generated_names(events: Events) -> None:
    heard = 0

    def count(event: object) -> None:
        nonlocal heard
        heard += 1

    for number in range(100_000):
        name = f"reply.{number}"
        events.on(name, count, once=True)
        events.emit(name)
        events.emit(name)
    assert heard == 100_000
    assert events._general.groups == {}
    assert len(events._heard) <= 2


def test_nothing_is_left_of_many_once_listeners_of_one_name(events: Events, seen: list[Any]) -> None:
    for _ in range(20_000):
        events.on("a.b", seen.append, once=True)
    events.emit("a.b")
    assert len(seen) == 20_000
    assert events._general.groups == {}


def test_what_is_remembered_is_bounded(events: Events) -> None:
    events.on("x0", print)
    for number in range(3 * KNOWN):
        events.emit(type(f"T{number}", (), {})())
        assert left(events)[2] <= KNOWN


def test_names_that_nobody_hears_are_not_remembered_one_by_one(events: Events) -> None:
    for number in range(100):
        events.emit(f"x{number}")
    assert left(events) == (0, 0, 1)


def test_off(events: Events, seen: list[Any]) -> None:
    one, two = teller(seen, "one"), teller(seen, "two")
    handle = events.on(Placed, one)
    events.on(Placed, one)
    events.on(Placed, two)
    events.on(Event, two)
    assert handle.off() is True
    assert handle.off() is False
    events.emit(Placed())
    assert seen == ["one", "two", "two"]
    events.off(Placed, one)
    events.off(Placed, one)
    events.off("never.heard")
    seen.clear()
    events.emit(Placed())
    assert seen == ["two", "two"]
    events.off(Placed)
    events.off(Event)
    assert events._general.groups == {}
    assert not events.emit(Placed()).stopped
    assert seen == ["two", "two"]


# -- during a delivery ---------------------------------------------------------------------------------------------


def test_removed_while_delivering_is_not_called_and_added_not_yet(events: Events, seen: list[Any]) -> None:
    def change(event: object) -> None:
        seen.append("change")
        later.off()
        events.on(Placed, teller(seen, "new"), priority=-1)

    events.on(Placed, change, once=True)
    later = events.on(Placed, teller(seen, "later"))
    events.emit(Placed())
    assert seen == ["change"]
    events.emit(Placed())
    assert seen == ["change", "new"]


@pytest.mark.parametrize("kind", [Placed, Slotted])
def test_stop_by_the_event(events: Events, seen: list[Any], kind: Any) -> None:
    events.on(kind, teller(seen, "first"))
    events.on(kind, lambda event: event.stop())
    events.on(kind, teller(seen, "never"))
    event = events.emit(kind("x"))
    assert event.stopped
    assert seen == ["first"]
    events.emit(event)
    assert seen == ["first"]
    events.emit(kind("x"))
    assert seen == ["first", "first"]


def test_stop_by_raising(events: Events, seen: list[Any]) -> None:
    def stop(event: object) -> None:
        raise StopPropagation

    def emits(event: object) -> None:
        events.emit(Plain())

    events.on(Plain, stop)
    events.on(Plain, teller(seen, "never"))
    events.on(Placed, emits)
    events.on(Placed, teller(seen, "outer"))
    assert events.emit(Plain(3)) == Plain(3)
    assert seen == []
    events.emit(Placed())
    assert seen == ["outer"]


def test_an_exception_goes_to_the_emitter_and_ends_the_delivery(events: Events, seen: list[Any]) -> None:
    def fail(event: object) -> None:
        raise KeyError("x")

    events.on(Placed, teller(seen, "first"))
    events.on(Placed, fail)
    events.on(Placed, teller(seen, "never"))
    with pytest.raises(KeyError):
        events.emit(Placed())
    assert seen == ["first"]


# -- targets -------------------------------------------------------------------------------------------------------


def test_only_events_of_that_target_are_heard_and_general_listeners_hear_them_too(events: Events, seen: list[Any]) -> None:
    one, other = Thing(), Thing()
    events.on(Plain, teller(seen, "general"))
    events.on(Plain, teller(seen, "target"), target=one, priority=1)
    events.on("a.b", teller(seen, "name"), target=one, once=True)
    events.emit(Plain(), target=one)
    events.emit(Plain(), target=other)
    events.emit(Plain())
    events.emit("a.b", target=one)
    events.emit("a.b", target=one)
    assert seen == ["target", "general", "general", "general", "name"]


def test_equal_targets_are_told_apart(events: Events, seen: list[Any]) -> None:
    class Same:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    one, other = Same(), Same()
    events.on(Plain, seen.append, target=one)
    events.emit(Plain(), target=other)
    assert seen == []


def test_off_with_a_target(events: Events, seen: list[Any]) -> None:
    thing = Thing()
    events.on(Plain, seen.append)
    handle = events.on(Plain, thing.hear, target=thing)
    events.on(Plain, thing.hear, target=thing)
    handle.off()
    events.off(Plain, thing.hear, target=thing)
    events.off(Plain, target=Thing())
    assert events._targets == {}
    events.emit(Plain(), target=thing)
    assert (seen, thing.heard) == ([Plain()], [])


def test_off_leaves_the_targets_other_subscriptions(events: Events, seen: list[Any]) -> None:
    thing = Thing()
    handle = events.on(Plain, teller(seen, "one"), target=thing)
    events.on(Placed, teller(seen, "two"), target=thing)
    handle.off()
    events.emit(Placed(), target=thing)
    assert seen == ["two"]


def test_a_target_that_dies_leaves_nothing_behind(events: Events, seen: list[Any]) -> None:
    gc.disable()
    try:
        for _ in range(100):
            thing = Thing()
            handle = events.on(Plain, thing.hear, target=thing)
            events.on("a.b", seen.append, target=thing)
            events.emit(Plain(), target=thing)
            assert thing.heard == [Plain()]
            gone = weakref.ref(thing)
            del thing
            assert gone() is None
            assert events._targets == {}
        assert handle.off() is True
    finally:
        gc.enable()


def test_a_late_off_does_not_touch_a_new_target_in_the_old_place(events: Events, seen: list[Any]) -> None:
    handles = []
    for _ in range(50):
        thing = Thing()
        handles.append(events.on(Plain, seen.append, target=thing))
    assert len(events._targets) == 1
    for handle in handles[:-1]:
        handle.off()
    events.emit(Plain(), target=thing)
    assert seen == [Plain()]


# -- after commit --------------------------------------------------------------------------------------------------


def test_after_commit_without_transactions_is_at_once(events: Events, seen: list[Any]) -> None:
    events.on(Plain, seen.append)
    events.emit(Plain(), after_commit=True)
    assert seen == [Plain()]


@pytest.mark.parametrize("child", [False, True])
def test_after_commit_is_handed_to_the_hook(events: Events, seen: list[Any], child: bool) -> None:
    kept: list[Callable[[], None]] = []
    open_transaction = True

    def hook(deliver: Callable[[], None]) -> bool:
        if open_transaction:
            kept.append(deliver)
        return open_transaction

    events.after_commit_hook = hook
    thing = Thing()
    events.on("a.b", seen.append, target=thing)
    speaker = Events(events) if child else events
    made = speaker.emit("a.b", after_commit=True, target=thing)
    assert (seen, len(kept)) == ([], 1)
    kept[0]()
    assert seen == [made]
    open_transaction = False
    assert speaker.emit("a.b", after_commit=True, target=thing) is seen[-1]
    assert len(seen) == 2
    speaker.emit("a.b", target=thing)
    assert (len(seen), len(kept)) == (3, 1)


# -- parent and threads --------------------------------------------------------------------------------------------


def test_a_child_hears_its_own_and_is_heard_by_the_parents_listeners(events: Events, seen: list[Any]) -> None:
    child = Events(events)
    child.on(Placed, teller(seen, "server"), priority=-1)
    child.emit(Placed())
    assert seen == ["server"]
    seen.clear()
    events.on(Placed, teller(seen, "app"))
    child.emit(Placed())
    assert seen == ["app", "server"]
    events.emit(Placed())
    assert seen == ["app", "server", "app"]
    events.off(Placed)
    child.emit(Placed())
    assert seen == ["app", "server", "app", "server"]


def test_once_runs_once_however_many_threads_emit(events: Events) -> None:
    heard: list[object] = []
    rounds = 200
    for number in range(rounds):
        events.on(f"n{number}", heard.append, once=True)
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for number in range(rounds):
            events.emit(f"n{number}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == rounds
    assert events._general.groups == {}
