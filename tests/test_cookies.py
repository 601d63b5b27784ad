"""Cookies: read as browsers send them, written so that every browser reads the same."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.cookies import parse_cookies, render_cookie, render_deletion
from greenimi.message import Response


@pytest.mark.parametrize(
    ("field", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2;", {"a": "1", "b": "2"}),
        ("a=1; a=2", {"a": "1"}),
        ('a="x y"; b="', {"a": "x y", "b": '"'}),
        ("a=b=c==", {"a": "b=c=="}),
        ("a=", {"a": ""}),
        ("nothing; =nameless; ; a=1", {"a": "1"}),
        (" a\t= 1 ", {"a": "1"}),
        ("A=1; a=2", {"A": "1", "a": "2"}),
        ('a={"x":1,"y":[2]}', {"a": '{"x":1,"y":[2]}'}),
    ],
)
def test_what_browsers_send_is_read(field: str, cookies: dict[str, str]) -> None:
    assert parse_cookies(field) == cookies


@given(st.text())
def test_any_field_can_be_read(field: str) -> None:
    assert all(name for name in parse_cookies(field))


def test_a_cookie_is_careful_by_default() -> None:
    assert render_cookie("a", "1") == "a=1; Path=/; Secure; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("attributes", "rendered"),
    [
        ({"max_age": 60.7}, "Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ({"max_age": -5}, "Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ({"domain": "shop.example", "path": "/x"}, "Domain=shop.example; Path=/x; Secure; HttpOnly; SameSite=Lax"),
        ({"secure": False, "http_only": False, "same_site": "strict"}, "Path=/; SameSite=Strict"),
        ({"same_site": "none", "partitioned": True}, "Path=/; Secure; HttpOnly; SameSite=None; Partitioned"),
        (
            {"expires": datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))},
            "Expires=Tue, 01 Jan 2030 10:00:00 GMT; Path=/; Secure; HttpOnly; SameSite=Lax",
        ),
    ],
)
def test_attributes(attributes: dict[str, Any], rendered: str) -> None:
    assert render_cookie("a", "1", **attributes) == f"a=1; {rendered}"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "a=b"}, "name"),
        ({"name": "a\r\nX: 1"}, "name"),
        ({"name": "ä"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"value": "a b"}, "characters"),
        ({"value": "a;b"}, "characters"),
        ({"value": 'a"b'}, "characters"),
        ({"value": "a,b"}, "characters"),
        ({"value": "a\\b"}, "characters"),
        ({"value": "a\r\nSet-Cookie: b=1"}, "characters"),
        ({"value": "a\n"}, "characters"),
        ({"value": "ä"}, "characters"),
        ({"value": "x" * 4096}, "4096 bytes"),
        ({"path": "x"}, "path"),
        ({"path": "/;secure"}, "path"),
        ({"path": "/\r\nX: 1"}, "path"),
        ({"path": "/" + "x" * 1024}, "path"),
        ({"domain": ".example"}, "domain"),
        ({"domain": "a;b"}, "domain"),
        ({"domain": "a\r\nX: 1"}, "domain"),
        ({"same_site": "Lax; x"}, "same_site"),
        ({"same_site": "none", "secure": False}, "need Secure"),
        ({"partitioned": True, "secure": False}, "need Secure"),
        ({"expires": datetime(2030, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is the mistake
        ({"name": "__Secure-a", "secure": False}, "must be secure"),
        ({"name": "__Host-a", "secure": False}, "must be secure"),
        ({"name": "__Host-a", "path": "/x"}, "no domain"),
        ({"name": "__HOST-a", "domain": "shop.example"}, "no domain"),
    ],
)
def test_what_a_browser_would_refuse_or_misread_is_not_written(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        render_cookie(**{"name": "a", "value": "1", **arguments})


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
def test_nothing_breaks_out_of_its_place(name: str, value: str, domain: str, path: str) -> None:
    try:
        line = render_cookie(name, value, domain=domain, path=path)
    except ValueError:
        return
    assert line.isascii()
    assert line.isprintable()
    assert parse_cookies(line.partition(";")[0]) == {name: value}
    assert line.count(";") == 4 + bool(domain)


def test_a_deletion_is_what_browsers_and_prefixes_want() -> None:
    rendered = "__Host-a=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; Secure; HttpOnly; SameSite=Lax"
    assert render_deletion("__Host-a") == rendered
    assert "Domain=shop.example; Path=/x" in render_deletion("a", domain="shop.example", path="/x", secure=False)


def test_a_response_takes_cookies() -> None:
    response = Response("x", headers=[("X-A", "1")])
    response.set_cookie("a", "1", max_age=5)
    response.delete_cookie("b", path="/x")
    assert response.headers[0] == ("X-A", "1")
    assert response.headers[1] == ("Set-Cookie", render_cookie("a", "1", max_age=5))
    assert response.headers[2] == ("Set-Cookie", render_deletion("b", path="/x"))
    with pytest.raises(ValueError, match="characters"):
        response.set_cookie("c", "a b")
    assert len(response.headers) == 3
