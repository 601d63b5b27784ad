"""Asking whether anybody hears a kind of event."""

from __future__ import annotations

from greenimi.event import Events


class Base:
    pass


class Sold(Base):
    pass


def test_whether_anybody_hears() -> None:
    events = Events()
    assert not events.hears(Sold)
    subscription = events.on(Base, lambda event: None)
    assert events.hears(Sold)
    assert events.hears(Base)
    subscription.off()
    assert not events.hears(Sold)


def test_a_parent_hears_too_but_not_the_other_way() -> None:
    parent = Events()
    child = Events(parent)
    assert not child.hears(Sold)
    child.on(Sold, lambda event: None)
    assert not parent.hears(Sold)
    parent.on(Sold, lambda event: None)
    assert parent.hears(Sold)


def test_events_are_delivered_after_the_question() -> None:
    events, heard = Events(), list[Sold]()
    assert not events.hears(Sold)
    events.on(Sold, heard.append)
    sold = events.emit(Sold())
    assert heard == [sold]
