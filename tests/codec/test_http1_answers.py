"""HTTP/1.1 responses: framed for the request they answer, and never able to break out of their lines."""

from __future__ import annotations

import pytest

from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http1 import Http1Codec, Http1Limits
from greenimi.message import Request, Response

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def request_for(head: bytes) -> tuple[Http1Codec, Request]:
    subject = Http1Codec(Http1Limits(), ResponseHeads(0.0))
    (request,) = subject.receive(head)
    assert isinstance(request, Request)
    return subject, request


def test_a_plain_answer() -> None:
    subject, request = request_for(GET)
    subject.respond(request, Response(b"hi", 200, "text/plain"))
    date = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
    assert subject.outgoing() == b"HTTP/1.1 200 OK\r\n" + date + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
    assert not subject.closing


@pytest.mark.parametrize(
    ("head", "status", "present", "absent"),
    [
        (b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"Content-Length: 2", b"hi"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 204, b"HTTP/1.1 204", b"Content-Length"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200, b"Connection: close", b"keep-alive"),
        (b"GET / HTTP/1.0\r\n\r\n", 200, b"Connection: close", b"keep-alive"),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, b"Connection: keep-alive", b"close"),
    ],
)
def test_answers_by_kind_of_request(head: bytes, status: int, present: bytes, absent: bytes) -> None:
    subject, request = request_for(head)
    subject.respond(request, Response(b"hi", status))
    sent = subject.outgoing()
    assert present in sent
    assert absent not in sent
    assert subject.closing == (b"Connection: close" in sent)


def test_a_body_in_parts() -> None:
    subject, request = request_for(GET)
    assert subject.begin(request, Response(iter(()), 200))
    subject.part(b"hello")
    subject.part(b"")
    subject.finish(request, [("X-Sum", "1")])
    head, _, body = subject.outgoing().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    assert body == b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"


def test_a_body_in_parts_for_http_1_0_ends_with_the_connection() -> None:
    subject, request = request_for(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert subject.begin(request, Response(iter(()), 200))
    subject.part(b"hello")
    before = subject.closing
    subject.finish(request)
    assert (before, subject.closing) == (False, True)
    assert subject.outgoing().endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("field", [("X", "a\r\nSet-Cookie: b"), ("X\r\nY", "a"), ("X", "a\x00"), ("", "a"), ("X Y", "a")])
def test_fields_cannot_break_out_of_their_line(field: tuple[str, str]) -> None:
    subject, request = request_for(GET)
    with pytest.raises(ValueError, match="response field"):
        subject.respond(request, Response(b"", headers=[field]))
    assert subject.outgoing() == b""


def test_a_body_longer_than_it_said_is_cut_off() -> None:
    subject, request = request_for(GET)
    assert subject.begin(request, Response(iter(()), 200, headers=[("Content-Length", "3")]))
    subject.part(b"ab")
    with pytest.raises(ValueError, match="longer than its Content-Length"):
        subject.part(b"cd")
    assert subject.outgoing().endswith(b"\r\n\r\nab")


def test_a_body_shorter_than_it_said_ends_the_connection() -> None:
    subject, request = request_for(GET)
    assert subject.begin(request, Response(iter(()), 200, headers=[("Content-Length", "3")]))
    subject.part(b"ab")
    subject.finish(request)
    assert subject.closing


def test_no_content_length_with_204_and_one_with_205() -> None:
    subject, request = request_for(GET)
    subject.respond(request, Response(b"", 204, headers=[("Content-Length", "5")]))
    subject.respond(request, Response(b"", 205))
    none, _, reset = subject.outgoing().partition(b"HTTP/1.1 205")
    assert b"Content-Length" not in none
    assert b"Content-Length: 0" in reset


def test_the_wish_for_another_protocol_is_ignored_where_there_is_a_body() -> None:
    """llhttp would take the body for what comes after the switch, and so for the next request."""
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
    hidden = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
    subject = Http1Codec(Http1Limits(), ResponseHeads(0.0))
    (request,) = subject.receive(head + b"Content-Length: %d\r\n\r\n" % len(hidden) + hidden)
    assert isinstance(request, Request)
    assert (request.upgrade, request.body()) == (False, hidden)
    (request,) = subject.receive(head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(hidden), hidden))
    assert isinstance(request, Request)
    assert (request.upgrade, request.body()) == (False, hidden)


def test_an_answer_that_has_begun_gets_no_second_one() -> None:
    """A layer that fails behind a streamed answer is turned into a 500: too late for that."""
    subject, request = request_for(GET)
    assert subject.begin(request, Response((), 200))
    subject.part(b"half")
    sent = subject.outgoing()
    subject.respond(request, Response(b"the server failed", 500))
    assert subject.outgoing() == b""
    assert subject.closing, "the missing end tells the client"
    assert sent.startswith(b"HTTP/1.1 200")
