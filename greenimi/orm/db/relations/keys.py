"""Finding the rows that belong to other rows: by the values of their keys, in as few queries as the servers' limits allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import peewee

from greenimi.orm.db.batch import PARAMETERS, are

Row = Any
Key = tuple[Any, ...]


def values(row: Row, names: Sequence[str], label: str) -> Key | None:
    """What a row has in these fields; None when it has nothing in one of them.

    ValueError for a row that was read without one of them: whom it belongs to cannot be said then.
    """
    data = row.__data__
    for name in names:
        if name not in data and row._stored:
            found_by = ", ".join(names)
            raise ValueError(f"{label} is found by {found_by}, and this {type(row).__name__} was read without {name}: select it, too")
    key = tuple(data.get(name) for name in names)
    return None if None in key else key


def as_stored(key: Key, fields: Sequence[Any]) -> Key:
    """The key as a row has it that was read from these fields: a number may stand in a column of text there."""
    return tuple(field.python_value(field.db_value(value)) for field, value in zip(fields, key, strict=True))


class Index:
    """Rows by their keys."""

    def __init__(self, rows: Sequence[Row], names: Sequence[str], fields: Sequence[peewee.Field], label: str) -> None:
        self._label = label
        self.rows: dict[Key, list[Row]] = {}
        known: dict[Key, list[Row]] = {}
        for row in rows:
            key = values(row, names, label)
            if key is None:
                continue
            some = known.get(key)
            if some is None:
                some = known[key] = self.rows.setdefault(as_stored(key, fields), [])
            some.append(row)

    def of(self, key: Key) -> list[Row]:
        """Those of the key that the server has found: it may take texts for the same that differ in their case."""
        found = self.rows.get(key)
        if found is None:
            wanted = _folded(key)
            found = [row for other, rows in self.rows.items() if _folded(other) == wanted for row in rows]
            if not found:
                raise LookupError(f"{self._label}: the database found a row of the key {key!r}, which is none of those it was asked for")
            self.rows[key] = found
        return found


def _folded(key: Key) -> Key:
    return tuple(value.casefold().rstrip() if isinstance(value, str) else value for value in key)


def read(query: Any, fields: Sequence[peewee.Field], keys: Sequence[Key]) -> Iterator[Row]:
    """Rows of a query that have one of the keys in these fields; a limit of the query is one for each key."""
    some = max(1, PARAMETERS // len(fields))
    limited = query._limit is not None or query._offset is not None
    if limited and not query._order_by:
        query = query.order_by(*query.model._meta.get_primary_keys())
    for start in range(0, len(keys), some):
        batch = keys[start : start + some]
        of_them = query.where(are(fields, batch))
        yield from _limited(of_them, fields) if limited and len(batch) > 1 else of_them


def _limited(query: Any, fields: Sequence[peewee.Field]) -> Any:
    """The first rows of each key instead of the first of all."""
    if query._group_by or query._having or query._distinct or query._simple_distinct:
        raise ValueError("a limit for each row does not go with group_by or distinct")
    parts = [*query.model._meta.get_primary_keys(), *fields]
    number = peewee.fn.ROW_NUMBER().over(partition_by=list(fields), order_by=list(query._order_by))
    counted = query.select(*(part.alias(f"k{place}") for place, part in enumerate(parts)), number.alias("place"))
    ranked = counted.order_by().limit(None).offset(None).alias("ranked")
    skipped = query._offset or 0
    first = peewee.Select([ranked], [getattr(ranked.c, f"k{place}") for place in range(len(parts))]).where(ranked.c.place > skipped)
    if query._limit is not None:
        first = first.where(ranked.c.place <= skipped + query._limit)
    return query.limit(None).offset(None).where(peewee.Tuple(*parts).in_(first))


def with_columns(query: Any, fields: Sequence[peewee.Field]) -> Any:
    """The query with these fields, where it does not have them."""
    missing = [field for field in fields if not any(field is one for one in query._returning)]
    return query.select_extend(*missing) if missing else query
