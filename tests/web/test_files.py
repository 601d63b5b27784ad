"""Files as bodies, and the ways out of a folder that are none."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.errors import NotFound, Refusal, Refused
from greenimi.message import Response
from greenimi.web.files import FileBody, answer_with, descend, names_in, open_below, open_file, regular
from tests.web.asking import asking

DATA = bytes(range(256)) * 400  # 100 KiB: more than is read at once


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``inside`` and what is around it."""
    inside = tmp_path / "inside"
    (inside / "deep/er").mkdir(parents=True)
    (inside / "deep/er/file.bin").write_bytes(DATA)
    (inside / "small.txt").write_text("small")
    (tmp_path / "secret.txt").write_text("secret")
    (inside / "out").symlink_to(tmp_path / "secret.txt")
    (inside / "up").symlink_to(tmp_path)
    (inside / "near").symlink_to("small.txt")
    (inside / "around").symlink_to("deep/er")
    return inside


# -- bodies --------------------------------------------------------------------------------------------------------
def test_a_body_is_read_off_in_pieces_and_lets_others_run(folder: Path) -> None:
    (folder / "large").write_bytes(DATA * 10)
    others: list[int] = []
    body = open_file(folder / "large")
    assert body.length == len(DATA) * 10

    def other() -> None:
        for at in range(3):
            others.append(at)
            green.sleep(0)

    greenlet = green.spawn(other)
    assert b"".join(body) == DATA * 10
    assert len(others) == 3
    greenlet.join()
    body.close()


def test_a_section_of_a_body(folder: Path) -> None:
    body = open_file(folder / "deep/er/file.bin")
    body.take(100, 1000)
    body.take(10, 5)
    assert body.read() == b"".join(body) == DATA[110:115]
    body.close()
    body.close()


def test_a_file_that_became_shorter_does_not_end_quietly(folder: Path) -> None:
    body = open_file(folder / "deep/er/file.bin")
    os.truncate(folder / "deep/er/file.bin", 10)
    with pytest.raises(EOFError, match="before what was promised"):
        body.read()
    with pytest.raises(EOFError, match="before what was promised"):
        list(body)
    body.close()


def test_a_body_that_was_never_sent_gives_its_descriptor_back(no_leaks: None, folder: Path) -> None:
    descriptors = {open_file(folder / "small.txt").descriptor for _ in range(10)}
    assert len(descriptors) == 1


def test_the_tag_tells_versions_apart(folder: Path) -> None:
    path = folder / "small.txt"
    first = open_file(path).etag
    assert open_file(path).etag == first
    os.utime(path, ns=(1, 2_000_000_001))
    second = open_file(path).etag
    path.write_text("larger")
    os.utime(path, ns=(1, 2_000_000_001))
    assert len({first, second, open_file(path).etag}) == 3
    assert open_file(path).modified == pytest.approx(2)


# -- answers -------------------------------------------------------------------------------------------------------
def answer(path: Path, method: str = "GET", **fields: str) -> Response:
    return answer_with(asking(method=method, **fields), open_file(path), "text/x-test", [("X-More", "1")])


def taken(response: Response) -> bytes:
    body: Any = response.body
    if isinstance(body, bytes):
        return body
    try:
        return b"".join(body)
    finally:
        body.close()


def test_a_small_file_is_one_piece_and_a_large_one_is_a_body(folder: Path) -> None:
    small, large = answer(folder / "small.txt"), answer(folder / "deep/er/file.bin")
    assert small.body == b"small"
    assert type(large.body) is FileBody
    for found in (small, large):
        fields = dict(found.headers)
        assert (found.status, found.content_type) == (200, "text/x-test")
        assert fields.keys() >= {"ETag", "Last-Modified", "Accept-Ranges", "X-Content-Type-Options", "X-More"}
    assert dict(large.headers)["Content-Length"] == str(len(DATA))
    assert taken(large) == DATA


def test_head_says_the_length(folder: Path) -> None:
    found = answer(folder / "small.txt", "HEAD", range="bytes=0-1")
    assert (found.status, dict(found.headers)["Content-Length"]) == (200, "5")
    taken(found)


def test_a_range(folder: Path) -> None:
    path = folder / "deep/er/file.bin"
    found = answer(path, range="bytes=10-60000")
    assert (found.status, dict(found.headers)["Content-Range"]) == (206, f"bytes 10-60000/{len(DATA)}")
    assert (dict(found.headers)["Content-Length"], taken(found)) == ("59991", DATA[10:60001])
    found = answer(path, range="bytes=-3")
    assert found.body == DATA[-3:]


def test_several_ranges_come_as_parts(folder: Path) -> None:
    found = answer(folder / "deep/er/file.bin", range="bytes=5000-5009,0-2,-4")
    body = taken(found)
    assert (found.status, dict(found.headers)["Content-Length"]) == (206, str(len(body)))
    assert re.fullmatch(r"multipart/byteranges; boundary=\w+", found.content_type)
    assert "Content-Range" not in dict(found.headers)
    message: Any = BytesParser().parsebytes(f"Content-Type: {found.content_type}\r\n\r\n".encode() + body)
    parts = [(part["Content-Range"], part["Content-Type"], part.get_payload(decode=True)) for part in message.get_payload()]
    kind, size = "text/x-test", len(DATA)
    assert parts == [
        (f"bytes 5000-5009/{size}", kind, DATA[5000:5010]),
        (f"bytes 0-2/{size}", kind, DATA[:3]),
        (f"bytes {size - 4}-{size - 1}/{size}", kind, DATA[-4:]),
    ]


def test_a_range_that_is_not_there(no_leaks: None, folder: Path) -> None:
    with pytest.raises(Refusal) as caught:
        answer(folder / "small.txt", range="bytes=5-")
    assert (caught.value.status, caught.value.headers) == (416, (("Content-Range", "bytes */5"),))


@pytest.mark.parametrize("field", ["bytes=nonsense", "pages=1-2"])
def test_a_range_that_says_nothing_is_ignored(folder: Path, field: str) -> None:
    assert answer(folder / "small.txt", range=field).status == 200


def test_preconditions_come_before_ranges(no_leaks: None, folder: Path) -> None:
    path = folder / "deep/er/file.bin"
    os.utime(path, (1, 1))
    first = answer(path)
    tag, date = dict(first.headers)["ETag"], dict(first.headers)["Last-Modified"]
    taken(first)
    for fields in ({"if_none_match": tag}, {"if_modified_since": date}):
        found = answer(path, range="bytes=0-1", **fields)
        assert (found.status, found.body, dict(found.headers)["ETag"]) == (304, b"", tag)
        assert "Accept-Ranges" not in dict(found.headers)
        assert dict(found.headers)["X-More"] == "1"
    for fields in ({"if_match": '"other"'}, {"if_unmodified_since": "Thu, 01 Jan 1970 00:00:00 GMT"}):
        with pytest.raises(Refusal) as caught:
            answer(path, range="bytes=0-1", **fields)
        assert caught.value.status == 412
    for condition, status in ((tag, 206), (date, 206), ('"other"', 200), (f"W/{tag}", 200)):
        found = answer(path, range="bytes=0-1", if_range=condition)
        taken(found)
        assert (condition, found.status) == (condition, status)


def test_an_empty_file(folder: Path) -> None:
    (folder / "empty").touch()
    assert answer(folder / "empty").body == b""
    with pytest.raises(Refusal):
        answer(folder / "empty", range="bytes=0-")


# -- opening -------------------------------------------------------------------------------------------------------
def opened(body: FileBody) -> bytes:
    try:
        return body.read()
    finally:
        body.close()


def test_what_is_below_a_folder(folder: Path) -> None:
    assert opened(open_below(folder, "small.txt")) == b"small"
    assert opened(open_below(str(folder), "deep/er/file.bin")) == DATA
    link = folder.with_name("link")
    link.symlink_to(folder)
    assert opened(open_below(link, "small.txt")) == b"small"  # the folder itself is the application's


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "deep/../../secret.txt",
        "..",
        ".",
        "",
        "/",
        "//small.txt",
        "deep//er/file.bin",
        "./small.txt",
        "small.txt/",
        "small.txt/x",
        "deep",
        "..\\secret.txt",
        "small.txt\0",
        "small.txt\0.png",
        "missing",
        "out",
        "up/secret.txt",
        "near",
        "around/file.bin",
        "x" * 300,
        "x/" * 3000,
    ],
)
def test_ways_that_lead_nowhere(no_leaks: None, folder: Path, path: str) -> None:
    with pytest.raises(NotFound):
        open_below(folder, path)


def test_an_absolute_path_is_not_below(folder: Path) -> None:
    with pytest.raises(NotFound):
        open_below(folder, str(folder / "small.txt"))


def test_links_within_the_folder_are_followed_on_demand(folder: Path) -> None:
    assert opened(open_below(folder, "near", links=True)) == b"small"
    assert opened(open_below(folder, "around/file.bin", links=True)) == DATA
    for path in ("out", "up/secret.txt", "up/inside/small.txt/x", "missing", "up"):
        with pytest.raises(NotFound):
            open_below(folder, path, links=True)


def test_a_folder_beside_with_the_same_beginning_is_outside(folder: Path) -> None:
    (folder.with_name("inside-too")).mkdir()
    (folder.with_name("inside-too") / "x").touch()
    (folder / "beside").symlink_to(folder.with_name("inside-too"))
    with pytest.raises(NotFound):
        open_below(folder, "beside/x", links=True)


def test_a_folder_that_is_exchanged_for_a_link_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.path.realpath

    def exchange(path: str) -> str:
        found = real(path)
        if found.endswith("file.bin"):
            (folder / "deep").rename(folder / "was-deep")
            (folder / "deep").symlink_to(folder.parent)
        return found

    (folder.parent / "er").mkdir()
    (folder.parent / "er/file.bin").write_text("secret")
    monkeypatch.setattr("os.path.realpath", exchange)
    with pytest.raises(NotFound):
        open_below(folder, "deep/er/file.bin", links=True)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file(no_leaks: None, folder: Path, make: Callable[[Path], object]) -> None:
    make(folder / "strange")
    with pytest.raises(NotFound):
        open_below(folder, "strange")
    with pytest.raises(NotFound):
        open_file(folder / "strange")
    descriptor = os.open(folder, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        regular(descriptor)


def test_what_may_not_be_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **options: object) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(Refused) as caught:
        open_below(folder, "small.txt")
    assert str(folder) not in caught.value.text
    with pytest.raises(Refused) as caught:
        open_file(folder / "small.txt")
    assert str(folder) not in caught.value.text


def test_too_few_descriptors_are_the_servers_own_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*args: object, **options: object) -> int:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(os, "open", exhausted)
    with pytest.raises(OSError, match="too many open files"):
        open_below(folder, "small.txt")


def test_names_are_taken_apart() -> None:
    assert names_in("a/b..c/...") == ["a", "b..c", "..."]


def test_descending_leaves_nothing_open(no_leaks: None, folder: Path) -> None:
    for _ in range(5):
        os.close(descend(folder, ["deep", "er", "file.bin"]))
        with pytest.raises(FileNotFoundError):
            descend(folder, ["deep", "er", "x"])
