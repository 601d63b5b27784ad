"""Bodies of requests as values."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from greenimi.container import Container, Scope
from greenimi.errors import BadMessage, Refusal
from greenimi.message import Body, Request
from greenimi.web.request import payload_of

FORM = "application/x-www-form-urlencoded"


def request(kind: str, raw: bytes) -> Request:
    stream = Body()
    if raw:
        stream.feed(raw)
    stream.finish()
    field = f"Content-Type: {kind}\r\n" if kind else ""
    return Request("POST", "/", "/", "", f"POST / HTTP/1.1\r\nHost: x\r\n{field}", stream=stream)


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("application/json", b'{"a": [1, "\xc3\xa4"]}', {"a": [1, "ä"]}),
        ("Application/JSON; charset=utf-8", b"1", 1),
        ("application/problem+json", b"{}", {}),
        ("application/msgpack", msgspec.msgpack.encode({"a": b"x"}), {"a": b"x"}),
        ("application/vnd.msgpack", b"\x01", 1),
        ("application/x-msgpack", b"\x01", 1),
        (FORM, b"a=1&b=x+y&c=&a=%C3%A4&a=3", {"a": ["1", "ä", "3"], "b": "x y", "c": ""}),
        ("text/plain", b"\xc3\xa4", "ä"),
        ("text/csv; header=present", b"a,b", "a,b"),
        ("application/octet-stream", b"\x00\xff", b"\x00\xff"),
        ("", b"{}", b"{}"),
    ],
)
def test_the_content_type_says_what_a_body_means(kind: str, raw: bytes, value: Any) -> None:
    assert payload_of(request(kind, raw)) == value


def test_only_a_form_is_marked_as_one() -> None:
    form, json = request(FORM, b"a=1"), request("application/json", b"{}")
    payload_of(form)
    payload_of(json)
    assert (form.form, json.form) == (True, False)


def test_it_is_decoded_once() -> None:
    found = request("application/json", b"{}")
    assert payload_of(found) is payload_of(found)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("application/json", b"{"),
        ("application/json", b""),
        ("application/json", b"NaN"),
        ("application/json", b'"\xff"'),
        ("application/msgpack", b"\xc1"),
        ("text/plain", b"\xff"),
        (FORM, b"a=\xff"),
        (FORM, b"a=%FF"),
        (FORM, b"a=1&" * 1001),
    ],
)
def test_what_cannot_be_decoded_is_refused(kind: str, raw: bytes) -> None:
    with pytest.raises(BadMessage, match=r"^the (body|payload) is not valid \S+: .") as caught:
        payload_of(request(kind, raw))
    assert caught.value.status == 400


@pytest.mark.parametrize(("kind", "raw"), [("application/json", b"[" * 100_000), ("application/msgpack", b"\x91" * 100_000)])
def test_a_body_nested_too_deeply_is_refused_too(kind: str, raw: bytes) -> None:
    with pytest.raises(BadMessage):
        payload_of(request(kind, raw))


def test_a_multipart_form_is_a_dict_of_texts_and_files() -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="t.txt"\r\n\r\nabc\r\n--x--'
    )
    found = request("multipart/form-data; boundary=x", body)
    with Scope(Container("test")):
        values = payload_of(found)
        assert values is payload_of(found)
        assert found.form
        assert values["a"] == "1"
        assert (values["f"].filename, values["f"].read()) == ("t.txt", b"abc")


def test_other_multipart_bodies_are_not_taken() -> None:
    with pytest.raises(Refusal, match=r"multipart/mixed") as caught:
        payload_of(request("multipart/mixed; boundary=x", b"--x--"))
    assert caught.value.status == 415
