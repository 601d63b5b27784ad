from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenimi import green
from greenimi.errors import GreenimiError, Overloaded, StartError
from greenimi.interfaces import IRowTable
from greenimi.orm.table.lmdb import LmdbRows
from greenimi.testing.contracts import RowTableContract
from tests.orm.table.stores import one_file


class TestLmdbRows(RowTableContract):
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> Iterator[None]:
        self._folder = tmp_path / "tables"
        self._made: list[LmdbRows] = []
        yield
        for rows in self._made:
            rows.close()

    def make(self, size: int = 16 << 20) -> IRowTable:
        self._made.append(LmdbRows(self._folder, size=size))
        return self._made[-1]


def test_what_is_in_the_file_is_found_by_who_comes_later(tmp_path: Path) -> None:
    rows = LmdbRows(tmp_path / "tables")
    rows.change("a", "k", lambda _: b"1", 5)
    rows.close()
    rows = LmdbRows(tmp_path / "tables")
    assert (rows.get("a", "k"), rows.count("a")) == (b"1", 1)
    rows.close()


def test_a_file_that_somebody_removes_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = LmdbRows(tmp_path / "tables")
    rows.change("a", "k", lambda _: b"1", 5)
    one_file(tmp_path / "tables", "lmdb").unlink()
    rows._mending._next = 0.0
    assert rows.get("a", "k") is None
    rows.change("a", "k", lambda _: b"2", 5)
    assert "was removed: what was in it is lost" in caplog.text
    assert one_file(tmp_path / "tables", "lmdb").exists()
    rows.close()


def test_a_folder_that_others_can_enter(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(StartError, match="can be entered by others"):
        LmdbRows(tmp_path / "open")


def test_a_file_of_something_else(tmp_path: Path) -> None:
    rows = LmdbRows(tmp_path / "tables")
    rows.close()
    path = one_file(tmp_path / "tables", "lmdb")
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(GreenimiError, match="the file of tables"):
        LmdbRows(tmp_path / "tables")


def test_a_process_that_stands_still_in_a_step_keeps_nobody_longer_than_said(tmp_path: Path) -> None:
    rows = LmdbRows(tmp_path / "tables", patience=0.05)
    rows.change("a", "k", lambda _: b"1", 5)
    other = os.open(f"{rows._path}.turn", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    greenlet = green.spawn(rows.change, "a", "k", lambda _: b"2", 5)
    green.sleep(0)
    assert rows.get("a", "k") == b"1"
    with pytest.raises(Overloaded, match="the file of tables is busy"):
        greenlet.get()
    killed = green.spawn(rows.change, "a", "k", lambda _: b"3", 5)
    green.sleep(0)
    killed.kill()
    os.close(other)
    rows.change("a", "k", lambda old: (old or b"") + b"4", 5)
    assert rows.get("a", "k") == b"14"
    rows.close()


def test_without_the_library_the_extra_is_named() -> None:
    code = "import sys; sys.modules['lmdb'] = None; import greenimi.orm.table.lmdb"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install greenimi[lmdb]" in told.stderr or "needs lmdb" in told.stderr
