"""Multipart forms as they arrive: bounded in every way, their files gone with their message."""

from __future__ import annotations

import errno
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from greenimi.container import Container, Scope
from greenimi.errors import BadMessage, ConfigError, Overloaded, Refusal, TooLarge
from greenimi.message import Body, Request
from greenimi.web import forms
from greenimi.web.forms import Uploads, add_value, read_form
from greenimi.web.settings import UploadSettings
from greenimi.web.uploads import UploadedFile, temporary_file

SMALL = UploadSettings(
    max_files=2, max_fields=3, max_field=100, max_text=150, memory=1000, max_file=2_000_000, max_head=200, disk=3_000_000
)


def field(name: str, data: bytes, filename: str | None = None) -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"


def request(*fields: bytes, end: bytes = b"--x--\r\n", size: int = 5000) -> Request:
    body = b"".join(fields) + end
    stream = Body()
    pieces = iter([body[start : start + size] for start in range(0, len(body), size)])

    def pull() -> None:
        piece = next(pieces, None)
        if piece is None:
            stream.finish()
        else:
            stream.feed(piece)

    stream.pull = pull
    head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
    return Request("POST", "/", "/", "", head, stream=stream)


@pytest.fixture
def uploads() -> Uploads:
    return Uploads(SMALL)


@pytest.fixture
def scope(uploads: Uploads) -> Iterator[Scope]:
    container = Container("test")
    container.add(Uploads, uploads)
    with Scope(container) as scope:
        yield scope


def test_texts_and_files_by_name(scope: Scope) -> None:
    found = read_form(request(field("a", b"1"), field("b", "ä".encode()), field("a", b"3"), field("f", b"x" * 10, "a/b.txt")))
    assert found["a"] == ["1", "3"]
    assert found["b"] == "ä"
    file = found["f"]
    assert isinstance(file, UploadedFile)
    assert (file.name, file.filename, file.content_type, file.size) == ("f", "b.txt", "application/octet-stream", 10)
    assert file.headers["content-disposition"].endswith('"a/b.txt"')
    assert file.read() == b"x" * 10


def test_small_files_stay_in_memory_and_large_ones_do_not(scope: Scope, uploads: Uploads) -> None:
    found = read_form(request(field("f", b"a" * 1000, "a"), field("f", b"b" * 1001, "b")))
    small, large = found["f"]
    assert isinstance(small.file, io.BytesIO)
    assert not isinstance(large.file, io.BytesIO)
    assert uploads.on_disk == 1001
    assert (small.read(), large.read()) == (b"a" * 1000, b"b" * 1001)


def test_a_large_file_is_written_while_it_arrives(scope: Scope, uploads: Uploads) -> None:
    body = bytes(range(256)) * 4000
    sent = request(field("f", body, "f"), size=65536)
    stream = sent.stream
    assert stream is not None
    pull = stream.pull
    assert pull is not None
    most = 0

    def watched() -> None:
        nonlocal most
        most = max(most, stream.received - uploads.on_disk)
        pull()

    stream.pull = watched
    file = read_form(sent)["f"]
    assert file.read() == body
    assert most < 400_000


def test_where_no_file_was_chosen_there_is_none(scope: Scope) -> None:
    assert read_form(request(field("f", b"", ""), field("a", b""))) == {"a": ""}
    assert read_form(request(field("f", b"x", "")))["f"].filename == ""
    assert read_form(request(field("f", b"", "empty.txt")))["f"].size == 0


def test_all_is_given_back_at_the_end_of_the_message(uploads: Uploads) -> None:
    container = Container("test")
    container.add(Uploads, uploads)
    with Scope(container):
        found = read_form(request(field("f", b"a" * 10, "a"), field("f", b"b" * 5000, "b")))
    assert uploads.on_disk == 0
    assert all(file.file.closed for file in found["f"])


@pytest.mark.parametrize("end", [b"", b"--x\r\nbroken", b"--x--rubbish"])
def test_and_when_the_form_is_broken(uploads: Uploads, end: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[IO[bytes]] = []

    def noted(folder: str) -> IO[bytes]:
        opened.append(temporary_file(folder))
        return opened[-1]

    monkeypatch.setattr(forms, "temporary_file", noted)
    container = Container("test")
    container.add(Uploads, uploads)
    with Scope(container):
        unfinished = field("g", b"c" * 600_000, "c")[:-2]
        with pytest.raises(BadMessage):
            read_form(request(field("f", b"b" * 5000, "b"), unfinished, end=end and b"\r\n" + end, size=100_000))
        assert uploads.on_disk > 5000
    assert uploads.on_disk == 0
    assert [file.closed for file in opened] == [True, True]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([field("a", b"1")] * 4, "more than 3 fields"),
        ([field("a", b"", "f")] * 3, "more than 2 files"),
        ([field("a", b"x" * 101)], "the field a is over 100 bytes"),
        ([field("a", b"x" * 80), field("b", b"x" * 80)], "fields of the form are over 150 bytes"),
        ([field("f", b"x" * 2_000_001, "f")], "the file f is over 2000000 bytes"),
        ([field("a" * 200, b"")], "header fields of a part are over 200 bytes"),
    ],
)
def test_over_a_limit_a_form_is_refused(scope: Scope, fields: list[bytes], why: str) -> None:
    with pytest.raises(TooLarge, match=why) as caught:
        read_form(request(*fields))
    assert caught.value.status == 413


def test_at_its_limits_it_is_taken(scope: Scope) -> None:
    fields = [field("a", b"x" * 100), field("b", b"x" * 50), field("c", b""), field("f", b"x" * 2_000_000, "f"), field("g", b"", "g")]
    assert len(read_form(request(*fields))) == 5


def test_the_whole_form_is_bounded_where_no_codec_does_it() -> None:
    container = Container("test")
    container.add(Uploads, Uploads(UploadSettings(max_body=1000)))
    with Scope(container), pytest.raises(TooLarge, match="form is over 1000 bytes"):
        read_form(request(field("f", b"x" * 1000, "f")))


def test_the_disk_is_bounded_for_all_forms_together(scope: Scope, uploads: Uploads) -> None:
    read_form(request(field("f", b"x" * 1_500_000, "f")))
    with pytest.raises(Overloaded, match="too many files") as caught:
        read_form(request(field("f", b"x" * 1_600_000, "f")))
    assert (caught.value.status, caught.value.headers) == (503, (("Retry-After", "60"),))
    scope.close()
    assert uploads.on_disk == 0
    assert read_form(request(field("f", b"x" * 1_600_000, "f")))["f"].size == 1_600_000


def test_a_text_that_is_not_utf_8_is_refused_by_name(scope: Scope) -> None:
    with pytest.raises(BadMessage, match="field a of the form is not in UTF-8") as caught:
        read_form(request(field("a", b"\xff")))
    assert caught.value.details == {"field": "a"}


def test_a_form_without_a_body_is_no_form(scope: Scope) -> None:
    sent = request()
    sent.stream = None
    with pytest.raises(BadMessage, match="ends before"):
        read_form(sent)


def test_a_body_that_was_read_already_is_a_form_too(scope: Scope) -> None:
    sent = request(field("a", b"1"))
    sent.body()
    assert read_form(sent) == {"a": "1"}


def test_a_full_disk_is_told(scope: Scope, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def full(folder: str) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(forms, "temporary_file", full)
    with caplog.at_level(logging.ERROR), pytest.raises(Refusal, match="cannot be kept") as caught:
        read_form(request(field("f", b"x" * 2000, "f")))
    assert caught.value.status == 507
    assert "No space left" in caplog.text


class FullDisk(io.RawIOBase):
    """A file with room for ``room`` bytes."""

    def __init__(self, room: int) -> None:
        self._room = room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        taken = min(self._room, len(data))
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._room -= taken
        return taken


def test_one_that_is_full_at_the_last_bytes_is_told_as_well(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    container = Container("test")
    container.add(Uploads, uploads)
    monkeypatch.setattr(forms, "temporary_file", lambda folder: io.BufferedWriter(FullDisk(1500)))
    with Scope(container), pytest.raises(Refusal, match="cannot be kept") as caught:
        read_form(request(field("f", b"x" * 2000, "f")))
    assert caught.value.status == 507
    assert uploads.on_disk == 0


def test_a_folder_that_is_not_there_is_found_at_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        Uploads(UploadSettings(folder=str(tmp_path / "missing")))
    assert Uploads(UploadSettings(folder=str(tmp_path))).on_disk == 0


def test_values_of_one_name_become_a_list() -> None:
    values: dict[str, Any] = {}
    for value in ("1", "2", "3"):
        add_value(values, "a", value)
    add_value(values, "b", "4")
    assert values == {"a": ["1", "2", "3"], "b": "4"}
