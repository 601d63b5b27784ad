"""Heads of HTTP/2: requests from their fields, responses to blocks that hpack reads."""

from __future__ import annotations

import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.http2_frames import StreamFault
from greenimi.codec.http2_heads import Http2Limits, encode, encode_fields, encode_length, encode_status, request_head, trailer_fields
from greenimi.errors import ProtocolError
from tests.codec.http2_peer import request

LIMITS = Http2Limits()


def raw(fields: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


def test_a_head_looks_like_one_of_http_1() -> None:
    fields = request("POST", "/a%20b?c=d", ("cookie", "x=1"), ("accept", "*/*"), ("cookie", "y=2"), ("content-length", "5"))
    head = request_head(raw(fields), LIMITS)
    assert head.text == ("POST /a%20b?c=d HTTP/2\r\nhost: x\r\naccept: */*\r\ncontent-length: 5\r\ncookie: x=1; y=2\r\n\r\n")
    assert (head.method, head.target, head.path, head.query) == ("POST", "/a%20b?c=d", "/a b", "c=d")
    assert (head.length, head.expects, head.protocol) == (5, False, "")


def test_connect() -> None:
    head = request_head(raw([(":method", "CONNECT"), (":authority", "x:443")]), LIMITS)
    assert (head.target, head.path) == ("x:443", "x:443")
    head = request_head(raw([*request("CONNECT", "/chat"), (":protocol", "websocket")]), LIMITS)
    assert (head.path, head.protocol) == ("/chat", "websocket")


def test_a_host_may_be_left_out_where_conf_says_so() -> None:
    fields = raw([(":method", "GET"), (":scheme", "http"), (":path", "/")])
    with pytest.raises(ProtocolError, match="Host"):
        request_head(fields, LIMITS)
    assert request_head(fields, Http2Limits(host=False)).text == "GET / HTTP/2\r\n\r\n"


@given(st.text(st.characters(max_codepoint=255), max_size=20), st.text(st.characters(max_codepoint=255), max_size=20))
def test_no_field_becomes_two(name: str, value: str) -> None:
    try:
        head = request_head(raw([*request(), (name, value)]), LIMITS)
    except (StreamFault, ProtocolError):
        return
    assert head.text.count("\r\n") == 4 - (name == "host")
    assert head.text.count("\n") == head.text.count("\r") == head.text.count("\r\n")


def test_trailers_that_would_change_what_was_acted_on_are_left_out() -> None:
    assert trailer_fields(raw([("x-sum", "1"), ("authorization", "me"), ("content-type", "text/html")])) == [("x-sum", "1")]
    for name, value in (("host", "y"), ("x", "a\r\nb"), (":path", "/"), ("te", "trailers")):
        with pytest.raises(StreamFault):
            trailer_fields(raw([(name, value)]))


def read(decoder: Decoder, block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


@given(st.lists(st.tuples(st.from_regex(r"[a-z-]{1,200}", fullmatch=True), st.from_regex(r"([!-~]{1,200})?", fullmatch=True))))
def test_hpack_reads_what_we_encode(fields: list[tuple[str, str]]) -> None:
    decoder = Decoder(1 << 20)
    assert read(decoder, encode(fields)) == fields
    assert not decoder.header_table.dynamic_entries


def test_a_response() -> None:
    block = encode_status(404) + encode_fields([("X-A", " b "), ("Connection", "close"), ("Content-Length", "7")]) + encode_length(1234567)
    assert read(Decoder(), block) == [(":status", "404"), ("x-a", "b"), ("content-length", "1234567")]


@pytest.mark.parametrize("field", [("a b", "c"), ("a", "b\nc"), ("a", "\0")])
def test_fields_that_cannot_be_sent(field: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="response field"):
        encode_fields([field])
