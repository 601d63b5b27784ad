"""What happens to rows, for listeners: ``@listener def f(event: AfterInsert): ...``.

Told in the greenlet that saves, before and after each object; an exception of a listener is raised there.  ``After...`` comes before the
transaction ends: what must wait for the commit is emitted by the listener with ``after_commit=True``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from greenimi.container.registry import current_container
from greenimi.errors import NoScope
from greenimi.event import Events


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """``row`` is the object, of whatever model."""

    row: Any


class BeforeSave(ModelEvent):
    """It will be inserted or updated; its values may be changed."""


class AfterSave(ModelEvent):
    """It was inserted or updated."""


class BeforeInsert(ModelEvent):
    """It will be inserted; its values may be changed."""


class AfterInsert(ModelEvent):
    """It was inserted, and has its key."""


class BeforeUpdate(ModelEvent):
    """It will be updated; its values may be changed."""


class AfterUpdate(ModelEvent):
    """It was updated."""


class BeforeDelete(ModelEvent):
    """It will be deleted."""


class AfterDelete(ModelEvent):
    """It was deleted."""


def before(row: Any, *, inserting: bool) -> None:
    """It is about to be saved."""
    tell(row, "save", BeforeSave)
    tell(row, "insert" if inserting else "update", BeforeInsert if inserting else BeforeUpdate)


def after(row: Any, *, inserting: bool) -> None:
    """It was saved."""
    tell(row, "insert" if inserting else "update", AfterInsert if inserting else AfterUpdate)
    tell(row, "save", AfterSave)


def tell(row: Any, what: str, kind: type[ModelEvent]) -> None:
    """Its own method first, then who listens in the running application."""
    getattr(row, f"{'before' if kind.__name__.startswith('Before') else 'after'}_{what}")()
    try:
        events = current_container().get(Events)
    except NoScope:
        return
    if events.hears(kind):
        events.emit(kind(row))
