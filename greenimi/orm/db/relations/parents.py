"""The row of another model whose key this row has: of one model, or of one of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, Unpack

from greenimi.orm.db.relations import keys, writing
from greenimi.orm.db.relations.base import Names, Options, Relation, Row, check_pair, fields_of, found, key_names, names_of
from greenimi.orm.db.relations.plan import Plan

T = TypeVar("T")

_ONLY = object()


class Parent(Relation[T | None], Generic[T]):
    """What ManyToOne and PolymorphicToOne share.  The attribute can be set, which sets the fields."""

    may = frozenset(("insert", "update"))

    def __init__(self, own: Names, to: Names, options: Options) -> None:
        super().__init__(**options)
        self._own = names_of(own)
        self._to = names_of(to)

    # -- what differs ------------------------------------------------------------------------------------------------
    def finders(self) -> Mapping[Any, Callable[[], type[Any]]]:
        """The functions that give the models, by what the row says of which it is."""
        raise NotImplementedError

    def kind_of(self, row: Row) -> Any:
        """Which of the models a row means."""
        raise NotImplementedError

    def set_kind(self, row: Row, kind: Any) -> None:
        """Have the row mean this one."""

    # -- mistakes ----------------------------------------------------------------------------------------------------
    def targets(self) -> list[type[Any]]:
        return [found(finder, self.name) for finder in self.finders().values()]

    def to(self, target: Any) -> tuple[str, ...]:
        """The fields of the other model."""
        return self._to or key_names(target)

    def check_owner(self, owner: Any) -> None:
        super().check_owner(owner)
        fields_of(owner, self._own, self.label(owner))

    def check_targets(self, owner: Any) -> None:
        for finder in self.finders().values():
            target = found(finder, self.label(owner))
            to = self.to(target)
            fields_of(target, to, self.label(owner))
            check_pair(self._own, to, self.label(owner))
        super().check_targets(owner)

    # -- reading -----------------------------------------------------------------------------------------------------
    def __set__(self, row: Row, value: T | None) -> None:
        if value is None:
            for name in self._own:
                setattr(row, name, None)
        else:
            self._take(row, value)
        row.__dict__[self.name] = value

    def _take(self, row: Row, value: Any) -> None:
        kind, target = self._kind_for(row, value)
        self.set_kind(row, kind)
        for name, other in zip(self._own, self.to(target), strict=True):
            writing.set_changed(row, name, value.__data__.get(other))

    def _kind_for(self, row: Row, value: Any) -> tuple[Any, Any]:
        self.ready(type(row))
        for kind, finder in self.finders().items():
            target = found(finder, self.name)
            if isinstance(value, target):
                return kind, target
        names = " or ".join(target.__name__ for target in self.targets())
        raise TypeError(f"{self.label(type(row))} is a row of {names}, not {value!r:.100}")

    def is_stale(self, row: Row) -> bool:
        value = row.__dict__[self.name]
        own = keys.values(row, self._own, self.name)
        if value is None:
            return bool(own != row.__dict__.get("_absent", {}).get(self.name))
        kind, target = self._kind_for(row, value)
        names = self.to(target)
        key = tuple(value.__data__.get(name) for name in names)
        if own is None:
            return None not in key  # otherwise both are new
        stored = keys.as_stored(own, fields_of(target, names, self.name))
        return bool((kind, key) != (self.kind_of(row), stored))

    def load_lazily(self, row: Row) -> Any:
        if keys.values(row, self._own, self.label(type(row))) is None:
            return None
        return super().load_lazily(row)

    def fetch(self, rows: Sequence[Row], plan: Plan) -> None:
        finders = self.finders()
        kinds: dict[Any, list[Row]] = {}
        for row in rows:
            kinds.setdefault(self.kind_of(row), []).append(row)
        for kind, some in kinds.items():
            having = self._fetch_of(some, found(finders[kind], self.name), plan) if kind in finders else set()
            for row in some:
                if id(row) not in having:
                    self.put(row, None)

    def _fetch_of(self, rows: Sequence[Row], target: Any, plan: Plan) -> set[int]:
        """Those of the rows that have one, by their identity."""
        to = fields_of(target, self.to(target), self.name)
        index = keys.Index(rows, self._own, to, self.label(type(rows[0])))
        having: set[int] = set()
        if not index.rows:
            return having
        query = keys.with_columns(self.query_of(target, plan), [*to, *target._meta.get_primary_keys()])
        for parent in keys.read(query, to, list(index.rows)):
            for row in index.of(tuple(parent.__data__[field.name] for field in to)):
                self.put(row, parent)
                having.add(id(row))
        return having

    def put(self, row: Row, value: Any) -> None:
        super().put(row, value)
        if value is None:
            row.__dict__.setdefault("_absent", {})[self.name] = keys.values(row, self._own, self.label(type(row)))

    # -- writing -----------------------------------------------------------------------------------------------------
    def save_before(self, row: Row) -> None:
        value = row.__dict__[self.name]
        if value is not None and not self.is_stale(row):
            writing.store(value)
            self._take(row, value)


class ManyToOne(Parent[T], Generic[T]):
    """``customer = ManyToOne(lambda: Customer, own="customer_id")``: where a foreign key of peewee cannot be, across databases say."""

    def __init__(self, model: Callable[[], type[T]], own: Names, *, to: Names = (), **options: Unpack[Options]) -> None:
        """``own``: the field (or fields) of this model that is equal to ``to`` of the other one, its primary key if nothing is said."""
        super().__init__(own, to, options)
        self._finders = {_ONLY: model}

    def finders(self) -> Mapping[Any, Callable[[], type[Any]]]:
        return self._finders

    def kind_of(self, row: Row) -> Any:
        return _ONLY


class PolymorphicToOne(Parent[Any]):
    """``subject = PolymorphicToOne({"post": lambda: Post, "photo": lambda: Photo}, kind="subject_kind", own="subject_id")``"""

    def __init__(
        self, models: Mapping[Any, Callable[[], type[Any]]], kind: str, own: Names, *, to: Names = (), **options: Unpack[Options]
    ) -> None:
        """``kind``: the field of this model that says of which model the other row is.  A row of another kind has None."""
        super().__init__(own, to, options)
        self._finders = dict(models)
        self._kind = kind

    def finders(self) -> Mapping[Any, Callable[[], type[Any]]]:
        return self._finders

    def kind_of(self, row: Row) -> Any:
        found = keys.values(row, (self._kind,), self.label(type(row)))
        return None if found is None else found[0]

    def set_kind(self, row: Row, kind: Any) -> None:
        writing.set_changed(row, self._kind, kind)

    def check_owner(self, owner: Any) -> None:
        super().check_owner(owner)
        fields_of(owner, (self._kind,), self.label(owner))
