"""greenimi.js at a path of a server."""

from __future__ import annotations

from pathlib import Path

import pytest

import greenimi.hub
from greenimi import get, http
from greenimi.errors import ConfigError, MethodNotAllowed, NotFound, Refusal
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web.client_script import ClientScript
from tests.web.asking import asking

FILE = Path(greenimi.hub.__path__[0], "page/greenimi.js")


def test_the_script_and_nothing_else() -> None:
    script = ClientScript("/js/greenimi.js")
    found = script(asking("/js/greenimi.js"))
    fields = dict(found.headers)
    assert (found.status, found.body, found.content_type) == (200, FILE.read_bytes(), "text/javascript; charset=utf-8")
    assert (fields["Cache-Control"], fields["X-Content-Type-Options"]) == ("no-cache", "nosniff")
    again = script(asking("/js/greenimi.js", if_none_match=fields["ETag"]))
    assert (again.status, again.body, dict(again.headers)["ETag"]) == (304, b"", fields["ETag"])
    with pytest.raises(Refusal) as caught:
        script(asking("/js/greenimi.js", if_match='"other"'))
    assert caught.value.status == 412
    with pytest.raises(NotFound):
        script(asking("/js/greenimi.js/more"))
    with pytest.raises(MethodNotAllowed):
        script(asking("/js/greenimi.js", method="POST"))
    assert dict(script(asking("/js/greenimi.js", method="OPTIONS")).headers) == {"Allow": "GET, HEAD, OPTIONS"}


@http
class Home:
    @get("/")
    def home(self) -> str:
        return "home"


def test_a_server_has_it_where_conf_says_so(app_factory: AppFactory) -> None:
    app = app_factory([Home], {"servers": {"web": {"client": "/greenimi.js"}, "other": {}}})
    with HttpClient(app) as client:
        found = client.get("/greenimi.js")
        assert (found.status, found.headers["content-type"], found.body) == (200, "text/javascript; charset=utf-8", FILE.read_bytes())
        assert client.request("HEAD", "/greenimi.js").headers["content-length"] == str(FILE.stat().st_size)
        assert client.get("/greenimi.js/").status == 404
        assert client.get("/").text == "home"
    with HttpClient(app, "other") as client:
        assert client.get("/greenimi.js").status == 404


@pytest.mark.parametrize(("kind", "path"), [("http", "greenimi.js"), ("http", "/js/"), ("tcp", "/greenimi.js")])
def test_a_mistake_in_conf_is_named(app_factory: AppFactory, kind: str, path: str) -> None:
    with pytest.raises(ConfigError, match=r"servers\.web\.client: "):
        app_factory([], {"servers": {"web": {"kind": kind, "client": path}}})
