"""Folders are swept away after their owners; templates are made once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from greenimi.testing.services import folders
from greenimi.testing.services.processes import ProcessId


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders are made in the test, with a cache folder and a folder for temporary ones."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folders._sweep.cache_clear()
    return tmp_path


def test_what_killed_processes_left_is_swept_away(places: Path) -> None:
    me = ProcessId.of(os.getpid())
    mine, gone, unknown = (places / "tmp" / f"greenimi-{name}" for name in (f"{me.pid}-{me.started}-x-1", f"{me.pid}-1-x-2", "x-3-y"))
    for folder in (mine, gone, unknown):
        folder.mkdir()
        (folder / "data").write_text("1")
    new = folders.new_folder("redis", attached=True)
    assert new.name.startswith(f"greenimi-{me.pid}-{me.started}-redis-")
    assert set((places / "tmp").iterdir()) == {mine, unknown, new}


def test_the_folder_of_one_that_stays_belongs_to_nobody(places: Path) -> None:
    kept = folders.new_folder("redis", attached=False)
    folders.new_folder("redis", attached=True)
    assert kept.is_dir()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_template_is_made_once_for_each_version(places: Path) -> None:
    made: list[str] = []

    def make(folder: Path) -> None:
        (folder / "sub").mkdir(parents=True)
        (folder / "sub/file").write_text(str(len(made)))
        made.append(folder.name)

    for number, version in enumerate(["1", "1", "2"]):
        folders.copy_template("thing", version, make, places / f"copy{number}")
    assert [(places / f"copy{number}/sub/file").read_text() for number in range(3)] == ["0", "0", "1"]
    assert len(made) == 2
    assert len(list((places / "cache/greenimi/services").iterdir())) == 2


def test_a_template_that_another_process_made_meanwhile_is_taken(places: Path) -> None:
    others: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder / "file").write_text("outer")
        if not others:
            others.append(folder)
            folders.copy_template("thing", "1", make, places / "inner")

    folders.copy_template("thing", "1", make, places / "outer")
    assert (places / "outer/file").read_text() == "outer"
    assert len(list((places / "cache/greenimi/services").iterdir())) == 1


def test_a_template_that_fails_leaves_nothing(places: Path) -> None:
    def make(folder: Path) -> None:
        folder.mkdir()
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        folders.copy_template("thing", "1", make, places / "copy")
    assert not (places / "copy").exists()
    assert list((places / "tmp").iterdir()) == []


def test_the_version_of_a_program_is_what_it_says() -> None:
    assert "coreutils" in folders.version_of("/bin/ls") or "ls" in folders.version_of("/bin/ls")
