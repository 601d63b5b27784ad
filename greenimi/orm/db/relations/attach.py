"""Relations of a class: collected when it is made, checked with the others when the application is put together."""

from __future__ import annotations

from typing import Any

from greenimi.marks import add_mark, here
from greenimi.orm.db.relations.base import Relation
from greenimi.orm.db.relations.commit import MARK


def attach(model: Any) -> None:
    """Collect those of a new class.  Raises TypeError for one that cannot be."""
    names = {name for base in model.__mro__ for name, value in vars(base).items() if isinstance(value, Relation)}
    relations = {name: value for name in _in_order(model) if name in names and isinstance(value := getattr(model, name), Relation)}
    model._meta.relations = relations
    for relation in relations.values():
        relation.check_owner(model)
    for field in model._meta.refs:
        known = getattr(field.rel_model._meta, "relations", {})
        if field.backref in known:
            raise TypeError(
                f'{model.__name__}.{field.name}: backref="{field.backref}" hides the relation {field.rel_model.__name__}.{field.backref}'
            )
    if relations:
        add_mark(model, MARK, {}, here(4))


def _in_order(model: Any) -> list[str]:
    return list(dict.fromkeys(name for base in reversed(model.__mro__) for name in vars(base)))
