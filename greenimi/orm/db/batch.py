"""Many rows in few statements, each of them within the server's limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import peewee

from greenimi.orm.db import ids, stamps

PARAMETERS = 30_000
"""Values of one statement: below what SQLite (32 766) and PostgreSQL (65 535) take."""


def insert_rows(model: Any, rows: Iterable[Any], size: int = 1000) -> int:
    """Insert objects of a model, or dicts of values, in one transaction; how many they were.

    Objects of a key that is made by us have it then; one that the database counts they do not get.  Their events are not told.
    """
    count = 0
    with model._meta.database.atomic():
        for some in _bounded(rows, size, len(model._meta.sorted_fields)):
            found: list[Any] = [row if isinstance(row, peewee.Model) else model(**row) for row in some]
            for row in found:
                ids.fill(row)
                stamps.stamp(row, inserting=True, names=None)
            model.insert_many([_values(row) for row in found]).execute()
            for row in found:
                row._stored = True
                row._dirty.clear()
            count += len(found)
    return count


def update_rows(rows: Iterable[Any], fields: Iterable[Any] | None = None, size: int = 1000) -> int:
    """Write objects of one model back, in one transaction: what was set of each since it was read, or only ``fields``.

    One statement for all objects of the same changes where their key is one field, else one for each object.  How many rows there were.
    """
    names = None if fields is None else [each if isinstance(each, str) else each.name for each in fields]
    groups: dict[tuple[str, ...], list[Any]] = {}
    for row in rows:
        stamps.stamp(row, inserting=False, names=None)
        changed = tuple(sorted(names if names is not None else row._dirty))
        if changed:
            groups.setdefault(changed, []).append(row)
    if not groups:
        return 0
    first = next(iter(groups.values()))[0]
    done = 0
    with first._meta.database.atomic():
        for changed, group in groups.items():
            if isinstance(first._meta.primary_key, peewee.CompositeKey):
                done += sum(row.save(only=changed) for row in group)
                continue
            for some in _bounded(group, size, 2 * len(changed) + 1):
                done += type(first).bulk_update(list(some), list(changed))
            for row in group:
                row._dirty.difference_update(changed)
    return done


def delete_rows(model: Any, keys: Iterable[Any], size: int = 1000, *, hard: bool = False) -> int:
    """Delete rows by their keys (tuples where they have several parts), or the objects themselves; softly where the model says so.

    How many there were.
    """
    meta = model._meta
    parts = meta.get_primary_keys()
    done = 0
    with meta.database.atomic():
        for some in _bounded(keys, size, len(parts)):
            found = [_key_of(row) for row in some]
            where = parts[0].in_(found) if len(parts) == 1 else are(parts, found)
            query = peewee.ModelDelete(model) if hard else model.delete()
            done += query.where(where).execute()
    return done


def are(fields: Sequence[Any], keys: Iterable[Any]) -> Any:
    """The condition that a row has one of these keys, tuples of values, in the fields."""
    if len(fields) == 1:
        return fields[0].in_([key[0] for key in keys])
    return peewee.Tuple(*fields).in_([tuple(field.db_value(value) for field, value in zip(fields, key, strict=True)) for key in keys])


def _key_of(row: Any) -> Any:
    return row._pk if isinstance(row, peewee.Model) else row  # type: ignore[attr-defined]  # its type hints leave it out


def _values(row: Any) -> Mapping[Any, Any]:
    fields = row._meta.fields
    counted = row._meta.primary_key.name if row._meta.auto_increment and row._pk is None else None
    return {fields[name]: row.__data__.get(name) for name in fields if name != counted}


def _bounded(rows: Iterable[Any], size: int, each: int) -> Iterator[list[Any]]:
    """Some at a time, of ``each`` so many values."""
    some = max(1, min(size, PARAMETERS // max(1, each)))
    source = iter(rows)
    while found := list(islice(source, some)):
        yield found
