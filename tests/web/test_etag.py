"""Entity tags made of bodies."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi import Response, get, http, post
from greenimi.app import App
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory
from greenimi.web.etag import etag_layer
from tests.web.asking import asking


def through(response: Response, method: str = "GET", **fields: str) -> Response:
    return etag_layer(asking(method=method, **fields), lambda request: response)


def tag_of(response: Response) -> str | None:
    return dict(response.headers).get("ETag")


def test_equal_bodies_have_equal_tags() -> None:
    tag = tag_of(through(Response("one")))
    assert tag is not None
    assert tag_of(through(Response(b"one"))) == tag != tag_of(through(Response("two")))


@pytest.mark.parametrize(
    "response",
    [
        Response("x", 201),
        Response("x", 404),
        Response(b""),
        Response(iter(["x"])),
        Response("x" * (1 << 20) + "x"),
        Response("x", headers=[("Cache-Control", "private, No-Store")]),
        Response("x", headers=[("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")]),
    ],
)
def test_what_gets_no_tag(response: Response) -> None:
    assert tag_of(through(response)) is None


def test_other_methods_and_own_tags_are_left_alone() -> None:
    assert tag_of(through(Response("x"), "POST")) is None
    assert tag_of(through(Response("x", headers=[("etag", '"mine"')]), if_none_match='"mine"')) is None


def test_a_body_that_the_client_has() -> None:
    first = through(Response("one", headers=[("Vary", "Cookie"), ("Content-Language", "en")]))
    tag = tag_of(first)
    assert tag is not None
    for known in (tag, f"W/{tag}"):
        found = through(Response("one", headers=[("Vary", "Cookie"), ("Content-Language", "en")]), if_none_match=f'"x", {known}')
        assert (found.status, found.body, found.headers) == (304, b"", (("ETag", known), ("Vary", "Cookie")))
    assert through(Response("one"), if_none_match="*").status == 304
    assert through(Response("two"), if_none_match=tag).status == 200


@http
class Things:
    kept = Response("always the same", headers=[("X-Own", "1")])

    @get("/same")
    def same(self) -> dict[str, int]:
        return {"a": 1}

    @get("/kept")
    def one_for_all(self) -> Response:
        return self.kept

    @post("/same")
    def change(self) -> dict[str, int]:
        return {"a": 1}

    @get("/broken")
    def broken(self) -> None:
        raise RuntimeError("no")


def make(app_factory: AppFactory, **settings: Any) -> App:
    return app_factory([Things], {"servers": {"web": {"kind": "http", **settings}}})


def test_over_the_wire(app_factory: AppFactory) -> None:
    with HttpClient(make(app_factory, etag=True)) as client:
        first = client.get("/same")
        found = client.get("/same", headers={"If-None-Match": first.headers["etag"]})
        assert (first.status, found.status, found.body) == (200, 304, b"")
        assert "content-type" not in found.headers
        head = client.request("HEAD", "/same")
        assert (head.status, head.headers["etag"]) == (200, first.headers["etag"])
        assert "etag" not in client.post("/same").headers
        assert client.get("/broken").status == 500
        for _ in range(2):  # one response for all requests stays as it was made
            assert client.get("/kept").headers.get_all("etag") == [client.get("/kept").headers["etag"]]
        assert Things.kept.headers == (("X-Own", "1"),)


def test_without_it_nothing_is_tagged(app_factory: AppFactory) -> None:
    with HttpClient(make(app_factory)) as client:
        assert "etag" not in client.get("/same").headers
