from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenimi.errors import GreenimiError, StartError
from greenimi.interfaces import IRowTable
from greenimi.orm.table.sqlite import SqliteRows
from greenimi.testing.contracts import RowTableContract
from tests.orm.table.stores import one_file


class TestSqliteRows(RowTableContract):
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> Iterator[None]:
        self._folder = tmp_path / "tables"
        self._made: list[SqliteRows] = []
        yield
        for rows in self._made:
            rows.close()

    def make(self, size: int = 16 << 20) -> IRowTable:
        self._made.append(SqliteRows(self._folder, size=size))
        return self._made[-1]


def test_what_is_in_the_file_is_found_by_who_comes_later(tmp_path: Path) -> None:
    rows = SqliteRows(tmp_path / "tables")
    rows.change("a", "k", lambda _: b"1", 5)
    rows.close()
    rows = SqliteRows(tmp_path / "tables")
    assert (rows.get("a", "k"), rows.count("a")) == (b"1", 1)
    rows.close()


def test_a_file_that_somebody_removes_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = SqliteRows(tmp_path / "tables")
    rows.change("a", "k", lambda _: b"1", 5)
    one_file(tmp_path / "tables", "sqlite").unlink()
    rows._mending._next = 0.0
    assert rows.get("a", "k") is None
    rows.change("a", "k", lambda _: b"2", 5)
    assert "was removed: what was in it is lost" in caplog.text
    assert one_file(tmp_path / "tables", "sqlite").exists()
    rows.close()


def test_a_folder_that_others_can_enter(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(StartError, match="can be entered by others"):
        SqliteRows(tmp_path / "open")


def test_a_file_of_something_else(tmp_path: Path) -> None:
    rows = SqliteRows(tmp_path / "tables")
    rows.close()
    path = one_file(tmp_path / "tables", "sqlite")
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(GreenimiError, match="the file of tables"):
        SqliteRows(tmp_path / "tables")
