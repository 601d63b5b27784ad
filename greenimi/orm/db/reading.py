"""Reading much: pages, chunks, and rows one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import peewee

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """``total`` and ``pages`` are None where nobody asked for them; ``more``: there is a page behind this one."""

    rows: list[T]
    number: int
    size: int
    more: bool
    total: int | None = None

    @property
    def pages(self) -> int | None:
        """How many there are."""
        return None if self.total is None else -(-self.total // self.size)


def paginate(query: Any, number: int, size: int, *, total: bool = True, keys_first: bool = False) -> Page[Any]:
    """The page ``number``, from 1 on, of a query that has an order.

    ``total``: count all, which is a query more.  ``keys_first``: look for the keys alone and read the rows of this page by them, which is
    faster far behind in a large table; the query must be of one model.
    """
    if number < 1 or size < 1:
        raise ValueError(f"pages are counted from 1 on and have at least one row, not page {number} of {size} rows")
    count = query.order_by().count() if total else None
    wanted = query.limit(size + 1).offset((number - 1) * size)
    rows = _by_keys(wanted) if keys_first else list(wanted)
    return Page(rows[:size], number, size, len(rows) > size, count)


def _by_keys(query: Any) -> list[Any]:
    key = _key_of(query)
    keys = [row[0] for row in query.select(key).tuples()]
    found = {row._pk: row for row in query.model.select_with_deleted().where(key.in_(keys)).with_plans_of(query)} if keys else {}
    return [found[each] for each in keys if each in found]


def chunk_by_id(query: Any, size: int = 1000, field: peewee.Field | None = None) -> Iterator[list[Any]]:
    """The rows of a query in lists, in the order of the key (or another field without doubles), each row once.

    Each chunk is a query of its own behind the last key, so rows may come and go meanwhile, and it is as fast at the end as in the
    beginning.  The query must not have an order or a limit.
    """
    key = field or _key_of(query)
    if query._order_by or query._limit is not None or query._offset is not None:
        raise ValueError("chunk_by_id has an order of its own, and no limit")
    last: Any = None
    while True:
        behind = query if last is None else query.where(key > last)
        rows = list(behind.order_by(key).limit(size))
        if rows:
            yield rows
        if len(rows) < size:
            return
        last = getattr(rows[-1], key.name)


def chunk_by_offset(query: Any, size: int = 1000) -> Iterator[list[Any]]:
    """The rows of a query that has an order, in lists.  Rows that come or go meanwhile may be left out or seen twice."""
    if not query._order_by:
        raise ValueError("without an order a row may be in several chunks: say .order_by(...), or take chunk_by_id")
    place = 0
    while True:
        rows = list(query.limit(size).offset(place))
        if rows:
            yield rows
        if len(rows) < size:
            return
        place += size


def each(query: Any, size: int = 1000) -> Iterator[Any]:
    """The rows of a query one by one, as the server sends them: ``size`` of them are in memory.  The connection is held meanwhile."""
    if getattr(query, "plans", None):
        raise ValueError("rows that are streamed cannot have related rows loaded with them; take chunk_by_id")
    database = query._database
    sql, params = query.sql()
    wrapper = query._get_cursor_wrapper(_Columns(database, sql, params, size))
    yield from wrapper.iterator()


class _Columns:
    """A cursor for peewee's wrappers, over rows that are streamed."""

    def __init__(self, database: Any, sql: str, params: Any, size: int) -> None:
        self._rows = database.stream(sql, params, size)
        self.description = next(self._rows)

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def close(self) -> None:
        self._rows.close()


def _key_of(query: Any) -> peewee.Field:
    key = query.model._meta.primary_key
    if key is False or isinstance(key, peewee.CompositeKey):
        raise TypeError(f"{query.model.__name__} has no key of one field; say which field tells its rows apart")
    found: peewee.Field = key
    return found
