from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenimi.container.registry import set_default_container
from greenimi.errors import NoScope
from greenimi.orm.table.settings import TableSettings
from greenimi.orm.table.sqlite import SqliteRows
from greenimi.orm.table.tables import Tables, current_tables
from greenimi.testing.contracts import ServiceContract


def make_rows(settings: TableSettings) -> Any:
    return SqliteRows(Path(settings.folder))


class TestTables(ServiceContract):
    def make(self) -> Any:
        return Tables(TableSettings(), make_rows)


def test_without_a_folder_there_is_one_that_goes_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GREENIMI_HUB", raising=False)
    folders: list[Path] = []

    def make(settings: TableSettings) -> Any:
        folders.append(Path(settings.folder))
        return make_rows(settings)

    tables = Tables(TableSettings(), make)
    assert folders == []
    tables.rows.change("a", "k", lambda _: b"1", 1)
    tables.channels.push("a", b"1", 1, 0.0)
    [folder] = folders
    assert len(list(folder.glob("*.sqlite3"))) == 2
    tables.stop()
    assert not folder.exists()
    assert tables.rows.get("a", "k") is None
    assert folders[1] != folder
    tables.stop()


def test_processes_with_one_folder_meet(tmp_path: Path) -> None:
    one, two = (Tables(TableSettings(folder=str(tmp_path / "t")), make_rows) for _ in range(2))
    one.rows.change("a", "k", lambda _: b"1", 1)
    assert two.rows.get("a", "k") == b"1"
    assert one.channels.push("c", b"2", 1, 0.0)
    assert two.channels.pop("c", 0.0) == b"2"
    for tables in (one, two):
        tables.stop()


def test_outside_of_an_application() -> None:
    before = set_default_container(None)
    with pytest.raises(NoScope):
        current_tables()
    set_default_container(before)


def test_a_process_that_is_forked_after_their_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = Tables(TableSettings(folder=str(tmp_path / "t")), make_rows)
    assert tables.rows.count("a") == 0
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: -1)
        for ask in (lambda: tables.rows, lambda: tables.channels):
            with pytest.raises(RuntimeError, match="were used before this process was forked"):
                ask()
    tables.stop()
