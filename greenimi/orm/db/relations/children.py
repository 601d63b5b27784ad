"""Rows of another model that have the key of this row in a field: one of them, or any number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

from greenimi.orm.db.relations import keys, writing
from greenimi.orm.db.relations.base import Names, Options, Relation, Row, check_pair, fields_of, found, key_names, names_of
from greenimi.orm.db.relations.plan import WHOLE, Plan

T = TypeVar("T")
V = TypeVar("V")


class Children(Relation[V], Generic[T, V]):
    """What OneToOne and OneToMany share."""

    def __init__(
        self,
        model: Callable[[], type[T]],
        on: Names,
        *,
        own: Names = (),
        where: Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """``on``: the field (or fields) of the other model that is equal to ``own`` of this one, its primary key if nothing is said.

        ``where``: fields of the other model that have these values, which rows that are written get, too: ``{"kind": "post"}``.
        """
        super().__init__(**options)
        self._model = model
        self._on = names_of(on)
        self._own = names_of(own)
        self._where = dict(where or {})

    # -- mistakes ----------------------------------------------------------------------------------------------------
    def own(self, owner: Any) -> tuple[str, ...]:
        """The fields of this model."""
        return self._own or key_names(owner)

    def target(self) -> Any:
        """The other model."""
        return found(self._model, self.name)

    def targets(self) -> list[type[Any]]:
        return [self.target()]

    def check_owner(self, owner: Any) -> None:
        super().check_owner(owner)
        own = self.own(owner)
        fields_of(owner, own, self.label(owner))
        check_pair(own, self._on, self.label(owner))

    def check_targets(self, owner: Any) -> None:
        target = found(self._model, self.label(owner))
        fields_of(target, (*self._on, *self._where), self.label(owner))
        super().check_targets(owner)

    # -- reading -----------------------------------------------------------------------------------------------------
    def query_of(self, target: Any, plan: Plan, *, all_rows: bool = False) -> Any:
        query = super().query_of(target, plan, all_rows=all_rows)
        fields = target._meta.fields
        return query.where(*(fields[name] == value for name, value in self._where.items())) if self._where else query

    def children_of(self, rows: Sequence[Row], plan: Plan) -> list[tuple[Row, list[Any]]]:
        """Each row with what belongs to it."""
        target = self.target()
        on = fields_of(target, self._on, self.name)
        owner = type(rows[0])
        index = keys.Index(rows, self.own(owner), on, self.label(owner))
        children: dict[int, list[Any]] = {id(row): [] for row in rows}
        query = keys.with_columns(self.query_of(target, plan), [*on, *target._meta.get_primary_keys()])
        for child in keys.read(query, on, list(index.rows)):
            parents = index.of(tuple(child.__data__[name] for name in self._on))
            for parent in parents:
                children[id(parent)].append(child)
            if len(parents) == 1:
                writing.know_parent(child, on[0] if len(on) == 1 else None, parents[0])
        return [(row, children[id(row)]) for row in rows]

    # -- writing -----------------------------------------------------------------------------------------------------
    def save_children(self, row: Row, children: Sequence[Any], *, inserted: bool) -> None:
        """Write what was changed, and delete what is not there any more."""
        target = self.target()
        label = self.label(type(row))
        for child in children:
            if not isinstance(child, target):
                raise TypeError(f"{label} has rows of {target.__name__}, not {child!r:.100}")
        if self.orphans == "remove" and not inserted:
            is_orphan = self.taken_out(row, {child._pk for child in children})
            for child in self._stored_children(row):
                if is_orphan(child._pk):
                    child.delete_instance()
        own = self.own(type(row))
        key = keys.values(row, own, label)
        if key is None and children:
            raise ValueError(f"{label}: rows can belong to it when it has a value in {', '.join(own)}")
        for child in children:
            for name, value in (*zip(self._on, key or (), strict=False), *self._where.items()):
                writing.set_changed(child, name, value)
            writing.know_parent(child, target._meta.fields[self._on[0]] if len(self._on) == 1 else None, row)
            writing.store(child)
        self.note(row, (child._pk for child in children))

    def _stored_children(self, row: Row, *, all_rows: bool = False) -> list[Any]:
        target = self.target()
        on = fields_of(target, self._on, self.name)
        key = keys.values(row, self.own(type(row)), self.label(type(row)))
        if key is None:
            return []
        query = self.query_of(target, WHOLE, all_rows=all_rows).limit(None).offset(None)
        query = keys.with_columns(query, target._meta.sorted_fields)
        return list(keys.read(query, on, [key]))

    def delete_before(self, row: Row, *, hard: bool) -> None:
        for child in self._stored_children(row, all_rows=hard):
            writing.delete(child, hard=hard)


class OneToMany(Children[T, list[T]], Generic[T]):
    """``books = OneToMany(lambda: Book, on="author")``: a list."""

    def load_lazily(self, row: Row) -> Any:
        own = self.own(type(row))
        if not row._stored and keys.values(row, own, self.name) is None:
            return []  # of a row that is new
        return super().load_lazily(row)

    def fetch(self, rows: Sequence[Row], plan: Plan) -> None:
        for row, children in self.children_of(rows, plan):
            self.put(row, children)
            self.note(row, (child._pk for child in children))

    def save_after(self, row: Row, *, inserted: bool) -> None:
        children = row.__dict__[self.name]
        if not isinstance(children, list | tuple):
            raise TypeError(f"{self.label(type(row))} is a list, not {children!r:.100}")
        self.save_children(row, children, inserted=inserted)


class OneToOne(Children[T, T | None], Generic[T]):
    """``profile = OneToOne(lambda: Profile, on="author")``: a row, or None."""

    def load_lazily(self, row: Row) -> Any:
        if not row._stored and keys.values(row, self.own(type(row)), self.name) is None:
            return None
        return super().load_lazily(row)

    def fetch(self, rows: Sequence[Row], plan: Plan) -> None:
        for row, children in self.children_of(rows, plan):
            self.put(row, children[0] if children else None)
            self.note(row, (child._pk for child in children[:1]))

    def save_after(self, row: Row, *, inserted: bool) -> None:
        child = row.__dict__[self.name]
        self.save_children(row, [] if child is None else [child], inserted=inserted)
