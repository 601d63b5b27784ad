"""What happens to related rows, for listeners: ``@listener def f(event: AfterLoad): ...``.

The rows that are written or deleted with others tell the events of models, too (:mod:`greenimi.orm.db.events`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenimi.container.registry import current_container
from greenimi.errors import NoScope
from greenimi.event import Events

if TYPE_CHECKING:
    from greenimi.orm.db.relations.base import Relation


@dataclass(frozen=True, slots=True)
class RelationEvent:
    """``relation`` has a ``name``; ``rows`` are those that have it, not the related ones."""

    relation: Relation[Any]
    rows: Sequence[Any]


class BeforeLoad(RelationEvent):
    """Related rows of all these rows will be read."""


class AfterLoad(RelationEvent):
    """They were read; the attributes of the rows have them, and may be changed."""


class BeforeRelatedSave(RelationEvent):
    """Related rows will be written with the row."""


class AfterRelatedSave(RelationEvent):
    """They were written; the transaction is open yet."""


class BeforeRelatedDelete(RelationEvent):
    """Related rows will be deleted with the row."""


class AfterRelatedDelete(RelationEvent):
    """They were deleted; the transaction is open yet."""


def tell(kind: type[RelationEvent], relation: Relation[Any], rows: Sequence[Any]) -> None:
    """Whoever listens in the running application."""
    try:
        events = current_container().get(Events)
    except NoScope:
        return
    if events.hears(kind):
        events.emit(kind(relation, rows))
