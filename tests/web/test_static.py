"""Folders of files at a path of a server."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greenimi import get, http
from greenimi.app import App
from greenimi.errors import ConfigError, MethodNotAllowed, NotFound, Refused
from greenimi.message import Response
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.web.settings import StaticSettings
from greenimi.web.static import StaticFiles
from tests.web.asking import asking

LARGE = os.urandom(1_000_000)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub/empty").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>home</h1>")
    (folder / "sub/index.html").write_text("<h1>sub</h1>")
    (folder / "style.css").write_text("a{}")
    (folder / "large.bin").write_bytes(LARGE)
    (folder / "äöü ☃.txt").write_text("snow")
    (folder / ".env").write_text("SECRET=1")
    (folder / ".well-known").mkdir()
    (folder / ".well-known/security.txt").write_text("Contact: x")
    (folder / "link").symlink_to("style.css")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret.txt")
    return folder


def files(site: Path, prefix: str = "/files", **settings: Any) -> StaticFiles:
    return StaticFiles(prefix, StaticSettings(str(site), **settings))


def field(response: Response, name: str) -> str | None:
    return next((value for key, value in response.headers if key.lower() == name.lower()), None)


def test_a_file(site: Path) -> None:
    found = files(site)(asking("/files/style.css"))
    assert (found.status, found.body, found.content_type) == (200, b"a{}", "text/css; charset=utf-8")
    assert field(found, "X-Content-Type-Options") == "nosniff"
    assert field(found, "Cache-Control") == "no-cache"
    assert files(site, prefix="")(asking("/style.css")).body == b"a{}"


@pytest.mark.parametrize(
    "path",
    [
        "/files/../secret.txt",
        "/files/sub/../../secret.txt",
        "/files//secret.txt",
        "/files/..\\secret.txt",
        "/files/%2e%2e/secret.txt",  # once decoded already: this is a name
        "/files/style.css\0",
        "/files/style.css/",
        "/files/style.css/x",
        "/files/missing",
        "/files/out",
        "/files/link",
        "/files/.env",
        "/files/.well-known/security.txt",
        "/files/sub/empty/",
        "/files/./style.css",
        "/files/" + "x" * 300,
    ],
)
def test_what_is_not_found(no_leaks: None, site: Path, path: str) -> None:
    with pytest.raises(NotFound):
        files(site)(asking(path))


def test_options_open_what_is_closed(site: Path) -> None:
    assert files(site, dotfiles=True)(asking("/files/.well-known/security.txt")).body == b"Contact: x"
    linked = files(site, symlinks=True)
    assert linked(asking("/files/link")).body == b"a{}"
    for path in ("/files/out", "/files/.env"):
        with pytest.raises(NotFound):
            linked(asking(path))


def test_a_folder_shows_its_index(site: Path) -> None:
    assert files(site)(asking("/files/")).body == b"<h1>home</h1>"
    assert files(site)(asking("/files/sub/")).body == b"<h1>sub</h1>"
    assert files(site, index=["none.html", "style.css"])(asking("/files/")).content_type == "text/css; charset=utf-8"
    with pytest.raises(NotFound):
        files(site, index=[])(asking("/files/sub/"))
    with pytest.raises(NotFound):
        files(site, index=[])(asking("/files/sub"))


@pytest.mark.parametrize(
    ("prefix", "path", "query", "location"),
    [
        ("/files", "/files/sub", "", "./sub/"),
        ("/files", "/files/sub", "a=b", "./sub/?a=b"),
        ("/files", "/files", "", "./files/"),
        ("", "/sub", "", "./sub/"),
        ("/files", "/files/a:b ä", "", "./a%3Ab%20%C3%A4/"),
    ],
)
def test_a_folder_without_its_slash(site: Path, prefix: str, path: str, query: str, location: str) -> None:
    (site / "a:b ä").mkdir()
    found = files(site, prefix)(asking(path, query=query))
    assert (found.status, field(found, "Location")) == (308, location)


def test_no_other_host_is_reached_by_a_folder(site: Path) -> None:
    (site / "evil.example").mkdir()
    for path in ("//evil.example", "//evil.example/..", "/\\evil.example"):
        with pytest.raises(NotFound):
            files(site, "")(asking(path))


def test_methods(site: Path) -> None:
    found = files(site)(asking("/files/style.css", "OPTIONS"))
    assert (found.status, field(found, "Allow")) == (204, "GET, HEAD, OPTIONS")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        with pytest.raises(MethodNotAllowed) as caught:
            files(site)(asking("/files/style.css", method))
        assert caught.value.allow == ("GET", "HEAD", "OPTIONS")


def test_what_clients_may_keep(site: Path) -> None:
    found = files(site, max_age=60)(asking("/files/style.css"))
    assert field(found, "Cache-Control") == "max-age=60"
    found = files(site, max_age=60, immutable=True, headers={"X-More": "1"})(asking("/files/style.css"))
    assert (field(found, "Cache-Control"), field(found, "X-More")) == ("max-age=60, immutable", "1")


def test_own_content_types(site: Path) -> None:
    (site / "log.LOG").write_text("x")
    served = files(site, types={".log": "text/plain", ".css": "text/x-css; charset=latin-1"})
    assert served(asking("/files/log.LOG")).content_type == "text/plain; charset=utf-8"
    assert served(asking("/files/style.css")).content_type == "text/x-css; charset=latin-1"


@pytest.mark.parametrize(
    ("accepts", "coding"),
    [
        ("gzip", "gzip"),
        ("br, gzip", "br"),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("*", "br"),
        ("zstd", None),
        ("gzip;q=0", None),
        ("*;q=0, gzip", "gzip"),
        ("identity", None),
        ("", None),
    ],
)
def test_siblings_that_are_compressed_already(site: Path, accepts: str, coding: str | None) -> None:
    (site / "style.css.gz").write_bytes(gzip.compress(b"a{}"))
    (site / "style.css.br").write_bytes(b"brotli")
    served = files(site, precompressed=True)
    plain = served(asking("/files/style.css"))
    found = served(asking("/files/style.css", accept_encoding=accepts))
    assert (found.content_type, field(found, "Vary")) == ("text/css; charset=utf-8", "Accept-Encoding")
    assert field(found, "Content-Encoding") == coding
    assert (field(found, "ETag") == field(plain, "ETag")) == (coding is None)
    bodies = {"gzip": (site / "style.css.gz").read_bytes(), "br": b"brotli", None: b"a{}"}
    assert found.body == bodies[coding]
    assert field(files(site)(asking("/files/style.css", accept_encoding=accepts)), "Vary") is None
    index = served(asking("/files/", accept_encoding=accepts))
    assert (index.body, field(index, "Vary")) == (b"<h1>home</h1>", "Accept-Encoding")


def test_a_sibling_does_not_show_what_is_hidden(site: Path) -> None:
    (site / "secret.css.gz").symlink_to(site.parent / "secret.txt")
    (site / "secret.css").write_text("plain")
    assert files(site, precompressed=True)(asking("/files/secret.css", accept_encoding="gzip")).body == b"plain"
    with pytest.raises(NotFound):
        files(site, precompressed=True)(asking("/files/only.css", accept_encoding="gzip"))


def test_what_may_not_be_read(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **options: object) -> int:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(Refused):
        files(site)(asking("/files/style.css"))


def test_a_folder_that_is_not_there_is_found_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder .*/none"):
        files(tmp_path / "none")


# -- over the wire -------------------------------------------------------------------------------------------------
@http("/files")
class Routes:
    @get("/made")
    def made(self) -> str:
        return "made"


def conf(site: Path, **settings: Any) -> dict[str, Any]:
    return {"servers": {"web": {"static": {"/files/": {"folder": str(site), **settings}}}}}


@pytest.fixture
def app(app_factory: AppFactory, site: Path) -> App:
    return app_factory([Routes], conf(site))


def test_routes_come_before_files(app: App, site: Path) -> None:
    (site / "made").write_text("a file")
    with HttpClient(app) as client:
        assert client.get("/files/made").text == "made"
        assert client.get("/files/style.css").text == "a{}"
        assert client.get("/other").status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/files/%C3%A4%C3%B6%C3%BC%20%E2%98%83.txt", 200),
        ("/files/../secret.txt", 404),
        ("/files/%2e%2e/secret.txt", 404),
        ("/files/%2e%2e%2fsecret.txt", 404),
        ("/files/..%2fsecret.txt", 404),
        ("/files/%252e%252e%252fsecret.txt", 404),
        ("/files/..%5csecret.txt", 404),
        ("/files/style.css%00", 404),
        ("/files/%00", 404),
        ("/files/out", 404),
        ("/files/.env", 404),
        ("/files/%2eenv", 404),
        ("/files/%ff", 400),
        ("/files/%c0%ae%c0%ae/secret.txt", 400),
        ("/files/%ed%a0%80", 400),
    ],
)
def test_paths_as_they_come_over_the_wire(app: App, path: str, status: int) -> None:
    with HttpClient(app) as client:
        found = client.get(path)
        assert (found.status, b"secret" in found.body and status == 200) == (status, False)
        assert client.get("/files/style.css").text == "a{}"


def test_large_files_conditions_and_ranges(no_leaks: None, app_factory: AppFactory, site: Path) -> None:
    with HttpClient(app_factory([], conf(site))) as client:
        found = client.get("/files/large.bin")
        assert (found.status, found.body == LARGE, found.headers["content-length"]) == (200, True, "1000000")
        tag = found.headers["etag"]
        assert client.get("/files/large.bin", headers={"If-None-Match": tag}).status == 304
        assert client.get("/files/large.bin", headers={"If-Match": '"x"'}).status == 412
        found = client.get("/files/large.bin", headers={"Range": "bytes=1000-500999", "If-Range": tag})
        assert (found.status, found.body == LARGE[1000:501000]) == (206, True)
        found = client.get("/files/large.bin", headers={"Range": "bytes=0-99999,-100000"})
        assert (found.status, len(found.body)) == (206, int(found.headers["content-length"]))
        assert LARGE[:100000] in found.body
        assert LARGE[-100000:] in found.body
        found = client.request("HEAD", "/files/large.bin")
        assert (found.status, found.headers["content-length"], found.body) == (200, "1000000", b"")
        assert client.post("/files/large.bin").status == 405


@pytest.mark.live
def test_curl_takes_files_and_ranges(serve: Serve, site: Path) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    host, port = serve([], conf(site, dotfiles=False)).addresses["web"]

    def got(path: str, *options: str) -> bytes:
        command = [curl, "-s", "--max-time", "20", "--path-as-is", *options, f"http://{host}:{port}{path}"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    assert got("/files/large.bin") == LARGE
    assert got("/files/large.bin", "-r", "10-19") == LARGE[10:20]
    assert got("/files/large.bin", "-r", "-5") == LARGE[-5:]
    assert got("/files/sub", "-L") == b"<h1>sub</h1>"
    assert b'"status":404' in got("/files/../secret.txt")
    assert got("/files/style.css", "-z", "Tue, 01 Jan 2030 00:00:00 GMT", "-w", "%{http_code}") == b"304"
