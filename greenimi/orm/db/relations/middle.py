"""Rows that belong to each other by the rows of a model in the middle."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Generic, TypeVar, Unpack

from greenimi.orm.db.relations import keys, writing
from greenimi.orm.db.relations.base import Finder, Names, Options, Relation, Row, check_pair, fields_of, found, key_names, names_of
from greenimi.orm.db.relations.plan import Plan

T = TypeVar("T")

THROUGH = "through"
"""The attribute of a related row that has the row of the middle."""


class ManyToMany(Relation[list[T]], Generic[T]):
    """``groups = ManyToMany(lambda: Group, lambda: Membership, left="user", right="group")``: a list.

    Each related row has the row of the middle as its attribute ``through``.  Orphans are rows of the middle, never the related ones.
    """

    def __init__(
        self,
        model: Callable[[], type[T]],
        through: Finder,
        left: Names,
        right: Names,
        *,
        own: Names = (),
        to: Names = (),
        where: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """``left``: the field (or fields) of the middle that is equal to ``own`` of this model, its primary key if nothing is said;
        ``right``: that which is equal to ``to`` of the other model.

        ``where``: fields of the middle that have these values, which rows that are written get, too: ``{"kind": "post"}``.
        """
        super().__init__(**options)
        self._model = model
        self._through = through
        self._left, self._right = names_of(left), names_of(right)
        self._own, self._to = names_of(own), names_of(to)
        self._where = dict(where or {})

    # -- mistakes ----------------------------------------------------------------------------------------------------
    def own(self, owner: Any) -> tuple[str, ...]:
        """The fields of this model."""
        return self._own or key_names(owner)

    def to(self, target: Any) -> tuple[str, ...]:
        """The fields of the other model."""
        return self._to or key_names(target)

    def target(self) -> Any:
        """The other model."""
        return found(self._model, self.name)

    def middle(self) -> Any:
        """The model in the middle."""
        return found(self._through, self.name)

    def targets(self) -> list[type[Any]]:
        return [self.target()]

    def check_owner(self, owner: Any) -> None:
        super().check_owner(owner)
        own = self.own(owner)
        fields_of(owner, own, self.label(owner))
        check_pair(own, self._left, self.label(owner))

    def check_targets(self, owner: Any) -> None:
        label = self.label(owner)
        target, middle = found(self._model, label), found(self._through, label)
        to = self.to(target)
        fields_of(target, to, label)
        fields_of(middle, (*self._left, *self._right, *self._where), label)
        check_pair(self._right, to, label)
        if hasattr(target, THROUGH):
            raise TypeError(f"{label}: {target.__name__} has an attribute {THROUGH}, which is where the row of {middle.__name__} is put")
        super().check_targets(owner)

    # -- reading -----------------------------------------------------------------------------------------------------
    def load_lazily(self, row: Row) -> Any:
        if not row._stored and keys.values(row, self.own(type(row)), self.name) is None:
            return []  # of a row that is new
        return super().load_lazily(row)

    def fetch(self, rows: Sequence[Row], plan: Plan) -> None:
        for row, related in self.related_of(rows, plan):
            self.put(row, related)
            self.note(row, _links_of(related))

    def related_of(self, rows: Sequence[Row], plan: Plan) -> list[tuple[Row, list[Any]]]:
        """Each row with what belongs to it."""
        target, middle = self.target(), self.middle()
        owner = type(rows[0])
        left = fields_of(middle, self._left, self.name)
        index = keys.Index(rows, self.own(owner), left, self.label(owner))
        query = keys.with_columns(self.query_of(target, plan), [*fields_of(target, self.to(target), self.name), *_key_fields(target)])
        read = self._joined if target._meta.database is middle._meta.database else self._apart
        related: dict[int, list[Any]] = {id(row): [] for row in rows}
        for other in read(query, middle, left, list(index.rows)):
            for row in index.of(tuple(getattr(other, THROUGH).__data__[name] for name in self._left)):
                related[id(row)].append(other)
        return [(row, related[id(row)]) for row in rows]

    def _joined(self, query: Any, middle: Any, left: Sequence[Any], some: Sequence[keys.Key]) -> Any:
        target = query.model
        pairs = zip(fields_of(target, self.to(target), self.name), fields_of(middle, self._right, self.name), strict=True)
        on = reduce(operator.and_, (one == other for one, other in pairs))
        joined = query.switch(target).join(middle, on=on, attr=THROUGH).switch(target)
        joined = joined.select_extend(*middle._meta.sorted_fields)
        return keys.read(self._only(joined, middle), left, some)

    def _apart(self, query: Any, middle: Any, left: Sequence[Any], some: Sequence[keys.Key]) -> Any:
        """Across databases: first the middle, then the others."""
        if query._limit is not None or query._offset is not None:
            raise ValueError(f"{self.name}: a limit for each row does not go across databases")
        target = query.model
        to = fields_of(target, self.to(target), self.name)
        index = keys.Index(list(keys.read(self._only(middle.select(), middle), left, some)), self._right, to, self.name)
        for other in keys.read(query, to, list(index.rows)):
            for link in index.of(tuple(other.__data__[field.name] for field in to)):
                yield _copy(other, link)

    def _only(self, query: Any, middle: Any) -> Any:
        fields = middle._meta.fields
        return query.where(*(fields[name] == value for name, value in self._where.items())) if self._where else query

    # -- writing -----------------------------------------------------------------------------------------------------
    def save_after(self, row: Row, *, inserted: bool) -> None:
        related = row.__dict__[self.name]
        self.save_related(row, related, inserted=inserted)
        self.note(row, _links_of(related))

    def save_related(self, row: Row, related: Any, *, inserted: bool) -> None:
        """Write related rows that were changed, and the rows of the middle that are missing; delete those that are too many."""
        target, middle, label = self.target(), self.middle(), self.label(type(row))
        if not isinstance(related, list | tuple):
            raise TypeError(f"{label} is a list, not {related!r:.100}")
        own = keys.values(row, self.own(type(row)), label)
        if own is None:
            raise ValueError(f"{label}: rows can belong to it when it has a value in {', '.join(self.own(type(row)))}")
        links = {} if inserted else {tuple(link.__data__[name] for name in self._right): link for link in self._links(row)}
        right = fields_of(middle, self._right, label)
        done: set[keys.Key] = set()
        for other in related:
            if not isinstance(other, target):
                raise TypeError(f"{label} has rows of {target.__name__}, not {other!r:.100}")
            writing.store(other)
            key = keys.as_stored(tuple(other.__data__.get(name) for name in self.to(target)), right)
            if key in done:
                continue
            done.add(key)
            self._link(other, middle, links.pop(key, None), (*zip(self._left, own, strict=True), *zip(self._right, key, strict=True)))
        if self.orphans == "remove":
            is_orphan = self.taken_out(row, frozenset())
            for link in links.values():
                if is_orphan(link._pk):
                    link.delete_instance()

    def _link(self, other: Row, middle: Any, stored: Any, pairs: Sequence[tuple[str, Any]]) -> None:
        """Have there be a row in the middle: the one that is there, the one that somebody made, or a new one."""
        link = other.__dict__.get(THROUGH)
        belongs = isinstance(link, middle) and (not link._stored or (stored is not None and link._pk == stored._pk))
        if not belongs:
            link = stored if stored is not None else middle()
        elif stored is not None and not link._stored:  # made by hand, for what is there: its values are for that
            for name in link._dirty - {name for name, _ in pairs} - set(key_names(middle)):
                setattr(stored, name, link.__data__[name])
            link = stored
        other.__dict__[THROUGH] = link
        for name, value in (*pairs, *self._where.items()):
            writing.set_changed(link, name, value)
        writing.store(link)

    def _links(self, row: Row, *, all_rows: bool = False) -> list[Any]:
        """The rows of the middle that a row has."""
        middle = self.middle()
        own = keys.values(row, self.own(type(row)), self.label(type(row)))
        if own is None:
            return []
        query = self._only(middle.select_with_deleted() if all_rows else middle.select(), middle)
        return list(keys.read(query, fields_of(middle, self._left, self.name), [own]))

    def delete_before(self, row: Row, *, hard: bool) -> None:
        """Rows of the middle: the others may belong to somebody else, too.  They go for good if the row does, which they would name."""
        gone = hard or not row._meta.soft_delete
        for link in self._links(row, all_rows=gone):
            writing.delete(link, hard=gone)


class PolymorphicToMany(Relation[list[Any]]):
    """``tagged = PolymorphicToMany({"post": lambda: Post, "photo": lambda: Photo}, lambda: Tagging, "tag", "subject_kind", "subject_id")``

    A list of rows of several models, one model after the other, as they stand in the dict; one query for each.
    """

    def __init__(
        self,
        models: Mapping[Any, Finder],
        through: Finder,
        left: Names,
        kind: str,
        right: Names,
        *,
        own: Names = (),
        to: Names = (),
        **options: Unpack[Options],
    ) -> None:
        """``kind``: the field of the middle that says of which model the other row is.  The rest is as for ManyToMany."""
        super().__init__(**options)
        self._parts: list[ManyToMany[Any]] = [
            ManyToMany(model, through, left, right, own=own, to=to, where={kind: value}, **options) for value, model in models.items()
        ]

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        for part in self._parts:
            part.__set_name__(owner, name)

    def targets(self) -> list[type[Any]]:
        return [part.target() for part in self._parts]

    def check_owner(self, owner: Any) -> None:
        for part in self._parts:
            part.check_owner(owner)

    def check_targets(self, owner: Any) -> None:
        for part in self._parts:
            part.check_targets(owner)

    def load_lazily(self, row: Row) -> Any:
        if not row._stored and keys.values(row, self._parts[0].own(type(row)), self.name) is None:
            return []
        return super().load_lazily(row)

    def fetch(self, rows: Sequence[Row], plan: Plan) -> None:
        for row in rows:
            self.put(row, [])
        for part in self._parts:
            for row, related in part.related_of(rows, plan):
                row.__dict__[self.name].extend(related)
        for row in rows:
            self.note(row, _links_of(row.__dict__[self.name]))

    def save_after(self, row: Row, *, inserted: bool) -> None:
        rest = list(row.__dict__[self.name])
        targets = tuple(self.targets())
        for other in rest:
            if not isinstance(other, targets):
                names = " or ".join(target.__name__ for target in targets)
                raise TypeError(f"{self.label(type(row))} has rows of {names}, not {other!r:.100}")
        for part in self._parts:
            target = part.target()
            part.save_related(row, [other for other in rest if isinstance(other, target)], inserted=inserted)
        self.note(row, _links_of(rest))

    def delete_before(self, row: Row, *, hard: bool) -> None:
        for part in self._parts:
            part.delete_before(row, hard=hard)


def _links_of(related: Iterable[Row]) -> list[Any]:
    """The keys of the rows in the middle."""
    return [other.__dict__[THROUGH]._pk for other in related if THROUGH in other.__dict__]


def _key_fields(model: Any) -> list[Any]:
    return list(model._meta.get_primary_keys())


def _copy(row: Row, link: Row) -> Row:
    """A related row for one of several to whom it belongs."""
    made = type(row)(__no_default__=True, **row.__data__)
    made._dirty.clear()
    made.__rel__.update(row.__rel__)
    made.__dict__.update({name: row.__dict__[name] for name in row._meta.relations if name in row.__dict__})
    made.__dict__[THROUGH] = link
    return made
