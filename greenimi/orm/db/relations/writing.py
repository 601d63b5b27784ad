"""Writing and deleting related rows with a row, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import peewee

from greenimi.orm.db.relations import events

Row = Any

_open: ContextVar[tuple[Any, ...]] = ContextVar("levels of transactions in which rows are being written", default=())
_going: ContextVar[frozenset[Any]] = ContextVar("rows that are being deleted with what is related to them", default=frozenset())
_BUSY = "_writing_relations"


def writes(row: Row) -> bool:
    """Whether related rows are to be written with it."""
    return any(relation.writes and name in row.__dict__ for name, relation in row._meta.relations.items())


def save(row: Row, *, inserting: bool, write: Callable[[], int]) -> int:
    """Write a row, and what its relations say, in a transaction; how many rows ``write`` wrote.

    Objects are again as they were when it is rolled back: new ones are new, and what was changed counts as changed.
    """
    if _BUSY in row.__dict__:  # a row that is related to itself in the end
        return write()
    relations = _relations_of(row, inserting=inserting)
    row.__dict__[_BUSY] = True
    try:
        with _transaction(row):
            _remember(row)
            for relation in relations:
                relation.save_before(row)
            done = write()
            for relation in relations:
                events.tell(events.BeforeRelatedSave, relation, [row])
                relation.save_after(row, inserted=inserting)
                events.tell(events.AfterRelatedSave, relation, [row])
    finally:
        del row.__dict__[_BUSY]
    return done


def store(row: Row) -> None:
    """Write a related row if it is new or was changed, and what is related to it."""
    if _BUSY in row.__dict__:
        return
    if row._stored and not row.is_dirty():
        if writes(row):
            save(row, inserting=False, write=lambda: 0)
        return
    with _transaction(row):
        _remember(row)
        row.save()


def delete_with_related(row: Row, remove: Callable[[], int], *, hard: bool) -> int:
    """Delete a row, and what its relations say before it; how many rows ``remove`` deleted."""
    relations = [relation for relation in row._meta.relations.values() if relation.deletes]
    if not relations:
        return remove()
    token = _going.set(_going.get() | {row})
    try:
        with _transaction(row):
            _remember(row)
            for relation in relations:
                relation.ready(type(row))
                events.tell(events.BeforeRelatedDelete, relation, [row])
                relation.delete_before(row, hard=hard)
                events.tell(events.AfterRelatedDelete, relation, [row])
            return remove()
    finally:
        _going.reset(token)


def delete(row: Row, *, hard: bool = False) -> None:
    """Delete a related row, as its model says, unless that is what goes on already."""
    if row not in _going.get():
        if hard:
            row.delete_for_good()
        else:
            row.delete_instance()


def set_changed(row: Row, name: str, value: Any) -> None:
    """Set a field, unless it has the value already."""
    field = row._meta.fields[name]
    stored = field.python_value(field.db_value(value))
    if row.__data__.get(name) != stored:
        setattr(row, name, stored)


def know_parent(child: Row, field: Any, parent: Row) -> None:
    """Have the foreign key of a child that names its parent know the object: nobody needs to read it."""
    if isinstance(field, peewee.ForeignKeyField) and isinstance(parent, field.rel_model):
        known: Any = field
        if parent.__data__.get(known.rel_field.name) == child.__data__.get(known.name):
            child.__rel__[known.name] = parent


def _relations_of(row: Row, *, inserting: bool) -> list[Any]:
    found = []
    for name, relation in row._meta.relations.items():
        if name in row.__dict__ and (relation.inserts if inserting else relation.updates):
            relation.ready(type(row))
            found.append(relation)
    return found


def _transaction(row: Row) -> AbstractContextManager[Any]:
    """Of the row's database; the one that is open already where one row is written with another."""
    database = row._meta.database
    level = database.level()
    return nullcontext() if any(level is one for one in _open.get()) else _opened(database)


@contextmanager
def _opened(database: Any) -> Iterator[None]:
    """A transaction, or a savepoint within one, and the mark that it is ours."""
    with database.atomic() as level:
        token = _open.set((*_open.get(), level))
        try:
            yield
        finally:
            _open.reset(token)


def _remember(row: Row) -> None:
    """Have the object be as it is now when the transaction is rolled back."""
    counted = row._meta.primary_key.name if row._meta.auto_increment else None
    soft = row._meta.soft_delete
    kept = {name: row.__data__[name] for name in (counted, soft) if name in row.__data__}
    stored, dirty, known = row._stored, set(row._dirty), row.__dict__.get("_known", {})

    def forget() -> None:
        row._stored = stored
        row.__dict__["_known"] = known
        row._dirty |= dirty
        row.__data__.update(kept)
        if counted is not None and counted not in kept:
            row.__data__.pop(counted, None)

    row._meta.database.after_rollback(forget)
