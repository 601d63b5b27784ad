"""HTTP/1.1: any split of the bytes gives the same messages; what must be refused is refused with its status."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.base import BODY, HEAD, NOTHING
from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http1 import Http1Codec, Http1Limits
from greenimi.errors import ProtocolError, TooLarge
from greenimi.message import Message, Request, Response

LIMITS = Http1Limits(line=200, head=600, fields=10, body=1000, buffer=100)
GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"


def codec(limits: Http1Limits = LIMITS) -> Http1Codec:
    return Http1Codec(limits, ResponseHeads(0.0))


def feed(data: bytes, cuts: list[int], limits: Http1Limits = LIMITS) -> tuple[Http1Codec, list[tuple[object, ...]]]:
    """What a codec makes of ``data`` cut at ``cuts``, in a form that can be compared."""
    found: list[Message | ProtocolError] = []
    subject = codec(limits)
    at = 0
    for cut in [*sorted(cuts), len(data)]:
        if data[at:cut]:
            found += subject.receive(data[at:cut])
        at = max(at, cut)
    return subject, [facts(message) for message in found]


def facts(message: Message | ProtocolError) -> tuple[object, ...]:
    if isinstance(message, ProtocolError):
        return ("error", message.status)
    assert isinstance(message, Request)
    stream = message.stream
    body = b"".join(stream.chunks) if stream else b""
    trailers = tuple(stream.trailers) if stream else ()
    return (message.method, message.path, message.query_string, message.version, message.keep_alive, body, trailers)


STREAMS = [
    GET * 3,
    b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + GET,
    b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n" + GET,
    b"\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    GET + b"BAD\x00 / HTTP/1.1\r\nHost: x\r\n\r\n" + GET,
    GET + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + GET,
    b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + b"GET / HTTP/1.1\r\nX: y\n\r\n",
    b"GET http://h/p%20q?x HTTP/1.1\r\nhOsT: x\r\n\r\n",
]


@pytest.mark.parametrize("data", STREAMS)
@given(cuts=st.lists(st.integers(0, 180), max_size=12))
def test_any_split_gives_the_same_messages(data: bytes, cuts: list[int]) -> None:
    _, whole = feed(data, [])
    _, split = feed(data, [cut for cut in cuts if cut < len(data)])
    assert split == whole


@pytest.mark.parametrize("data", STREAMS)
def test_byte_by_byte_gives_the_same_messages(data: bytes) -> None:
    assert feed(data, list(range(len(data))))[1] == feed(data, [])[1]


def test_what_a_request_holds() -> None:
    (request,) = codec().receive(b"GET /a%2Fb/%C3%A9?q=1&q=2 HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a:\t2 \r\nCookie: k=v; l=w\r\n\r\n")
    assert isinstance(request, Request)
    assert (request.method, request.path, request.query) == ("GET", "/a/b/é", {"q": ["1", "2"]})
    assert request.headers["X-a"] == "1, 2"
    assert request.headers.get_all("x-A") == ["1", "2"]
    assert request.cookies == {"k": "v", "l": "w"}


REFUSED = [
    (b"GET /\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    (b"GET / HTTP/3.7\r\nHost: x\r\n\r\n", 505),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", 400),
    (b"GET /%FF HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"NONSENSE / HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    (b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n", 400),
    (b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: brotli, chunked\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: more\r\n\r\n", 417),
    (b"GET /" + b"a" * 300, 414),
    (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 11 + b"\r\n", 431),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 700, 431),
]


@pytest.mark.parametrize(("data", "status"), REFUSED)
def test_refused_with_its_status(data: bytes, status: int) -> None:
    subject = codec()
    (error,) = subject.receive(data)
    assert isinstance(error, ProtocolError)
    assert error.status == status
    subject.fail(error)
    assert subject.outgoing().startswith(b"HTTP/1.1 %d " % status)
    assert subject.closing
    assert subject.receive(GET) == ()


CHUNKS = [
    b"5\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloX\r\n",
    b"g\r\n",
    b"5 \r\n",
    b"-1\r\n",
    b"5\r\nhello\r\n0\r\nbad name: x\r\n\r\n",
    b"0\r\nHost: y\r\n\r\n",
    b"0x5\r\n",
]


@pytest.mark.parametrize("body", CHUNKS)
def test_bad_chunks(body: bytes) -> None:
    subject = codec()
    found = list(subject.receive(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"))
    assert len(found) == 1
    assert isinstance(found[0], Request)
    assert found[0].stream is not None
    assert subject.receive(body) == []  # its handler learns of it by reading
    assert not found[0].keep_alive
    with pytest.raises(ProtocolError):
        found[0].stream.read()


def test_a_chunked_body_over_the_limit() -> None:
    subject = codec()
    (request,) = subject.receive(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    subject.receive(b"400\r\n" + b"a" * 1024 + b"\r\n")
    assert isinstance(request, Request)
    assert request.stream is not None
    assert isinstance(request.stream.error, ProtocolError)
    assert request.stream.error.status == 413


FORM = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\n"
FORMS = Http1Limits(body=1000, form=5000, buffer=100)


@pytest.mark.parametrize(
    ("kind", "most"),
    [
        (b"multipart/form-data; boundary=b", 5000),
        (b"Multipart/Form-Data;boundary=b", 5000),
        (b"multipart/mixed", 1000),
        (b"text/plain", 1000),
    ],
)
def test_a_multipart_form_has_a_limit_of_its_own(kind: bytes, most: int) -> None:
    for length in (most, most + 1):
        (found,) = codec(FORMS).receive(FORM % kind + b"Content-Length: %d\r\n\r\n" % length + b"a" * 200)
        assert isinstance(found, Request if length == most else ProtocolError)
        assert length == most or found.status == 413  # type: ignore[union-attr]  # it is an error
        subject = codec(FORMS)
        (request,) = subject.receive(FORM % kind + b"Transfer-Encoding: chunked\r\n\r\n")
        subject.receive(b"%x\r\n" % length)
        assert isinstance(request, Request)
        assert request.stream is not None
        assert (request.stream.error is not None) is (length > most)


def test_a_form_that_is_read_whole_is_no_larger_than_any_other_body() -> None:
    (request,) = codec(FORMS).receive(FORM % b"multipart/form-data; boundary=b" + b"Content-Length: 1001\r\n\r\n" + b"a" * 1001)
    assert isinstance(request, Request)
    with pytest.raises(TooLarge, match="over 1000 bytes"):
        request.body()


def test_small_bodies_are_held_back_until_complete_and_large_ones_are_not() -> None:
    subject = codec()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    assert subject.receive(head % 50 + b"a" * 49) == []
    (request,) = subject.receive(b"a")
    assert isinstance(request, Request)
    assert request.body() == b"a" * 50
    (large,) = subject.receive(head % 500 + b"a" * 150)
    assert isinstance(large, Request)
    assert subject.crowded
    assert large.stream is not None
    assert large.stream.read_chunk() == b"a" * 150
    assert not subject.crowded


def test_continue_is_sent_when_the_body_is_wanted() -> None:
    subject = codec()
    (request,) = subject.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert isinstance(request, Request)
    assert request.stream is not None
    assert subject.outgoing() == b""
    request.stream.pull = lambda: (subject.receive(b"ok"), None)[1]
    assert request.body() == b"ok"
    assert subject.outgoing() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_the_peer_leaves_in_the_middle_of_a_body() -> None:
    subject = codec()
    (request,) = subject.receive(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    assert isinstance(request, Request)
    assert subject.receive(b"") == ()
    with pytest.raises(ProtocolError, match="ended in the middle"):
        request.body()


def request_for(head: bytes) -> tuple[Http1Codec, Request]:
    subject = codec()
    (request,) = subject.receive(head)
    assert isinstance(request, Request)
    return subject, request


def test_an_upgrade_keeps_what_comes_behind_it() -> None:
    subject, request = request_for(b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x80early")
    assert request.upgrade
    assert subject.paused
    assert subject.receive(b"more") == []
    subject.respond(request, Response(b"", 404))
    assert [facts(message)[0] for message in subject.resume()] == ["error"]


def test_a_refused_upgrade_goes_on_with_http() -> None:
    subject, request = request_for(b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + GET)
    subject.respond(request, Response(b"", 404))
    (following,) = subject.resume()
    assert isinstance(following, Request)
    assert following.path == "/a"


# -- what is partial -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "partial"),
    [
        (b"", NOTHING),
        (b"\r", HEAD),
        (b"G", HEAD),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", HEAD),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", NOTHING),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG", HEAD),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n", BODY),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1", BODY),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n12", NOTHING),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n12G", HEAD),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", BODY),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", BODY),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", NOTHING),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", NOTHING),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n1", BODY),
    ],
)
def test_what_is_partial(data: bytes, partial: int) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        found = codec()
        for piece in pieces:
            found.receive(piece)
        assert found.partial == partial, pieces


def test_a_body_that_was_asked_for_is_partial() -> None:
    found = codec()
    (request,) = found.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert isinstance(request, Request)
    assert request.stream is not None
    assert request.stream.wanted is not None
    request.stream.wanted()
    assert found.partial == BODY


TOO_LATE = ProtocolError("too late", status=408)


@pytest.mark.parametrize("data", [b"GET /", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n1"])
def test_breaking_off_what_nobody_has_yet_gives_the_error(data: bytes) -> None:
    found = codec()
    assert list(found.receive(data)) == []
    assert list(found.break_off(TOO_LATE)) == [TOO_LATE]
    assert found.ended
    assert list(found.receive(b"x")) == []


def test_breaking_off_a_body_that_is_read_tells_its_reader() -> None:
    found = codec()
    (request,) = found.receive(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    assert isinstance(request, Request)
    assert list(found.break_off(TOO_LATE)) == []
    assert not request.keep_alive
    with pytest.raises(ProtocolError, match="too late"):
        request.body()


def test_who_is_turned_away_is_told_when_to_come_back() -> None:
    found = codec()
    found.turn_away()
    head = found.outgoing()
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" in head
    assert found.closing
