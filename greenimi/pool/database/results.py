"""What statements give: rows in memory, read to the end before their connection went back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

Row = tuple[Any, ...]


class Result(NamedTuple):
    """What a statement did."""

    affected: int
    """Rows that it changed (of a SELECT: found)."""
    last_id: Any
    """The key that the database made for the last row inserted; 0 or None where it made none."""


class Rows:
    """The rows of one statement, as a cursor of the DB-API shows them; they need no connection any more."""

    __slots__ = ("_position", "_rows", "description", "lastrowid", "rowcount")

    arraysize = 1

    def __init__(self, rows: Sequence[Row], description: Sequence[Sequence[Any]] | None, rowcount: int, lastrowid: Any) -> None:
        self._rows = rows
        self._position = 0
        self.description = description
        self.rowcount = rowcount
        self.lastrowid = lastrowid

    def __iter__(self) -> Iterator[Row]:
        while (row := self.fetchone()) is not None:
            yield row

    def __len__(self) -> int:
        return len(self._rows)

    def fetchone(self) -> Row | None:
        """The next row; None after the last."""
        position = self._position
        if position >= len(self._rows):
            return None
        self._position = position + 1
        return self._rows[position]

    def fetchmany(self, size: int = 1) -> list[Row]:
        """The next rows, at most ``size``."""
        start = self._position
        self._position = min(start + size, len(self._rows))
        return list(self._rows[start : self._position])

    def fetchall(self) -> list[Row]:
        """The rows that were not fetched yet."""
        start, self._position = self._position, len(self._rows)
        return list(self._rows[start:] if start else self._rows)

    def close(self) -> None:
        """Forget the rows."""
        self._rows = ()
        self._position = 0

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [column[0] for column in self.description or ()]

    def dicts(self) -> list[dict[str, Any]]:
        """All rows, each by the names of its columns."""
        columns = self.columns
        return [dict(zip(columns, row, strict=True)) for row in self._rows]
