from __future__ import annotations

from pathlib import Path

from greenimi.orm.table.files import Mending, path_of


def test_files_are_of_this_run_of_the_machine(tmp_path: Path) -> None:
    path = path_of(tmp_path, "rows-1", "sqlite3")
    kept = [path, path.with_name(path.name + "-wal"), tmp_path / "rows-1-x.lmdb", tmp_path / "channels-1-x.sqlite3"]
    for file in (*kept, tmp_path / "rows-1-before.sqlite3", tmp_path / "rows-1-before.sqlite3-wal"):
        file.touch()
    assert path_of(tmp_path, "rows-1", "sqlite3") == path
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_mending_is_done_now_and_then() -> None:
    done: list[int] = []
    mending = Mending(lambda: done.append(1))
    mending.now_and_then()
    assert not done
    mending._next = 0.0
    for _ in range(3):
        mending.now_and_then()
    assert done == [1]
