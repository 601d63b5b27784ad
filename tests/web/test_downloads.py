"""Files as answers of handlers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from greenimi import Response, get, http, layers
from greenimi.container.onion import Proceed
from greenimi.errors import NotFound
from greenimi.message import Request
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web.downloads import FileResponse, disposition
from tests.web.asking import asking

DATA = os.urandom(200_000)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data.bin").write_bytes(DATA)
    (tmp_path / "note.txt").write_text("a note")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("plain.txt", 'attachment; filename="plain.txt"'),
        ("two words.txt", 'attachment; filename="two words.txt"'),
        ("Übung ☃.txt", "attachment; filename=\"_bung _.txt\"; filename*=UTF-8''%C3%9Cbung%20%E2%98%83.txt"),
        ('a"b;c.txt', "attachment; filename=\"a_b_c.txt\"; filename*=UTF-8''a%22b%3Bc.txt"),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        ("a\r\nSet-Cookie: x=1.txt", 'attachment; filename="a__Set-Cookie: x=1.txt"'),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("..\\x.exe", 'attachment; filename="x.exe"'),
        ("", 'attachment; filename="file"'),
    ],
)
def test_names_of_downloads(name: str, field: str) -> None:
    assert disposition(name, attachment=True) == field


def test_what_was_done_is_not_taken_back_by_a_condition() -> None:
    for fields in ({"if_match": '"x"'}, {"if_none_match": "*"}, {"range": "bytes=0-1"}):
        found = FileResponse("note.txt").answer(asking(method="POST", **fields))
        assert (found.status, found.body) == (200, b"a note")


def test_a_file_may_be_the_answer_to_an_error() -> None:
    missing = FileResponse("note.txt", headers=[("X-Own", "1")])
    missing.status = 404
    found = missing.answer(asking(if_none_match="*"))
    assert (found.status, found.body, found.content_type, found.headers) == (404, b"a note", "text/plain; charset=utf-8", (("X-Own", "1"),))


def test_a_name_to_be_shown() -> None:
    assert disposition("a.pdf", attachment=False) == 'inline; filename="a.pdf"'


def test_what_a_file_response_says() -> None:
    found = FileResponse("note.txt")
    assert (found.content_type, found.headers) == ("text/plain; charset=utf-8", ())
    found = FileResponse("data.bin", name="report.pdf", headers=[("Cache-Control", "private")])
    assert found.content_type == "application/pdf"
    assert found.headers == (("Cache-Control", "private"), ("Content-Disposition", 'attachment; filename="report.pdf"'))
    found = FileResponse("note.txt", attachment=False, type="text/x-note")
    assert (found.content_type, found.headers) == ("text/x-note", (("Content-Disposition", 'inline; filename="note.txt"'),))


def test_what_a_client_names_is_looked_for_in_a_folder(folder: Path) -> None:
    assert FileResponse("note.txt", folder=folder).answer(asking()).body == b"a note"
    for path in ("../note.txt", str(folder / "note.txt"), "missing"):
        with pytest.raises(NotFound):
            FileResponse(path, folder=folder / ".")


def test_a_file_that_is_not_there_is_told_without_its_folder(folder: Path) -> None:
    with pytest.raises(NotFound) as caught:
        FileResponse(folder / "missing")
    assert str(folder) not in caught.value.text


def test_a_section_is_all_there_is() -> None:
    section = FileResponse("data.bin", offset=100, length=1000)
    found = section.answer(asking(range="bytes=-10"))
    assert (found.status, found.body, dict(found.headers)["Content-Range"]) == (206, DATA[1090:1100], "bytes 990-999/1000")
    whole, rest = FileResponse("data.bin").answer(asking()), FileResponse("data.bin", offset=199_990).answer(asking())
    assert rest.body == DATA[-10:]
    tags = {dict(each.headers)["ETag"] for each in (found, whole, rest)}
    assert len(tags) == 3


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1), (200_001, None), (199_999, 2)])
def test_a_section_outside_of_the_file(no_leaks: None, offset: int, length: int | None) -> None:
    with pytest.raises(ValueError, match="not within the 200000 bytes"):
        FileResponse("data.bin", offset=offset, length=length)


def stamped(request: Request, proceed: Proceed) -> Response:
    response = proceed(request)
    response.headers += (("X-Stamp", "1"),)
    return response  # type: ignore[no-any-return]


def replaced(request: Request, proceed: Proceed) -> Response:
    response = proceed(request)
    response.body = b"something else"
    return response  # type: ignore[no-any-return]


@http
class Files:
    @get("/file")
    @layers(stamped)
    def file(self) -> Response:
        return FileResponse("data.bin", name="ä.bin")

    @get("/replaced")
    @layers(replaced)
    def replaced(self) -> Response:
        return FileResponse("data.bin")

    @get("/missing")
    def missing(self) -> Response:
        return FileResponse("missing.bin")


def test_downloads_over_the_wire(no_leaks: None, app_factory: AppFactory) -> None:
    with HttpClient(app_factory([Files])) as client:
        found = client.get("/file")
        assert (found.status, found.body == DATA, found.headers["X-Stamp"]) == (200, True, "1")
        assert found.headers["content-disposition"].endswith("UTF-8''%C3%A4.bin")
        tag = found.headers["etag"]
        found = client.get("/file", headers={"If-None-Match": tag})
        assert (found.status, found.body, found.headers["X-Stamp"]) == (304, b"", "1")
        found = client.get("/file", headers={"Range": "bytes=5-100004"})
        assert (found.status, found.body) == (206, DATA[5:100005])
        found = client.get("/file", headers={"Range": "bytes=200000-"})
        assert (found.status, found.headers["content-range"]) == (416, "bytes */200000")
        found = client.request("HEAD", "/file")
        assert (found.status, found.headers["content-length"], found.body) == (200, "200000", b"")
        assert client.get("/replaced").body == b"something else"
        assert client.get("/missing").status == 404
