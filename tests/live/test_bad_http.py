"""Nonsense at the HTTP door: the right status, one line in the log, nothing behind it served, nobody else hurt."""

from __future__ import annotations

import json

import pytest

from tests.live.support import Raw, Service, Watch, ask, handshake, request, response, statuses

pytestmark = pytest.mark.live

GET = b"GET /hello/x HTTP/1.1\r\n"
POST = b"POST /size HTTP/1.1\r\nHost: doors\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HOST = b"Host: doors\r\n"
AFTER = request("/hello/smuggled")

REQUEST_LINES = {
    "one part": (b"GET\r\n" + HOST, 400),
    "two parts": (b"GET /\r\n" + HOST, 400),
    "four parts": (b"GET / HTTP/1.1 x\r\n" + HOST, 400),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST, 400),
    "space at the end": (b"GET / HTTP/1.1 \r\n" + HOST, 400),
    "tab": (b"GET\t/ HTTP/1.1\r\n" + HOST, 400),
    "bare LF": (b"GET / HTTP/1.1\n" + HOST, 400),
    "bare CR": (b"GET / HTTP/1.1\r" + HOST, 400),
    "NUL in the target": (b"GET /a\0b HTTP/1.1\r\n" + HOST, 400),
    "target not ASCII": (b"GET /\xe4 HTTP/1.1\r\n" + HOST, 400),
    "target with DEL": (b"GET /\x7f HTTP/1.1\r\n" + HOST, 400),
    "path not UTF-8": (b"GET /%ff HTTP/1.1\r\n" + HOST, 400),
    "relative target": (b"GET hello HTTP/1.1\r\n" + HOST, 400),
    "foreign scheme": (b"GET ftp://doors/ HTTP/1.1\r\n" + HOST, 400),
    "asterisk": (b"GET * HTTP/1.1\r\n" + HOST, 400),
    "method unknown": (b"BREW / HTTP/1.1\r\n" + HOST, 501),
    "method in small letters": (b"get / HTTP/1.1\r\n" + HOST, 501),
    "version 2.0": (b"GET / HTTP/2.0\r\n" + HOST, 505),
    "version 1.2": (b"GET / HTTP/1.2\r\n" + HOST, 505),
    "version 0.9": (b"GET / HTTP/0.9\r\n" + HOST, 505),
    "version in small letters": (b"GET / http/1.1\r\n" + HOST, 400),
    "version of two digits": (b"GET / HTTP/1.10\r\n" + HOST, 400),
    "other protocol": (b"GET / ICE/1.0\r\n" + HOST, 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400),
    "second empty line": (b"\r\n\r\n" + GET + HOST, 400),
    "line too long": (b"GET /" + b"x" * 1000 + b" HTTP/1.1\r\n" + HOST, 414),
    "line too long and malformed": (b"GET /" + b"x" * 1200, 414),
}

HEADS = {
    "no host": (GET, 400),
    "two hosts": (GET + HOST + HOST, 400),
    "space before the colon": (GET + b"Host : doors\r\n", 400),
    "field without a colon": (GET + HOST + b"nothing\r\n", 400),
    "field without a name": (GET + HOST + b": nothing\r\n", 400),
    "name with a space": (GET + HOST + b"a b: c\r\n", 400),
    "name not ASCII": (GET + HOST + b"\xe4: c\r\n", 400),
    "folded": (GET + HOST + b"A: b\r\n c\r\n", 400),
    "folded first": (GET + b" A: b\r\n" + HOST, 400),
    "NUL in a value": (GET + HOST + b"A: b\0c\r\n", 400),
    "NUL in a name": (GET + HOST + b"A\0: b\r\n", 400),
    "DEL in a value": (GET + HOST + b"A: b\x7fc\r\n", 400),
    "bell in a value": (GET + HOST + b"A: b\x07c\r\n", 400),
    "bare LF": (GET + HOST + b"A: b\n", 400),
    "bare LF inside": (GET + b"Host: doors\nA: b\r\n", 400),
    "bare CR inside": (GET + HOST + b"A: b\rc\r\n", 400),
    "too large": (GET + HOST + b"A: " + b"x" * 4000 + b"\r\n", 431),
    "too large and malformed": (GET + HOST + b"A: " + b"x" * 4500 + b"\r\n: b\r\n", 431),
    "too many fields": (GET + HOST + b"A: b\r\n" * 20, 431),
    "two types": (GET + HOST + b"Content-Type: text/html\r\nContent-Type: text/plain\r\n", 400),
    "something expected": (POST + b"Content-Length: 1\r\nExpect: miracles\r\n", 417),
}

FRAMINGS = {
    "length and chunked": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400),
    "chunked and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n", 400),
    "the same length twice": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n", 400),
    "list of lengths": (POST + b"Content-Length: 3, 3\r\n", 400),
    "negative length": (POST + b"Content-Length: -1\r\n", 400),
    "length with a sign": (POST + b"Content-Length: +1\r\n", 400),
    "length in hexadecimal": (POST + b"Content-Length: 0x1\r\n", 400),
    "length with a space": (POST + b"Content-Length: 1 1\r\n", 400),
    "no number for a length": (POST + b"Content-Length: \r\n", 400),
    "length over 64 bits": (POST + b"Content-Length: 99999999999999999999999\r\n", 400),
    "body too large": (POST + b"Content-Length: 100001\r\n", 413),
    "chunked in HTTP/1.0": (POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n", 400),
    "gzip alone": (POST + b"Transfer-Encoding: gzip\r\n", 400),
    "chunked not last": (POST + b"Transfer-Encoding: chunked, gzip\r\n", 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n", 400),
    "chunked in two fields": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
    "brotli before chunked": (POST + b"Transfer-Encoding: brotli, chunked\r\n", 501),
    "coding with a line end of Unicode": (POST + b"Transfer-Encoding: a\x85b, chunked\r\n", 501),
    "vertical tab before chunked": (POST + b"Transfer-Encoding: \x0bchunked\r\n", 400),
    "name with a space": (POST + b"Transfer-Encoding : chunked\r\n", 400),
}

CHUNKS = {
    "no size": (b"\r\nhello\r\n", 400),
    "size no number": (b"x\r\n", 400),
    "size negative": (b"-1\r\n", 400),
    "size with a sign": (b"+5\r\nhello\r\n", 400),
    "size with 0x": (b"0x5\r\nhello\r\n", 400),
    "size with a space before": (b" 5\r\nhello\r\n", 400),
    "size with a space after": (b"5 \r\nhello\r\n", 400),
    "size over 64 bits": (b"f" * 17 + b"\r\n", 400),
    "size line too long": (b"5;" + b"a" * 5000, 400),
    "size ends with a bare LF": (b"5\nhello\r\n", 400),
    "NUL in an extension": (b"5;a\0\r\nhello\r\n", 400),
    "CR in an extension": (b"5;a\rb\r\nhello\r\n", 400),
    "data too long": (b"5\r\nhelloo\r\n", 400),
    "data ends with a bare LF": (b"5\r\nhello\n", 400),
    "length as a trailer": (b"0\r\nContent-Length: 3\r\n\r\n", 400),
    "host as a trailer": (b"0\r\nHost: evil\r\n\r\n", 400),
    "trailer folded": (b"0\r\nA: b\r\n c\r\n\r\n", 400),
    "trailer ends with a bare LF": (b"0\r\nA: b\n\r\n", 400),
    "trailer with NUL": (b"0\r\nA: b\0\r\n\r\n", 400),
    "trailers too large": (b"0\r\nA: " + b"x" * 4100 + b"\r\n\r\n", 431),
    "body too large": (b"ea60\r\n" + b"x" * 60000 + b"\r\nea60\r\n" + b"x" * 60000 + b"\r\n", 413),
}

HEADS_AND_BODIES = {
    **{f"line: {name}": (head + b"\r\n", status) for name, (head, status) in REQUEST_LINES.items()},
    **{f"head: {name}": (head + b"\r\n", status) for name, (head, status) in HEADS.items()},
    **{f"framing: {name}": (head + b"\r\n0\r\n\r\n", status) for name, (head, status) in FRAMINGS.items()},
    **{f"chunk: {name}": (CHUNKED + body, status) for name, (body, status) in CHUNKS.items()},
}


@pytest.mark.parametrize(("data", "status"), HEADS_AND_BODIES.values(), ids=HEADS_AND_BODIES)
def test_refused_once_and_closed(service: Service, watch: Watch, data: bytes, status: int) -> None:
    with service.link("web") as link:
        text = link.send(data + AFTER).rest()
    assert statuses(text) == [status], text
    assert b"Connection: close" in text
    assert "of web from" in watch.one_line(f" {status} ")


@pytest.mark.parametrize(("data", "status"), HEADS_AND_BODIES.values(), ids=HEADS_AND_BODIES)
def test_refused_the_same_when_it_comes_in_pieces(service: Service, watch: Watch, data: bytes, status: int) -> None:
    step = max(1, len(data) // 200)
    with service.link("web") as link:
        for at in range(0, len(data), step):
            link.send(data[at : at + step])
        text = link.rest()
    assert statuses(text) == [status], text
    assert len(watch.lines()) == 1, watch.log


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"x" * 1200, 414),
        (b"BREW" * 10, 501),
        (b"\0", 400),
        (GET + HOST + b"A: " + b"x" * 4500, 431),
        (GET + HOST + b"A: b\n", 400),
        (CHUNKED + b"5;" + b"a" * 5000, 400),
        (CHUNKED + b"0\r\nA: " + b"x" * 4500, 431),
        (CHUNKED + b"z", 400),
    ],
)
def test_refused_without_waiting_for_the_end_of_what_is_wrong(service: Service, watch: Watch, data: bytes, status: int) -> None:
    with service.link("web") as link:
        text = link.send(data).rest()
    assert statuses(text) == [status], text
    watch.one_line(f" {status} ")


def test_what_came_before_is_answered_what_comes_after_is_not(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        text = link.send(request("/hello/one") + request("/hello/two") + b"GET / HTTP/9.9\r\n\r\n" + AFTER).rest()
    assert statuses(text) == [200, 200, 505]
    assert text.index(b"hello one") < text.index(b"hello two")
    watch.one_line(" 505 ")


def test_the_answer_arrives_though_the_body_is_still_coming(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        text = link.send(POST + b"Content-Length: 900000\r\n\r\n" + b"x" * 900000).rest()
    assert statuses(text) == [413]
    watch.one_line("413 the body is over 100000 bytes")


# -- a body that turns bad while a handler reads it ----------------------------------------------------------------------
@pytest.mark.parametrize(("data", "status"), CHUNKS.values(), ids=CHUNKS)
def test_a_body_that_turns_bad_while_the_handler_reads(service: Service, watch: Watch, data: bytes, status: int) -> None:
    with service.link("web") as link:
        link.send(request("/size", "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST"))
        assert link.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"  # the handler waits for the body now
        text = link.send(data + AFTER).rest()
    assert statuses(text) == [status], text
    assert b"Connection: close" in text
    assert len(watch.lines()) == 1, watch.log


def test_a_client_that_leaves_in_the_middle_of_a_body(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        link.send(request("/size", "Transfer-Encoding: chunked", "Expect: 100-continue", method="POST"))
        link.until(b"\r\n\r\n")
        link.send(b"5\r\nhel")
    assert watch.lines("Traceback") == []


@pytest.mark.parametrize("data", [GET, GET + HOST, POST + b"Content-Length: 10\r\n\r\nhello", CHUNKED + b"5\r\nhel"])
def test_half_a_request_and_then_the_end(service: Service, watch: Watch, data: bytes) -> None:
    with service.link("web") as link:
        text = link.send(data).end().rest()
    assert statuses(text) in ([], [400])
    assert watch.lines("Traceback") == []


# -- well-formed but wrong: the connection lives on ------------------------------------------------------------------------
def still_serves(link: Raw) -> None:
    assert ask(link, "/hello/again") == (200, b"hello again")


JSON, FORM, MSGPACK = "application/json", "application/x-www-form-urlencoded", "application/msgpack"
PAYLOADS = {
    "JSON that ends early": ("/echo", JSON, b"{", "JSON"),
    "JSON not UTF-8": ("/echo", JSON, b'"\xff"', "JSON"),
    "NUL for JSON": ("/echo", JSON, b"\0", "JSON"),
    "JSON of lists in lists": ("/echo", JSON, b"[" * 50000, "JSON"),
    "no MessagePack": ("/echo", MSGPACK, b"\xc1", "MessagePack"),
    "MessagePack of lists in lists": ("/echo", MSGPACK, b"\x91" * 50000, "MessagePack"),
    "form not UTF-8": ("/echo", FORM, b"a=%ff", ""),
    "form of too many fields": ("/echo", FORM, b"a=1&" * 1001, ""),
    "text not UTF-8": ("/echo", "text/plain", b"\xff", "text"),
    "JSON with NaN": ("/echo", JSON, b'{"a": NaN}', "JSON"),
    "JSON with a number beyond all bounds": ("/echo", JSON, b'{"a": 1e400}', "JSON"),
    "JSON with a number of thousands of digits": ("/echo", JSON, b"1" * 5000, "JSON"),
    "nothing for JSON": ("/echo", JSON, b" ", "JSON"),
}
MISFITS = {
    "argument missing": (b'{"one": 1}', [("two", "query or body")]),
    "argument of another type": (b'{"one": 1, "two": "x"}', [("two", "body")]),
    "both of another type": (b'{"one": 1.5, "two": null}', [("one", "body"), ("two", "body")]),
    "list for arguments": (b"[1, 2]", [("one", "query or body"), ("two", "query or body")]),
}


@pytest.mark.parametrize(("target", "kind", "body", "text"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_payload_that_cannot_be_understood(service: Service, watch: Watch, target: str, kind: str, body: bytes, text: str) -> None:
    with service.link("web") as link:
        status, answer = ask(link, target, f"Content-Type: {kind}", method="POST", body=body)
        assert status == 400, answer
        assert text.lower() in json.loads(answer)["detail"].lower()
        still_serves(link)


@pytest.mark.parametrize(("body", "errors"), MISFITS.values(), ids=MISFITS)
def test_a_payload_that_does_not_fit(service: Service, watch: Watch, body: bytes, errors: list[tuple[str, str]]) -> None:
    with service.link("web") as link:
        status, answer = ask(link, "/add", f"Content-Type: {JSON}", method="POST", body=body)
        assert status == 422, answer
        assert [(error["field"], error["source"]) for error in json.loads(answer)["errors"]] == errors
        still_serves(link)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [("", 422), ("?number=", 422), ("?number=x", 422), ("?number=1.5", 422), ("?number=%ff", 400), ("?number=1&other=%ff", 400)],
)
def test_a_query_that_cannot_be_understood(service: Service, watch: Watch, query: str, wanted: int) -> None:
    with service.link("web") as link:
        status, answer = ask(link, f"/double{query}")
        assert status == wanted, answer
        still_serves(link)


def test_nothing_there_and_wrong_method(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        assert ask(link, "/nothing")[0] == 404
        assert ask(link, "/hello/x", method="DELETE")[0] == 405
        assert ask(link, "/" + "x/" * 400)[0] == 404
        still_serves(link)


def test_a_handler_that_raises(service: Service, watch: Watch) -> None:
    watch.tracebacks = 1
    with service.link("web") as link:
        status, body = ask(link, "/fail")
        assert status == 500
        assert b"42" not in body
        still_serves(link)
    assert len(watch.lines("Mistake: the secret is 42")) == 1


def test_a_handler_that_raises_while_its_answer_is_on_the_way(service: Service, watch: Watch) -> None:
    watch.tracebacks = 1
    with service.link("web") as link:
        text = link.send(request("/fail-later") + AFTER).end().rest()
    assert statuses(text) == [200], text
    assert not text.endswith(b"0\r\n\r\n")
    assert b"42" not in text.partition(b"\r\n\r\n")[2], "the date in front of it may say so"


def test_a_body_that_nobody_reads(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        text = link.send(request("/unread", method="POST", body=b"x" * 90000) + AFTER).end().rest()
    assert statuses(text) in ([200], [200, 200])


def test_a_handler_that_ends_the_connection_ends_it_for_what_was_sent_behind(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        text = link.send(request("/leave") + AFTER).end().rest()
    assert statuses(text) == [200], text
    assert b"Connection: close" in text


# -- handshakes ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (handshake(Sec_WebSocket_Key=""), 400),
        (handshake(Sec_WebSocket_Key="short"), 400),
        (handshake(Sec_WebSocket_Version="12"), 426),
        (handshake(Sec_WebSocket_Version=""), 426),
        (handshake(Sec_WebSocket_Protocol="a b"), 400),
        (handshake(Upgrade="h2c"), 426),
        (handshake(Origin="https://evil.example"), 403),
        (handshake(Origin="null"), 403),
        (handshake().replace(b"GET", b"POST", 1), 405),
        (handshake().replace(b"HTTP/1.1", b"HTTP/1.0", 1), 400),
        (handshake("/nowhere"), 404),
        (request("/chat"), 426),
    ],
)
def test_a_handshake_that_is_none(service: Service, watch: Watch, data: bytes, status: int) -> None:
    with service.link("web") as link:
        assert response(link.send(data))[0] == status


def test_more_than_a_buffer_full_behind_a_handshake_that_is_refused(service: Service, watch: Watch) -> None:
    with service.link("web") as link:
        text = link.send(handshake(Origin="https://evil.example") + AFTER * 20 + b"GET / HTTP/9.9\r\n\r\n").rest()
    assert statuses(text) == [403, *[200] * 20, 505]
