"""What all relations have in common; the base of an application's own kinds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar, overload
from weakref import WeakSet

import peewee

from greenimi.orm.db.relations import events, lazy
from greenimi.orm.db.relations.plan import WHOLE, Plan

V = TypeVar("V")

Row = Any
Names = str | Sequence[str]
Finder = Callable[[], type[Any]]


class Options(TypedDict, total=False):
    """What may be said of any relation.

    query    changes how related rows are read: ``lambda books: books.where(Book.price > 3).order_by(Book.title).limit(10)``.
             A limit is one for each row
    deleted  read related rows, too, that are deleted softly
    select   read it with each query of whole rows, in one query more for all of them; otherwise when it is asked for
    insert   write related rows, as far as they are new or were changed, when a row is inserted
    update   the same when a row is updated
    save     both
    delete   delete related rows when a row is deleted: each as its model says
    orphans  ``"remove"``: related rows that were taken out since they were read are deleted when a row is updated; of an attribute
             that was set without being read before, all others
    """

    query: Callable[[Any], Any] | None
    deleted: bool
    select: bool
    insert: bool
    update: bool
    save: bool
    delete: bool
    orphans: Literal["keep", "remove"]


class Relation(Generic[V]):
    """An attribute of a model that has related rows.

    An own kind is a subclass with a ``fetch``, and whichever of ``save_before``, ``save_after`` and ``delete_before`` it needs.
    """

    name = ""
    may: frozenset[str] = frozenset(("insert", "update", "delete", "orphans"))
    """Which of the options that write it understands."""

    def __init__(self, **options: Any) -> None:
        """``options``: see :class:`Options`."""
        known = Options.__annotations__
        for name in options:
            if name not in known:
                raise TypeError(f"{type(self).__name__} has no option {name}; it has {', '.join(known)}")
        self.change: Callable[[Any], Any] | None = options.get("query")
        self.deleted: bool = options.get("deleted", False)
        self.select: bool = options.get("select", False)
        self.inserts: bool = options.get("insert", False) or options.get("save", False)
        self.updates: bool = options.get("update", False) or options.get("save", False)
        self.deletes: bool = options.get("delete", False)
        self.orphans: str = options.get("orphans", "keep")
        self._ready: WeakSet[type] = WeakSet()

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, row: None, owner: type) -> Self: ...
    @overload
    def __get__(self, row: object, owner: type) -> V: ...
    def __get__(self, row: Row, owner: type) -> Any:
        """Of a row the related rows, which are read now if they were not before.  What was read lies in the row, before this descriptor."""
        if row is None:
            return self
        if self.name not in row.__dict__ or self.is_stale(row):
            row.__dict__[self.name] = self.load_lazily(row)
        return row.__dict__[self.name]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def writes(self) -> bool:
        """Whether it does anything when a row is saved."""
        return self.inserts or self.updates

    def is_stale(self, row: Row) -> bool:
        """Whether what the row has is not what its fields say any more."""
        return False

    # -- reading -----------------------------------------------------------------------------------------------------
    def load_lazily(self, row: Row) -> Any:
        """What it is for one row that was not loaded with others.  LazyLoading where that is forbidden."""
        lazy.check_allowed(row, self.name)
        self.load([row], WHOLE)
        return row.__dict__[self.name]

    def load(self, rows: Sequence[Row], plan: Plan) -> None:
        """Read related rows of all these rows, which are of one model."""
        self.ready(type(rows[0]))
        events.tell(events.BeforeLoad, self, rows)
        self.fetch(rows, plan)
        events.tell(events.AfterLoad, self, rows)

    def fetch(self, rows: Sequence[Row], plan: Plan) -> None:
        """Read related rows of all these rows in one query, and ``put`` into each row what belongs to it."""
        raise NotImplementedError

    def put(self, row: Row, value: Any) -> None:
        """Have the attribute of a row be this, as it was read."""
        row.__dict__[self.name] = value

    def note(self, row: Row, keys: Iterable[Any]) -> None:
        """Have these be the keys of related rows that the row is known to have: one that is not there any more was taken out."""
        if self.orphans == "remove":
            row.__dict__["_known"] = {**row.__dict__.get("_known", {}), self.name: frozenset(keys)}

    def taken_out(self, row: Row, kept: Collection[Any]) -> Callable[[Any], bool]:
        """A function that says of a key whether it is that of an orphan: of a list that was never read, whatever is not in it."""
        known: frozenset[Any] | None = row.__dict__.get("_known", {}).get(self.name)
        return lambda key: key not in kept and (known is None or key in known)

    def query_of(self, target: Any, plan: Plan, *, all_rows: bool = False) -> Any:
        """The query of related rows of a model, without a condition yet.  ``all_rows``: also those that are deleted softly."""
        query = target.select_with_deleted() if self.deleted or all_rows else target.select()
        for change in (self.change, plan.change):
            if change is not None:
                query = change(query)
                if not isinstance(query, peewee.ModelSelect) or query.model is not target or not query._model_rows():  # type: ignore[attr-defined]
                    raise TypeError(f"{self.name}: the function must give a query of rows of {target.__name__}, not {query!r:.200}")
        return plan.onto(query, self)

    # -- writing: called within a transaction, where the options say so ----------------------------------------------
    def save_before(self, row: Row) -> None:
        """The row is about to be written."""

    def save_after(self, row: Row, *, inserted: bool) -> None:
        """The row was written."""

    def delete_before(self, row: Row, *, hard: bool) -> None:
        """The row is about to be deleted; ``hard``: for good."""

    # -- mistakes ----------------------------------------------------------------------------------------------------
    def targets(self) -> list[type[Any]]:
        """The models of related rows."""
        return []

    def check_owner(self, owner: Any) -> None:
        """Raises TypeError for what cannot be; when the class is made, other models need not exist yet."""
        wanted = {"insert": self.inserts, "update": self.updates, "delete": self.deletes, "orphans": self.orphans != "keep"}
        for name, said in wanted.items():
            if said and name not in self.may:
                raise TypeError(f"{self.label(owner)}: a {type(self).__name__} has no {name}")
        if self.orphans not in ("keep", "remove"):
            raise TypeError(f'{self.label(owner)}: orphans is "keep" or "remove", not {self.orphans!r}')
        if self.orphans == "remove" and not self.updates:
            raise TypeError(f"{self.label(owner)}: orphans are removed by an update; say save=True or update=True")

    def check_targets(self, owner: Any) -> None:
        """Raises TypeError for what cannot be with the models that it names, when all of them exist."""
        for target in self.targets():
            self.query_of(target, WHOLE)

    def ready(self, owner: type) -> None:
        """Check it once."""
        if owner not in self._ready:
            self.check_targets(owner)
            self._ready.add(owner)

    def label(self, owner: Any) -> str:
        """For errors."""
        return f"{owner.__name__}.{self.name}"


def names_of(said: Names) -> tuple[str, ...]:
    """One name or several."""
    return (said,) if isinstance(said, str) else tuple(said)


def found(finder: Finder, label: str) -> type[Any]:
    """The model that a relation names.  TypeError when there is none."""
    try:
        model = finder()
    except Exception as error:
        raise TypeError(f"{label}: its model cannot be found: {type(error).__name__}: {error}") from error
    if not isinstance(model, peewee.ModelBase):
        raise TypeError(f"{label}: {model!r:.100} is no model; say lambda: Book")
    if not hasattr(model, "select_with_deleted"):
        raise TypeError(f"{label}: {model.__name__} is a plain peewee model, not one of greenimi.orm.Model")
    return model


def key_names(model: Any) -> tuple[str, ...]:
    """The fields of the primary key."""
    return tuple(field.name for field in model._meta.get_primary_keys())


def fields_of(model: Any, names: Sequence[str], label: str) -> list[Any]:
    """Fields of a model, by their names.  TypeError for one that it has not."""
    known: Mapping[str, Any] = model._meta.fields
    for name in names:
        if name not in known:
            raise TypeError(f"{label}: {model.__name__} has no field {name}; it has {', '.join(known)}")
    if not names:
        raise TypeError(f"{label}: {model.__name__} has no primary key; say which field it is found by")
    return [known[name] for name in names]


def check_pair(own: Sequence[str], other: Sequence[str], label: str) -> None:
    """Raises TypeError when two keys have not the same number of fields."""
    if len(own) != len(other):
        raise TypeError(f"{label}: ({', '.join(own)}) cannot equal ({', '.join(other)}): say as many fields on both sides")
