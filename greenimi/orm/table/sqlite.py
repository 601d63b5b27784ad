"""Shared rows in an SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from zope.interface import implementer

from greenimi.errors import Overloaded
from greenimi.interfaces import IRowTable
from greenimi.orm.table.files import Mending, path_of
from greenimi.shared_file import SharedFile, private_folder

_SCHEMA = (
    'CREATE TABLE "rows" ("table" TEXT NOT NULL, "key" TEXT NOT NULL, "row" BLOB NOT NULL, PRIMARY KEY ("table", "key")) WITHOUT ROWID',
    'CREATE TABLE "counts" ("table" TEXT PRIMARY KEY, "number" INTEGER NOT NULL) WITHOUT ROWID',
    """CREATE TRIGGER row_came AFTER INSERT ON "rows" BEGIN
        INSERT INTO "counts" VALUES (NEW."table", 1) ON CONFLICT DO UPDATE SET "number" = "number" + 1;
    END""",
    """CREATE TRIGGER row_went AFTER DELETE ON "rows" BEGIN
        UPDATE "counts" SET "number" = "number" - 1 WHERE "table" = OLD."table";
        DELETE FROM "counts" WHERE "table" = OLD."table" AND "number" = 0;
    END""",
)

_GET = 'SELECT "row" FROM "rows" WHERE "table" = ? AND "key" = ?'
_COUNT = 'SELECT "number" FROM "counts" WHERE "table" = ?'
_INSERT = 'INSERT INTO "rows" VALUES (?, ?, ?)'
_UPDATE = 'UPDATE "rows" SET "row" = ? WHERE "table" = ? AND "key" = ?'
_DELETE = 'DELETE FROM "rows" WHERE "table" = ? AND "key" = ?'
_PAGE = 'SELECT "key", "row" FROM "rows" WHERE "table" = ? AND "key" > ? ORDER BY "key" LIMIT ?'
_CLEAR = 'DELETE FROM "rows" WHERE "table" = ? RETURNING 1'


@implementer(IRowTable)
class SqliteRows:
    """A step takes tens of microseconds.  Make it in the process that uses it, after a fork."""

    def __init__(self, folder: Path, *, patience: float = 1.0, size: int = 64 << 20) -> None:
        private_folder(folder, "[table] folder")
        self._file = SharedFile(path_of(folder, "rows-1", "sqlite3"), _SCHEMA, label="the file of tables", wait=patience, size=size)
        self._mending = Mending(self._file.mend)

    def get(self, table: str, key: str) -> bytes | None:
        self._mending.now_and_then()
        found = self._file.rows(_GET, (table, key))
        return found[0][0] if found else None

    def change(self, table: str, key: str, change: Callable[[bytes | None], bytes | None], limit: int) -> bytes | None:
        self._mending.now_and_then()
        with self._file.step as execute:
            found = execute(_GET, (table, key)).fetchone()
            old = None if found is None else found[0]
            new = change(old)
            if old is None and new is not None:
                count = execute(_COUNT, (table,)).fetchone()
                if count is not None and count[0] >= limit:
                    raise Overloaded(f"the table {table} has {limit} rows already")
                execute(_INSERT, (table, key, new))
            elif new is None:
                execute(_DELETE, (table, key))
            elif new != old:
                execute(_UPDATE, (new, table, key))
        return new

    def count(self, table: str) -> int:
        found = self._file.rows(_COUNT, (table,))
        return found[0][0] if found else 0

    def page(self, table: str, after: str, size: int) -> Sequence[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = [(key, row) for key, row in self._file.rows(_PAGE, (table, after, size))]
        return found

    def clear(self, table: str) -> int:
        return len(self._file.rows(_CLEAR, (table,)))

    def close(self) -> None:
        self._file.close()
