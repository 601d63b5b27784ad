"""Trees of rows: each row names its parent, and the database walks from one to the others in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

import peewee

from greenimi.errors import GreenimiError
from greenimi.orm.db.model import Model

DEEPEST = 100
"""Levels of a tree whose ``class Meta`` does not say ``max_depth``."""

_MOST = 1000
"""Levels that MySQL and MariaDB walk unless they are told otherwise; MariaDB is silent about what it leaves out."""

_OURS = ("ancestors", "children", "descendants", "level", "move", "nest", "nested", "path", "roots", "siblings")


class TreeError(GreenimiError):
    """Rows that are no tree, or would not be one any more."""


class TreeModel(Model):
    """A table whose rows are trees, each row with one parent, or none.

    ``class Meta: parent = "parent"`` is the name of the field that holds the parent's key.  A row without a parent has there the field's
    default: null, or what else the field says, such as 0.  ``max_depth`` is how many levels a tree has at most (100).

    Rows that are deleted softly are hidden, and so is what is below them.
    """

    level: int | None = None
    """How far below (above) the row that was asked it is; of rows that ``descendants`` and ``ancestors`` give."""

    nested: Sequence[Self] = ()
    """The rows right below; of rows that ``nest`` was given."""

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        if "__no_default__" not in values:  # made here; of a row that was read it is known what was not selected
            self.__data__.setdefault(_parent(self).name, _parent(self).default)

    @classmethod
    def validate_model(cls) -> None:
        super().validate_model()
        if len(cls._meta.fields) > 1 or cls.__module__ != __name__:  # not this class itself
            _check(cls)

    # -- around a row ------------------------------------------------------------------------------------------------
    @classmethod
    def roots(cls) -> Any:
        """The query for rows without a parent."""
        return cls.select().where(_is(_parent(cls), _parent(cls).default))

    def children(self) -> Any:
        """The query for rows right below."""
        return self.select().where(_parent(self) == self._key())

    def siblings(self) -> Any:
        """The query for the others of the same parent; of a row without one, for the other roots."""
        return self.select().where(_is(_parent(self), self._parent_key()), _id(self) != self._key())

    def descendants(self, depth: int | None = None, *, itself: bool = False) -> Any:
        """The query for all rows below, ``depth`` levels of them at most; each has its ``level``, 1 for children.

        The order is yours to say: ``.order_by(peewee.SQL("level"))``.  ``itself``: this row too, on level 0.
        """
        model, key = type(self), self._key()
        top, child = model.alias(), model.alias()
        first = _id(top) == key if itself else (_parent(top) == key) & (_id(top) != key)
        below = _levels(top, 0 if itself else 1, _id).where(first).cte("tree_below", recursive=True, columns=("id", "tree_level"))
        # Each row has one parent, so the only circle that can be met here is one through this row.
        more = child.select(_id(child), below.c.tree_level + 1).join(below, on=(_parent(child) == below.c.id)).where(_id(child) != key)
        if depth is not None:
            more = more.where(below.c.tree_level < depth)
            if depth < 1 and not itself:
                raise ValueError(f"rows below are on level 1 and deeper, not {depth}")
        return _rows(model, below.union_all(more))

    def ancestors(self) -> list[Self]:
        """The rows above, the root first; each has its ``level``, 1 for the parent.  TreeError for a circle, or too many levels."""
        model, up, limit = type(self), self._parent_key(), _depth(type(self))
        if _is_none(model, up):
            return []
        start, parent = model.alias(), model.alias()
        above = (
            _levels(start, 1, _id, _parent)
            .where(_id(start) == up)
            .cte("tree_above", recursive=True, columns=("id", "parent", "tree_level"))
        )
        more = (
            parent.select(_id(parent), _parent(parent), above.c.tree_level + 1)
            .join(above, on=(_id(parent) == above.c.parent))
            .where(above.c.tree_level < limit)
        )
        rows: list[Self] = list(_rows(model, above.union_all(more)))
        if len(rows) >= limit:
            raise _too_deep(model, self._pk, limit)
        return sorted(rows, key=lambda row: -(row.level or 0))

    def path(self) -> list[Self]:
        """The way from the root down to this row."""
        return [*self.ancestors(), self]

    # -- changing the tree -------------------------------------------------------------------------------------------
    def move(self, to: Self | None) -> None:
        """Put it, and all that is below it, under another row; None makes it a root.

        TreeError, and nothing is changed, when that would be a circle or deeper than ``Meta.max_depth``, or when a row is gone.  Moves at
        the same time never make a circle together: one waits for the other, or is ended as a deadlock by the database.
        """
        model, field = type(self), _parent(self)
        with model._meta.database.atomic():
            _locked_parent(model, self._key())
            if to is not None:
                self._check_place(to)
            setattr(self, field.name, field.default if to is None else to._pk)
            self.save(only=[field])

    def _check_place(self, to: Self) -> None:
        """Read what is above the new parent, and keep it as it is until the transaction ends."""
        model, limit = type(self), _depth(type(self))
        key, above = to._key(), 0
        while not _is_none(model, key):
            if key == self._pk:
                raise TreeError(f"{model.__name__} {self._pk} cannot be put below {to._pk}, which is below it, or itself")
            if above >= limit:
                raise _too_deep(model, to._pk, limit)
            key, above = _locked_parent(model, key), above + 1
        if above >= limit or self.descendants(limit - above).where(peewee.SQL("tree_level") == limit - above).exists():
            raise TreeError(f"below {model.__name__} {to._pk} the tree would have more than {limit} levels", hint="see Meta.max_depth")

    # -- many rows ---------------------------------------------------------------------------------------------------
    @classmethod
    def nest(cls, rows: Iterable[Self]) -> list[Self]:
        """Give each of these rows those of the others that are right below it, as ``nested``, in the order in which they come.

        Gives back the rows whose parents are not among them.  Nothing is read.  TreeError for rows in a circle.
        """
        found = {row._pk: row for row in rows}
        below: dict[Any, list[Self]] = {key: [] for key in found}
        tops: list[Self] = []
        for row in found.values():
            below.get(row._parent_key(), tops).append(row)
            row.nested = below[row._pk]
        reached = list(tops)
        for row in reached:  # which grows meanwhile
            reached += row.nested
        if len(reached) < len(found):
            lost = next(key for key in found if key not in {row._pk for row in reached})
            raise TreeError(f"{cls.__name__} {lost} is below itself, or below rows that are")
        return tops

    def _key(self) -> Any:
        if self._pk is None:
            raise TreeError(f"this {type(self).__name__} was not saved: it has no key yet")
        return self._pk

    def _parent_key(self) -> Any:
        name = _parent(self).name
        if name not in self.__data__:
            raise TreeError(f"this {type(self).__name__} was read without {name}: select it, too")
        return self.__data__[name]


def _check(model: Any) -> None:
    """Raises TypeError for a model whose rows cannot be a tree."""
    name, meta = getattr(model._meta, "parent", "parent"), model._meta
    if name not in meta.fields:
        raise TypeError(f"{model.__name__}: Meta.parent names {name}, which is no field of it")
    if meta.composite_key or not meta.primary_key:
        raise TypeError(f"{model.__name__}: a row of a tree names its parent by a key of one field")
    field = meta.fields[name]
    if callable(field.default) or (field.default is None and not field.null):
        raise TypeError(f"{model.__name__}.{name}: a row without a parent needs a value there: say null=True, or a default such as 0")
    if not 1 <= _depth(model) <= _MOST:
        raise TypeError(f"{model.__name__}: Meta.max_depth is 1 to {_MOST}, what databases walk by themselves, not {_depth(model)}")
    for ours in _OURS:
        if isinstance(model.__dict__.get(ours), peewee.FieldAccessor | peewee.BackrefAccessor):
            raise TypeError(f"{model.__name__}.{ours} hides what trees have under that name: choose another one for the field or backref")


def _parent(source: Any) -> Any:
    """The field that holds the parent's key, of a model, its alias, or one of its rows."""
    model = source.model if isinstance(source, peewee.ModelAlias) else source
    name = getattr(model._meta, "parent", "parent")
    return getattr(source, name) if isinstance(source, peewee.ModelAlias) else model._meta.fields[name]


def _id(source: Any) -> Any:
    if isinstance(source, peewee.ModelAlias):
        return getattr(source, source.model._meta.primary_key.name)
    return source._meta.primary_key


def _depth(model: Any) -> int:
    found: int = getattr(model._meta, "max_depth", DEEPEST)
    return found


def _is(field: Any, value: Any) -> Any:
    return field.is_null() if value is None else field == value


def _is_none(model: Any, key: Any) -> bool:
    """Whether this stands where a row has no parent."""
    return key is None or key == _parent(model).default


def _levels(source: Any, level: int, *columns: Any) -> Any:
    return source.select(*(column(source) for column in columns), peewee.SQL(str(level)))


def _rows(model: Any, walk: Any) -> Any:
    """The rows of a walk.  The level is an expression, which peewee puts on the row itself rather than on what is joined."""
    level = (walk.c.tree_level + 0).alias("level")
    return model.select().select_extend(level).join(walk, on=(walk.c.id == model._meta.primary_key)).with_cte(walk)


def _locked_parent(model: Any, key: Any) -> Any:
    """What a row has for its parent, which nobody changes before the transaction ends; rows that are deleted softly count here."""
    query = model.select_with_deleted(_parent(model)).where(_id(model) == key)
    if model._meta.database.for_update:  # SQLite has one writer at a time instead, and none after one whom this one did not see
        query = query.for_update()
    found = query.tuples().first()
    if found is None:
        raise TreeError(f"there is no {model.__name__} {key}")
    return found[0]


def _too_deep(model: Any, key: Any, limit: int) -> TreeError:
    return TreeError(f"{model.__name__} {key} is more than {limit} levels deep, or in a circle", hint="see Meta.max_depth")


__all__ = ["DEEPEST", "TreeError", "TreeModel"]
