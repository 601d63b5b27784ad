"""Loading related rows of many rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import peewee

from greenimi.orm.db.relations.base import Relation
from greenimi.orm.db.relations.plan import Change, Plan, planned, relation_or_none


def load(rows: Iterable[Any], *relations: str | Relation[Any], **changes: Change) -> None:
    """Load relations of rows that are there already, one query for each: ``load(authors, "books.publisher", "profile")``.

    What was loaded before is read anew.  Relations and functions as for ``select().with_(...)``.
    """
    kinds: dict[type[Any], list[Any]] = {}
    for row in rows:
        kinds.setdefault(type(row), []).append(row)
    for model, some in kinds.items():
        load_plans(some, planned(model, relations, changes))


def load_plans(rows: list[Any], plans: Mapping[str, Plan], above: tuple[Relation[Any], ...] = ()) -> None:
    """Load a tree of relations of rows of one model."""
    for name, plan in plans.items():
        relation = relation_or_none(type(rows[0]), name)
        if relation is not None:
            relation.load(rows, Plan(plan.change, plan.below, above))


def plans_of(query: Any) -> Mapping[str, Plan]:
    """What a query says, and what its model reads with whole rows; but no relation again that is being loaded just now."""
    source = query.model
    relations = (source.model if isinstance(source, peewee.ModelAlias) else source)._meta.relations
    whole = query._is_default if query.whole_rows is None else query.whole_rows
    if not whole:
        return query.plans  # type: ignore[no-any-return]
    own = {name: Plan() for name, relation in relations.items() if relation.select and relation not in query.above}
    return {**own, **query.plans}
