"""Answers to errors: for browsers, for everybody else, while debugging and otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenimi import Request, Response, get, http, on_error, on_missing
from greenimi.app import App
from greenimi.errors import ConfigError, Refused
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class SoldOut(Exception):
    pass


@http
class Pages:
    @get("/broken/{name}")
    def broken(self, name: str) -> None:
        password = "hunter2"
        raise RuntimeError(f"the secret is {len(password)}{name}")

    @get("/refused")
    def refused(self, name: str = "you") -> None:
        raise Refused(f"not for {name}", headers=[("X-Own", "1")])

    @get("/sold-out")
    def sold_out(self) -> None:
        raise SoldOut


def make(app_factory: AppFactory, *more: Any, debug: bool = False, folder: str = "") -> App:
    conf = {"servers": {"web": {"kind": "http", "error_pages": {"folder": folder}}}, "app": {"debug": debug}}
    return app_factory([Pages, *more], conf)


def test_debugging_shows_a_browser_everything_but_secrets(app_factory: AppFactory) -> None:
    with HttpClient(make(app_factory, debug=True)) as web:
        page = web.get("/broken/<b>?token=hunter2", headers={**BROWSER, "Authorization": "Bearer hunter2"})
    assert (page.status, page.headers["content-type"]) == (500, "text/html; charset=utf-8")
    assert "script" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (page.headers["cache-control"], page.headers["x-content-type-options"]) == ("no-store", "nosniff")
    for text in (
        "RuntimeError: the secret is 7&lt;b&gt;",
        "raise RuntimeError(",
        "Pages.broken",
        "test_errorpage.py",
        "/broken/&lt;b&gt;?token=***",
    ):
        assert text in page.text
    assert "Bearer hunter2" not in page.text
    assert "token=hunter2" not in page.text
    assert "<td>password</td><td>***</td>" in page.text
    assert "<b>" not in page.text


def test_debugging_shows_everybody_else_the_same_as_json(app_factory: AppFactory) -> None:
    with HttpClient(make(app_factory, debug=True)) as web:
        for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
            problem = web.get("/broken/x", headers=accept)
            assert (problem.status, problem.headers["content-type"]) == (500, "application/problem+json")
            found = problem.json()
            assert found["detail"] == "RuntimeError: the secret is 7x"
            frame = found["debug"]["errors"][0]["stack"][0]
            assert (frame["function"], frame["locals"]["password"]) == ("Pages.broken", "***")
            assert found["debug"]["request"]["target"] == "/broken/x"
        assert "debug" not in web.get("/refused").json()


def test_production_hides_all(app_factory: AppFactory) -> None:
    with HttpClient(make(app_factory)) as web:
        for headers in (BROWSER, {}):
            problem = web.get("/broken/x", headers=headers)
            assert problem.status == 500
            assert problem.json() == {"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": "the server failed"}


@pytest.mark.parametrize("debug", [True, False])
def test_handlers_of_ones_own_replace_both(app_factory: AppFactory, debug: bool) -> None:
    @on_error(SoldOut)
    def sold_out(error: SoldOut, request: Request) -> Response:
        return Response("sold out", 410)

    @on_missing()
    def missing(request: Request) -> Response:
        return Response("lost?", 404)

    with HttpClient(make(app_factory, sold_out, missing, debug=debug)) as web:
        for path, status, text in (("/sold-out", 410, "sold out"), ("/nowhere", 404, "lost?")):
            found = web.get(path, headers=BROWSER)
            assert (found.status, found.text) == (status, text)


def test_pages_by_status(app_factory: AppFactory, tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text("<h1>$status $title</h1><p>$detail</p><i>$unknown 5 $</i>")
    (tmp_path / "4xx.html").write_text("<h1>4xx: $status</h1>$detail")
    (tmp_path / "500.html").write_text("<h1>sorry</h1>$detail")
    (tmp_path / "notes.txt").write_text("none of them")
    with HttpClient(make(app_factory, folder=str(tmp_path))) as web:
        missing = web.get("/<script>", headers=BROWSER)
        assert (missing.status, missing.headers["content-type"], missing.headers["vary"]) == (404, "text/html; charset=utf-8", "Accept")
        assert missing.text == "<h1>404 Not Found</h1><p>nothing at /&lt;script&gt;</p><i>$unknown 5 $</i>"
        refused = web.get("/refused?name=<b>", headers=BROWSER)
        assert (refused.status, refused.headers["x-own"], refused.text) == (403, "1", "<h1>4xx: 403</h1>not for &lt;b&gt;")
        assert web.get("/broken/x", headers=BROWSER).text == "<h1>sorry</h1>the server failed"
        assert web.get("/refused").json()["status"] == 403
        assert web.get("/refused").headers["vary"] == "Accept"  # or a cache would show it to browsers
        assert web.get("/refused", headers={"Accept": "text/html;q=0.1, application/problem+json"}).json()["status"] == 403
    with HttpClient(make(app_factory, folder=str(tmp_path), debug=True)) as web:
        assert "RuntimeError" in web.get("/broken/x", headers=BROWSER).text


def test_a_folder_that_is_not_there(app_factory: AppFactory) -> None:
    with pytest.raises(ConfigError, match=r"servers\.web\.error_pages: there is no folder /nowhere"):
        make(app_factory, folder="/nowhere")


def test_a_folder_without_pages(app_factory: AppFactory, tmp_path: Path) -> None:
    (tmp_path / "404.htm").touch()
    with pytest.raises(ConfigError, match=r"there is no page in the folder .*\n  hint: call them by the status: 404\.html"):
        make(app_factory, folder=str(tmp_path))
