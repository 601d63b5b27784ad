"""The ways from HTTP/1.1 to HTTP/2, as the codec of HTTP/1.1 sees them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http1 import Http1Codec, Http1Limits
from greenimi.codec.http2_begins import Http2Begins
from greenimi.errors import ProtocolError
from greenimi.message import Request
from tests.codec.http2_peer import PREFACE, settings

REST = PREFACE + settings() + b"more"


def codec(**limits: Any) -> Http1Codec:
    return Http1Codec(Http1Limits(**{"http2": True, "h2c": True, **limits}), ResponseHeads(0.0))


def wish(*fields: str) -> bytes:
    return "\r\n".join(["GET /a HTTP/1.1", "Host: x", *fields, "", ""]).encode()


WISH = ("Connection: keep-alive, Upgrade, HTTP2-Settings", "Upgrade: foo, h2c", "HTTP2-Settings: AAMAAABk")


@given(cuts=st.lists(st.integers(0, len(REST)), max_size=8))
def test_the_preface_begins_it(cuts: list[int]) -> None:
    subject = codec()
    found: list[Any] = []
    at = 0
    for cut in [*sorted(cuts), len(REST)]:
        if REST[at:cut]:
            found += subject.receive(REST[at:cut])
        at = max(at, cut)
    assert [type(each) for each in found] == [Http2Begins]
    assert subject.paused
    assert subject.give_up() == REST


def test_nothing_more_is_read_until_it_has_begun() -> None:
    subject = codec()
    subject.receive(PREFACE)
    assert subject.crowded
    assert subject.receive(b"x" * 100_000) == []
    assert subject.give_up() == PREFACE + b"x" * 100_000


@pytest.mark.parametrize("before", [b"\r\n", wish()])
def test_it_is_the_first_thing_on_a_connection(before: bytes) -> None:
    found = codec().receive(before + PREFACE)
    assert isinstance(found[-1], ProtocolError)
    assert found[-1].status == 505


def test_it_can_be_switched_off() -> None:
    (found,) = codec(http2=False).receive(PREFACE)
    assert isinstance(found, ProtocolError)
    assert found.status == 505


def test_a_request_may_ask_for_it() -> None:
    subject = codec()
    (found,) = subject.receive(wish(*WISH) + b"early")
    assert isinstance(found, Http2Begins)
    assert found.request is not None
    assert (found.request.path, found.settings) == ("/a", b"\0\3\0\0\0d")
    assert subject.give_up() == b"early"


@pytest.mark.parametrize(
    "fields",
    [
        ("Connection: Upgrade", *WISH[1:]),
        (WISH[0], "Upgrade: h2", WISH[2]),
        WISH[:2],
        (*WISH, WISH[2]),
        (*WISH[:2], "HTTP2-Settings: AAMAAAB"),
        (*WISH[:2], "HTTP2-Settings: ???"),
    ],
)
def test_what_is_no_such_request_is_any_other(fields: tuple[str, ...]) -> None:
    (found,) = codec().receive(wish(*fields))
    assert isinstance(found, Request)


def test_it_is_not_asked_for_where_conf_does_not_say_so() -> None:
    (found,) = codec(h2c=False).receive(wish(*WISH))
    assert isinstance(found, Request)
