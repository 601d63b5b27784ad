from __future__ import annotations

from dataclasses import dataclass

import pytest

from greenimi.event import Event, NamedEvent
from greenimi.event.event import check_name


@pytest.mark.parametrize("name", ["", "Order", "order.", ".order", "a..b", "a b", "a\n", "ä"])
def test_malformed_names(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case words with dots"):
        check_name(name)
    with pytest.raises(ValueError, match="lower-case words with dots"):
        NamedEvent(name)


@pytest.mark.parametrize("name", ["order", "order.placed", "a.b.c_d", "reply-7.x", "2024"])
def test_well_formed_names(name: str) -> None:
    assert NamedEvent(name, 3).name == name
    assert NamedEvent(name, 3).data == 3


@dataclass(frozen=True)
class Frozen(Event):
    sku: str


@dataclass(frozen=True, slots=True)
class Slotted(Event):
    sku: str


@pytest.mark.parametrize("kind", [Frozen, Slotted])
def test_each_event_is_stopped_for_itself(kind: type[Frozen]) -> None:
    one, other = kind("x"), kind("x")
    one.stop()
    assert (one.stopped, other.stopped) == (True, False)
    assert one == other
