"""Redirects, and the targets that would lead astray."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.errors import BadMessage
from greenimi.located import Told
from greenimi.web.redirects import redirect
from tests.web.asking import asking


@pytest.mark.parametrize(
    ("to", "location"),
    [
        ("/orders?page=2#top", "/orders?page=2#top"),
        ("orders/1", "orders/1"),
        ("../up", "../up"),
        ("?page=2", "?page=2"),
        ("/a:b", "/a:b"),
        ("/ä b", "/%C3%A4%20b"),
        ("/%C3%A4", "/%C3%A4"),
        ("/x?next=http://other.example/", "/x?next=http://other.example/"),
    ],
)
def test_paths(to: str, location: str) -> None:
    found = redirect(to)
    assert (found.status, found.body, found.headers) == (303, b"", (("Location", location),))


@pytest.mark.parametrize(
    "to",
    [
        "",
        "http://other.example/",
        "HTTPS://other.example",
        "//other.example/",
        "///other.example/",
        "\\\\other.example",
        "/\\other.example",
        "/\t/other.example",
        "\t//other.example",
        " //other.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://other.example/",
        "http:other.example",
        "http:///other.example",
        "mailto:a@b.example",
        "a:b",
        "http://[::1",
        "/x\r\nSet-Cookie: a=b",
        "/x\nx",
        "/x\0",
        "/x\x7f",
    ],
)
def test_what_may_lead_elsewhere(to: str) -> None:
    with pytest.raises(BadMessage, match="no redirect leads to"):
        redirect(to, request=asking())


def test_hosts_that_are_named() -> None:
    assert redirect("https://Other.example/x", hosts=["other.example"]).headers == (("Location", "https://Other.example/x"),)
    for to in ("https://other.example:8443/", "https://other.example.evil.example/", "https://user@other.example/", "ftp://other.example/"):
        with pytest.raises(BadMessage):
            redirect(to, hosts=["other.example"])
    assert redirect("https://other.example:8443/", hosts=["other.example:8443"]).status == 303


def test_the_host_that_the_request_came_to() -> None:
    assert redirect("http://LOCALHOST/x", request=asking()).status == 303
    with pytest.raises(BadMessage):
        redirect("http://localhost/x")
    behind = asking()
    behind.told = Told("192.0.2.1", "https", "shop.example")
    assert redirect("https://shop.example/x", request=behind).status == 303
    with pytest.raises(BadMessage):
        redirect("http://localhost/x", request=behind)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_statuses(status: int) -> None:
    assert redirect("/", status, headers=[("Cache-Control", "no-store")]).status == status


@pytest.mark.parametrize("status", [200, 300, 304, 400])
def test_other_statuses(status: int) -> None:
    with pytest.raises(ValueError, match="is no redirect"):
        redirect("/", status)


@given(st.text(max_size=40))
def test_a_location_is_always_one_line_of_ascii(to: str) -> None:
    try:
        found = redirect(to)
    except BadMessage:
        return
    (_, location), *_ = found.headers
    assert location.isascii()
    assert location.isprintable()
    assert not location.startswith("//")
    assert " " not in location
