from __future__ import annotations

import os
from pathlib import Path

import pytest

from greenimi.cli import watch
from greenimi.cli.watch import changed, snapshot
from greenimi.errors import StartError


def put(folder: Path, path: str, text: str = "x") -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_python_and_toml_files_and_dotenv_are_watched(tmp_path: Path) -> None:
    wanted = [put(tmp_path, path) for path in ("a.py", "conf/app.toml", "pkg/deep/b.py", ".env")]
    for path in ("a.txt", ".hidden.py", ".git/a.py", "pkg/__pycache__/a.py", "node_modules/a.py", "my-env/lib/c.py", "b.pyc"):
        put(tmp_path, path)
    put(tmp_path, "my-env/pyvenv.cfg")
    (tmp_path / "link").symlink_to(tmp_path)
    assert sorted(snapshot(tmp_path)) == sorted(map(str, wanted))


def test_what_came_went_or_changed_is_seen_and_named(tmp_path: Path) -> None:
    kept, gone, edited = (put(tmp_path, f"{name}.py") for name in ("kept", "gone", "edited"))
    before = snapshot(tmp_path)
    assert snapshot(tmp_path) == before
    gone.unlink()
    put(tmp_path, "new.py")
    state = edited.stat()
    edited.write_text("y")  # as long as before
    os.utime(edited, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert changed(before, snapshot(tmp_path)) == "edited.py, gone.py, new.py"
    put(tmp_path, "other.py")
    assert changed(before, snapshot(tmp_path)) == "edited.py, gone.py, new.py and others"
    assert kept.exists()


def test_a_file_put_in_the_place_of_another_is_a_change(tmp_path: Path) -> None:
    file = put(tmp_path, "a.py")
    before = snapshot(tmp_path)
    state = file.stat()
    other = put(tmp_path, "b.new")
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.rename(file)
    assert snapshot(tmp_path) != before


def test_a_dangling_link_and_a_missing_folder_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.py").symlink_to(tmp_path / "nowhere")
    assert snapshot(tmp_path) == {}
    assert snapshot(tmp_path / "nowhere") == {}


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MOST_FILES", 2)
    for name in "abc":
        put(tmp_path, f"{name}.py")
    with pytest.raises(StartError, match="more than 2 files"):
        snapshot(tmp_path)
