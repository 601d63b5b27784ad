"""Uploaded files: what handlers do with them."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.message import Headers
from greenimi.web.uploads import UploadedFile, close_file, plain_name, temporary_file

DATA = bytes(range(256)) * 3000


def uploaded(*, on_disk: bool) -> UploadedFile:
    file = temporary_file() if on_disk else io.BytesIO()
    file.write(DATA)
    file.seek(0)
    return UploadedFile("photo", "tea.png", "image/png", file, len(DATA))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.fixture(params=[False, True], ids=["memory", "disk"])
def file(request: pytest.FixtureRequest) -> Iterator[UploadedFile]:
    file = uploaded(on_disk=request.param)
    yield file
    file.close()


def test_it_is_read_whole_or_in_pieces(file: UploadedFile) -> None:
    assert file.read(3) == DATA[:3]
    assert file.read() == DATA[3:]
    pieces = list(file.chunks(100_000))
    assert [len(piece) for piece in pieces] == [100_000] * 7 + [68_000]
    assert b"".join(pieces) == DATA
    assert isinstance(file.headers, Headers)
    file.close()
    file.close()


def test_saved_under_a_name(file: UploadedFile, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = file.save(tmp_path, "7.png")
    finally:
        os.umask(before)
    assert path == tmp_path / "7.png"
    assert path.read_bytes() == DATA
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["7.png"]
    assert file.read() == DATA  # it can still be read, and saved again
    assert stat.S_IMODE(file.save(tmp_path, "8.png", mode=0o644).stat().st_mode) == 0o644


def test_without_a_name_it_gets_one_that_says_nothing(file: UploadedFile, tmp_path: Path) -> None:
    one, two = file.save(tmp_path), file.save(tmp_path)
    assert one != two
    assert all(len(path.name) == 32 and path.parent == tmp_path for path in (one, two))


def test_what_is_there_is_not_overwritten_by_accident(file: UploadedFile, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("precious")
    with pytest.raises(FileExistsError):
        file.save(tmp_path, "a")
    assert (tmp_path / "a").read_text() == "precious"
    assert names(tmp_path) == ["a"]
    file.save(tmp_path, "a", overwrite=True)
    assert (tmp_path / "a").read_bytes() == DATA


def test_a_link_is_replaced_not_followed(file: UploadedFile, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "inside" / "a").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        file.save(tmp_path / "inside", "a")
    file.save(tmp_path / "inside", "a", overwrite=True)
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("name", ["../a", "a/b", "/etc/a", "..", ".", "a/", "a\0b", "./a", "a/../b"])
def test_nothing_is_written_outside_of_the_folder(file: UploadedFile, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "inside"
    (folder / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match="not the name of a file"):
        file.save(folder, name)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_when_it_cannot_be_written_nothing_is_left(file: UploadedFile, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match=r"."):
        file.save(tmp_path, "a", overwrite=True)
    assert names(tmp_path) == ["a"]


def test_a_path_for_others_while_it_lasts(file: UploadedFile) -> None:
    assert file.read(3) == DATA[:3]
    path = file.path
    assert path.read_bytes() == DATA
    assert file.path == path
    assert file.read(3) == DATA[3:6]
    file.close()
    assert not path.exists()


def test_a_temporary_file_has_no_name(tmp_path: Path) -> None:
    file = temporary_file(str(tmp_path))
    file.write(b"x")
    assert names(tmp_path) == []
    close_file(file)
    close_file(file)
    assert file.closed


@pytest.mark.parametrize(
    ("sent", "plain"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        (r"C:\Users\me\a.txt", "a.txt"),
        ("/", ""),
        ("..", ""),
        ("a/.", ""),
        ("a\x00b\r\n.txt", "ab.txt"),
        ("Äpfel & Birnen.txt", "Äpfel & Birnen.txt"),
        ("a\u202etxt.exe", "atxt.exe"),
    ],
)
def test_a_file_name_is_left_without_its_folders(sent: str, plain: str) -> None:
    assert plain_name(sent) == plain


@given(st.text())
def test_and_is_always_one_of_a_file(sent: str) -> None:
    name = plain_name(sent)
    assert name not in (".", "..")
    assert not set(name) & set("/\\\0\r\n")
