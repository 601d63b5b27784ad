"""peewee's foreign keys, and the ways back along them, as relations that can be loaded with others."""

from __future__ import annotations

from typing import Any

from greenimi.orm.db.relations.base import Row
from greenimi.orm.db.relations.children import OneToMany
from greenimi.orm.db.relations.parents import ManyToOne


class Forward(ManyToOne[Any]):
    """The row that a foreign key names, put where peewee looks for it."""

    def __init__(self, field: Any) -> None:
        super().__init__(lambda: field.rel_model, field.name, to=field.rel_field.name)
        self.name = field.name

    def put(self, row: Row, value: Any) -> None:
        if row.__data__.get(self.name) is not None:
            row.__rel__[self.name] = value


def backward(field: Any, name: str) -> OneToMany[Any]:
    """The rows whose foreign key names a row, as a list."""
    relation: OneToMany[Any] = OneToMany(lambda: field.model, field.name, own=field.rel_field.name)
    relation.name = name
    return relation
