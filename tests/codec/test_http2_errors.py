"""What peers of HTTP/2 can get wrong (RFC 9113, RFC 7541, RFC 8441), each with the exact answer."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from h2.errors import ErrorCodes

from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http2 import Http2Codec
from greenimi.codec.http2_heads import Http2Limits
from greenimi.message import Request, Response
from tests.codec.http2_peer import (
    PREFACE,
    Peer,
    Said,
    continuation,
    data,
    goaway,
    headers,
    ping,
    plain,
    priority,
    push_promise,
    raw,
    request,
    reset,
    settings,
    window_update,
)

NO_ERROR = ErrorCodes.NO_ERROR
PROTOCOL = ErrorCodes.PROTOCOL_ERROR
FLOW = ErrorCodes.FLOW_CONTROL_ERROR
CLOSED = ErrorCodes.STREAM_CLOSED
SIZE = ErrorCodes.FRAME_SIZE_ERROR
REFUSED = ErrorCodes.REFUSED_STREAM
COMPRESSION = ErrorCodes.COMPRESSION_ERROR
CALM = ErrorCodes.ENHANCE_YOUR_CALM

LIMITS = Http2Limits(
    line=200, head=1000, fields=10, body=200_000, buffer=100, streams=4, window=65535, connection_window=100_000, unrest=200
)

OPEN = headers(1, request("POST"), "END_HEADERS")  # a stream that is open
ASKED = headers(1, request())  # one that the peer has ended
ANSWER = b""  # where it stands in what is sent, requests are answered


class Gone(NamedTuple):
    """GOAWAY."""

    code: ErrorCodes


class Reset(NamedTuple):
    """RST_STREAM, and the connection lives on."""

    code: ErrorCodes
    stream: int = 1


class Status(NamedTuple):
    """An answer with an error of HTTP, and the connection lives on."""

    status: int
    stream: int = 1


class Fine(NamedTuple):
    """Nothing is wrong: a ping is answered."""


def pseudo(**fields: str) -> list[tuple[str, str]]:
    """Pseudo-header fields alone."""
    found = {"method": "GET", "scheme": "http", "authority": "x", "path": "/", **fields}
    return [(f":{name}", value) for name, value in found.items()]


def without(*left_out: str) -> list[tuple[str, str]]:
    return [found for found in pseudo() if found[0][1:] not in left_out]


def padded(kind: int, flags: int, padding: int, payload: bytes) -> bytes:
    return raw(kind, flags | 8, 1, bytes([padding]) + payload)


def block(*parts: bytes) -> bytes:
    """HEADERS of stream 1 with this block."""
    return headers(1, block=b"".join(parts))


GOOD_BLOCK = plain(request())

FRAMES = {
    # 4.1, 4.2, 5.5
    "a frame of an unknown type is ignored": ([raw(0x16, 0xFF, 0, b"12345678")], Fine()),
    "one on a stream, too": ([raw(0x16, 0, 5, b"")], Fine()),
    "undefined flags are ignored": ([raw(6, 0xFE & ~1, 0, b"12345678")], Fine()),
    "the reserved bit is ignored": ([raw(6, 0, 1 << 31, b"12345678")], Fine()),
    "DATA of 2**14 bytes": ([OPEN, data(1, b"x" * 16384)], Fine()),
    "DATA that is larger": ([OPEN, raw(0, 0, 1, b"", 16385)], Gone(SIZE)),
    "HEADERS that are larger": ([raw(1, 5, 1, b"", 16385)], Gone(SIZE)),
    "SETTINGS that are larger": ([raw(4, 0, 0, b"", 16386)], Gone(SIZE)),
    "an unknown frame that is larger": ([raw(0x16, 0, 0, b"", 1 << 20)], Gone(SIZE)),
    "an unknown frame within a head": ([headers(1, request(), "END_STREAM"), raw(0x16, 0, 1, b"")], Gone(PROTOCOL)),
    # 6.1
    "DATA on stream 0": ([raw(0, 0, 0, b"x")], Gone(PROTOCOL)),
    "DATA padded with more than it has": ([OPEN, padded(0, 0, 6, b"12345")], Gone(PROTOCOL)),
    "DATA padded to the last byte": ([OPEN, padded(0, 0, 5, b"12345")], Fine()),
    "DATA padded, but empty": ([OPEN, raw(0, 8, 1, b"")], Gone(SIZE)),
    # 6.2
    "HEADERS on stream 0": ([raw(1, 5, 0, GOOD_BLOCK)], Gone(PROTOCOL)),
    "HEADERS padded with more than it has": ([padded(1, 5, 200, b"\x82")], Gone(PROTOCOL)),
    "HEADERS with half a priority": ([raw(1, 0x25, 1, b"\0\0\0")], Gone(SIZE)),
    "HEADERS that depend on themselves": ([raw(1, 0x25, 1, b"\0\0\0\1\x0f" + GOOD_BLOCK)], Reset(PROTOCOL)),
    "HEADERS with a priority": ([raw(1, 0x25, 1, b"\x80\0\0\0\xff" + GOOD_BLOCK)], Fine()),
    # 6.3
    "PRIORITY on stream 0": ([raw(2, 0, 0, b"\0\0\0\1\0")], Gone(PROTOCOL)),
    "PRIORITY of 4 bytes": ([OPEN, raw(2, 0, 1, b"\0\0\0\0")], Reset(SIZE)),
    "PRIORITY of 4 bytes on an idle stream": ([raw(2, 0, 1, b"\0\0\0\0")], Gone(SIZE)),
    "PRIORITY that depends on itself": ([OPEN, priority(1, 1)], Reset(PROTOCOL)),
    "PRIORITY on an idle stream": ([priority(7, 0)], Fine()),
    "PRIORITY on a closed stream": ([ASKED, ANSWER, priority(1, 0)], Fine()),
    "PRIORITY on a half-closed stream": ([ASKED, priority(1, 0)], Fine()),
    # 6.4
    "RST_STREAM on stream 0": ([raw(3, 0, 0, b"\0\0\0\1")], Gone(PROTOCOL)),
    "RST_STREAM on an idle stream": ([reset(1)], Gone(PROTOCOL)),
    "RST_STREAM on a stream of ours": ([OPEN, raw(3, 0, 2, b"\0\0\0\1")], Gone(PROTOCOL)),
    "RST_STREAM of 3 bytes": ([OPEN, raw(3, 0, 1, b"\0\0\0")], Gone(SIZE)),
    "RST_STREAM of 5 bytes": ([OPEN, raw(3, 0, 1, b"\0\0\0\0\0")], Gone(SIZE)),
    "RST_STREAM with an unknown code": ([OPEN, reset(1, 0xFFFF)], Fine()),
    "PRIORITY on itself, of a stream of ours": ([priority(2, 2)], Gone(PROTOCOL)),
    "RST_STREAM twice": ([OPEN, reset(1), reset(1)], Fine()),
    "RST_STREAM on a closed stream": ([ASKED, ANSWER, reset(1)], Fine()),
    # 6.5
    "SETTINGS on a stream": ([raw(4, 0, 1, b"")], Gone(PROTOCOL)),
    "SETTINGS of 5 bytes": ([raw(4, 0, 0, b"\0\3\0\0\0")], Gone(SIZE)),
    "an acknowledgement with settings": ([raw(4, 1, 0, b"\0\3\0\0\0\1")], Gone(SIZE)),
    "SETTINGS_ENABLE_PUSH of 2": ([settings({2: 2})], Gone(PROTOCOL)),
    "SETTINGS_INITIAL_WINDOW_SIZE of 2**31": ([settings({4: 1 << 31})], Gone(FLOW)),
    "SETTINGS_MAX_FRAME_SIZE of 2**14 - 1": ([settings({5: (1 << 14) - 1})], Gone(PROTOCOL)),
    "SETTINGS_MAX_FRAME_SIZE of 2**24": ([settings({5: 1 << 24})], Gone(PROTOCOL)),
    "SETTINGS_ENABLE_CONNECT_PROTOCOL of 2": ([settings({8: 2})], Gone(PROTOCOL)),
    "a bad value before a good one of the same setting": ([raw(4, 0, 0, b"\0\2\0\0\0\2\0\2\0\0\0\1")], Gone(PROTOCOL)),
    "an unknown setting": ([settings({0xFF: 1})], Fine()),
    "an initial window that makes one overflow": (
        [headers(1, request("POST"), "END_HEADERS"), window_update(1, (1 << 31) - 1 - 65535), settings({4: 65536})],
        Gone(FLOW),
    ),
    # 6.6
    "PUSH_PROMISE": ([OPEN, push_promise(1, 2)], Gone(PROTOCOL)),
    "PUSH_PROMISE on stream 0": ([raw(5, 4, 0, b"\0\0\0\2")], Gone(PROTOCOL)),
    # 6.7
    "PING on a stream": ([raw(6, 0, 1, b"12345678")], Gone(PROTOCOL)),
    "PING of 6 bytes": ([raw(6, 0, 0, b"123456")], Gone(SIZE)),
    "PING of 9 bytes": ([raw(6, 0, 0, b"123456789")], Gone(SIZE)),
    "an acknowledgement of no ping": ([ping(ack=True)], Fine()),
    # 6.8
    "GOAWAY on a stream": ([raw(7, 0, 1, b"\0\0\0\0\0\0\0\0")], Gone(PROTOCOL)),
    "GOAWAY of 7 bytes": ([raw(7, 0, 0, b"\0\0\0\0\0\0\0")], Gone(SIZE)),
    "GOAWAY with an unknown code": ([goaway(0, 0xFF)], Fine()),
    # 6.9
    "WINDOW_UPDATE by 0": ([window_update(0, 0)], Gone(PROTOCOL)),
    "WINDOW_UPDATE by 0 on a stream": ([OPEN, window_update(1, 0)], Reset(PROTOCOL)),
    "WINDOW_UPDATE of 3 bytes": ([raw(8, 0, 0, b"\0\0\1")], Gone(SIZE)),
    "WINDOW_UPDATE of 5 bytes on a stream": ([OPEN, raw(8, 0, 1, b"\0\0\0\0\1")], Gone(SIZE)),
    "WINDOW_UPDATE on an idle stream": ([window_update(1, 1)], Gone(PROTOCOL)),
    "WINDOW_UPDATE on a half-closed stream": ([ASKED, window_update(1, 1)], Fine()),
    "WINDOW_UPDATE on a closed stream": ([ASKED, ANSWER, window_update(1, 1)], Fine()),
    "a window that overflows": ([window_update(0, (1 << 31) - 1)], Gone(FLOW)),
    "a stream's window that overflows": ([OPEN, window_update(1, (1 << 31) - 1)], Reset(FLOW)),
    # 6.10
    "CONTINUATION of no head": ([OPEN, continuation(1, b"", "END_HEADERS")], Gone(PROTOCOL)),
    "CONTINUATION on stream 0": ([headers(1, request(), "END_STREAM"), raw(9, 4, 0, b"")], Gone(PROTOCOL)),
    "CONTINUATION of another stream": ([headers(1, request(), "END_STREAM"), continuation(3, b"", "END_HEADERS")], Gone(PROTOCOL)),
    "CONTINUATION on an idle stream": ([raw(9, 4, 1, GOOD_BLOCK)], Gone(PROTOCOL)),
    "CONTINUATION on a half-closed stream": ([ASKED, continuation(1, b"", "END_HEADERS")], Gone(PROTOCOL)),
    "CONTINUATION behind DATA": (
        [headers(1, request("POST"), "END_HEADERS"), data(1, b"x"), continuation(1, b"", "END_HEADERS")],
        Gone(PROTOCOL),
    ),
    "CONTINUATION behind the end of a head": (
        [headers(1, request("POST"), "END_STREAM"), continuation(1, b"", "END_HEADERS"), continuation(1, b"", "END_HEADERS")],
        Gone(PROTOCOL),
    ),
    "a head in pieces": ([raw(1, 1, 1, GOOD_BLOCK[:3]), continuation(1, GOOD_BLOCK[3:7]), raw(9, 4, 1, GOOD_BLOCK[7:])], Fine()),
    "DATA within a head": ([headers(1, request("POST"), "END_STREAM"), data(1, b"x")], Gone(PROTOCOL)),
    "PRIORITY within a head": ([headers(1, request(), "END_STREAM"), priority(1, 0)], Gone(PROTOCOL)),
    "HEADERS of another stream within a head": ([headers(1, request(), "END_STREAM"), headers(3, request())], Gone(PROTOCOL)),
    "PING within a head": ([headers(1, request(), "END_STREAM"), ping()], Gone(PROTOCOL)),
    "RST_STREAM within a head": ([headers(1, request(), "END_STREAM"), reset(1)], Gone(PROTOCOL)),
}

STREAMS = {
    # 5.1
    "DATA on an idle stream": ([data(1, b"x")], Gone(PROTOCOL)),
    "DATA on a half-closed stream": ([ASKED, data(1, b"x")], Reset(CLOSED)),
    "HEADERS on a half-closed stream": ([ASKED, headers(1, [("a", "b")])], Reset(CLOSED)),
    "DATA on a stream that the peer reset": ([OPEN, reset(1), data(1, b"x")], Reset(CLOSED)),
    "HEADERS on a stream that the peer reset": ([OPEN, reset(1), headers(1, request())], Reset(CLOSED)),
    "CONTINUATION on a stream that the peer reset": ([OPEN, reset(1), continuation(1, b"", "END_HEADERS")], Gone(PROTOCOL)),
    "DATA on a closed stream": ([ASKED, ANSWER, data(1, b"x")], Gone(CLOSED)),
    "HEADERS on a closed stream": ([ASKED, ANSWER, headers(1, request())], Gone(CLOSED)),
    "CONTINUATION on a closed stream": ([ASKED, ANSWER, continuation(1, b"", "END_HEADERS")], Gone(PROTOCOL)),
    "DATA on a stream that we reset": ([OPEN, window_update(1, 0), data(1, b"x")], Reset(PROTOCOL)),
    "HEADERS on a stream that we reset": ([OPEN, window_update(1, 0), headers(1, request())], Reset(PROTOCOL)),
    # 5.1.1
    "an even number": ([headers(2, request())], Gone(PROTOCOL)),
    "a number that is lower than the last": ([headers(5, request()), headers(3, request())], Gone(PROTOCOL)),
    "numbers that leave some out": ([headers(1, request()), headers(101, request())], Fine()),
    # 5.1.2
    "more streams than are allowed": ([headers(number, request()) for number in (1, 3, 5, 7, 9)], Reset(REFUSED, 9)),
    # 5.2, 6.9.1
    "more DATA than the window of a stream": ([OPEN, *[data(1, b"x" * 16384)] * 4], Reset(FLOW)),
    "more DATA than the window of the connection": (
        [
            OPEN,
            *[data(1, b"x" * 16384)] * 3,
            headers(3, request("POST"), "END_HEADERS"),
            *[data(3, b"x" * 16384)] * 3,
            data(3, b"x" * 1697),
        ],
        Gone(FLOW),
    ),
    # 8.1
    "a second head that does not end the stream": ([OPEN, headers(1, [("a", "b")], "END_HEADERS")], Reset(PROTOCOL)),
    "a pseudo-header field among the trailers": ([OPEN, headers(1, [(":method", "GET")])], Reset(PROTOCOL)),
    "an upper-case name among the trailers": ([OPEN, headers(1, [("A", "b")])], Reset(PROTOCOL)),
    "a content-length among the trailers": ([OPEN, headers(1, [("content-length", "0")])], Reset(PROTOCOL)),
    "DATA behind the trailers": ([OPEN, headers(1, [("a", "b")]), data(1, b"x")], Reset(CLOSED)),
    # 8.1.1: malformed requests
    "an upper-case name": ([headers(1, request("GET", "/", ("X-A", "b")))], Reset(PROTOCOL)),
    "a name with a space": ([headers(1, request("GET", "/", ("x a", "b")))], Reset(PROTOCOL)),
    "a name with a colon": ([headers(1, request("GET", "/", ("x:a", "b")))], Reset(PROTOCOL)),
    "an empty name": ([headers(1, request("GET", "/", ("", "b")))], Reset(PROTOCOL)),
    "a name beyond ASCII": ([headers(1, request("GET", "/", ("x\xe4", "b")))], Reset(PROTOCOL)),
    "a line break in a value": ([headers(1, request("GET", "/", ("x", "a\r\nhost: y")))], Reset(PROTOCOL)),
    "a NUL in a value": ([headers(1, request("GET", "/", ("x", "a\0b")))], Reset(PROTOCOL)),
    "a space before a value": ([headers(1, request("GET", "/", ("x", " a")))], Reset(PROTOCOL)),
    "a tab behind a value": ([headers(1, request("GET", "/", ("x", "a\t")))], Reset(PROTOCOL)),
    "an empty value": ([headers(1, request("GET", "/", ("x", "")))], Fine()),
    # 8.2.2
    "connection": ([headers(1, request("GET", "/", ("connection", "keep-alive")))], Reset(PROTOCOL)),
    "proxy-connection": ([headers(1, request("GET", "/", ("proxy-connection", "x")))], Reset(PROTOCOL)),
    "keep-alive": ([headers(1, request("GET", "/", ("keep-alive", "5")))], Reset(PROTOCOL)),
    "transfer-encoding": ([headers(1, request("GET", "/", ("transfer-encoding", "chunked")))], Reset(PROTOCOL)),
    "upgrade": ([headers(1, request("GET", "/", ("upgrade", "websocket")))], Reset(PROTOCOL)),
    "te for more than trailers": ([headers(1, request("GET", "/", ("te", "trailers, deflate")))], Reset(PROTOCOL)),
    "te for trailers": ([headers(1, request("GET", "/", ("te", "trailers")))], Fine()),
    # 8.3
    "an unknown pseudo-header field": ([headers(1, [*request(), (":test", "x")])], Reset(PROTOCOL)),
    "one of responses": ([headers(1, [*request(), (":status", "200")])], Reset(PROTOCOL)),
    "one behind ordinary fields": ([headers(1, [(":method", "GET"), ("a", "b"), (":path", "/"), (":scheme", "http")])], Reset(PROTOCOL)),
    "one behind a cookie": ([headers(1, [*without("path"), ("cookie", "a=b"), (":path", "/")])], Reset(PROTOCOL)),
    "no :method": ([headers(1, without("method"))], Reset(PROTOCOL)),
    "no :scheme": ([headers(1, without("scheme"))], Reset(PROTOCOL)),
    "no :path": ([headers(1, without("path"))], Reset(PROTOCOL)),
    "an empty :path": ([headers(1, pseudo(path=""))], Reset(PROTOCOL)),
    ":path twice": ([headers(1, [*request(), (":path", "/")])], Reset(PROTOCOL)),
    ":method twice": ([headers(1, [*request(), (":method", "GET")])], Reset(PROTOCOL)),
    ":scheme twice": ([headers(1, [*request(), (":scheme", "http")])], Reset(PROTOCOL)),
    ":authority twice": ([headers(1, [*request(), (":authority", "x")])], Reset(PROTOCOL)),
    "a :path that is a URL": ([headers(1, pseudo(path="http://x/"))], Reset(PROTOCOL)),
    "a :path with a space": ([headers(1, pseudo(path="/a b"))], Reset(PROTOCOL)),
    "a :path with a line break": ([headers(1, pseudo(path="/ HTTP/1.1\r\nx: y"))], Reset(PROTOCOL)),
    "* for GET": ([headers(1, pseudo(path="*"))], Reset(PROTOCOL)),
    "* for OPTIONS": ([headers(1, pseudo(method="OPTIONS", path="*"))], Fine()),
    "a :method that is none": ([headers(1, pseudo(method="GE T"))], Reset(PROTOCOL)),
    "an unknown :scheme": ([headers(1, pseudo(scheme="ftp"))], Reset(PROTOCOL)),
    "an :authority with a path": ([headers(1, pseudo(authority="x/y"))], Reset(PROTOCOL)),
    "an :authority with a user": ([headers(1, pseudo(authority="me@x"))], Reset(PROTOCOL)),
    "another Host than :authority": ([headers(1, request("GET", "/", ("host", "y")))], Reset(PROTOCOL)),
    "the same Host as :authority": ([headers(1, request("GET", "/", ("host", "x")))], Fine()),
    "two Hosts": ([headers(1, [*without("authority"), ("host", "x"), ("host", "x")])], Reset(PROTOCOL)),
    "Host instead of :authority": ([headers(1, [*without("authority"), ("host", "x")])], Fine()),
    "neither :authority nor Host": ([headers(1, without("authority"))], Status(400)),
    "CONNECT with a :path": ([headers(1, pseudo(method="CONNECT"), "END_HEADERS")], Reset(PROTOCOL)),
    "CONNECT without an :authority": ([headers(1, [(":method", "CONNECT")], "END_HEADERS")], Reset(PROTOCOL)),
    # RFC 8441
    ":protocol without CONNECT": ([headers(1, pseudo(protocol="websocket"))], Reset(PROTOCOL)),
    "an extended CONNECT without :path": (
        [headers(1, [*without("path", "method"), (":method", "CONNECT"), (":protocol", "websocket")])],
        Reset(PROTOCOL),
    ),
    "an extended CONNECT that ends its stream": ([headers(1, pseudo(method="CONNECT", protocol="websocket"))], Reset(PROTOCOL)),
    "an extended CONNECT to another protocol": ([headers(1, pseudo(method="CONNECT", protocol="ftp"), "END_HEADERS")], Status(501)),
    # content-length
    "DATA that is longer than the content-length": (
        [headers(1, request("POST", "/", ("content-length", "3")), "END_HEADERS"), data(1, b"1234")],
        Reset(PROTOCOL),
    ),
    "DATA that is shorter": (
        [headers(1, request("POST", "/", ("content-length", "3")), "END_HEADERS"), data(1, b"12", "END_STREAM")],
        Reset(PROTOCOL),
    ),
    "DATA that is shorter, then trailers": (
        [headers(1, request("POST", "/", ("content-length", "3")), "END_HEADERS"), data(1, b"12"), headers(1, [("a", "b")])],
        Reset(PROTOCOL),
    ),
    "a content-length and no body": ([headers(1, request("POST", "/", ("content-length", "3")))], Reset(PROTOCOL)),
    "a content-length that is no number": ([headers(1, request("POST", "/", ("content-length", "+3")), "END_HEADERS")], Reset(PROTOCOL)),
    "a content-length twice": (
        [headers(1, request("POST", "/", ("content-length", "3"), ("content-length", "3")), "END_HEADERS")],
        Reset(PROTOCOL),
    ),
    # what is refused by HTTP
    "a body that is too large": ([headers(1, request("POST", "/", ("content-length", "200001")), "END_HEADERS")], Status(413)),
    "a request line that is too long": ([headers(1, request("GET", "/" + "a" * 200))], Status(414)),
    "too many fields": ([headers(1, request("GET", "/", *[("a", "b")] * 11))], Status(431)),
    "a head that is too large": ([headers(1, request("GET", "/", ("a", "b" * 1000)))], Status(431)),
    "an expectation that is unknown": ([headers(1, request("POST", "/", ("expect", "42")), "END_HEADERS")], Status(417)),
    "a path that is not UTF-8": ([headers(1, request("GET", "/%ff"))], Status(400)),
}

HPACK = {
    # RFC 7541
    "index 0": ([block(b"\x80")], Gone(COMPRESSION)),
    "an index beyond the table": ([block(b"\xbe")], Gone(COMPRESSION)),
    "the name at an index beyond the table": ([block(b"\x7e\x01a")], Gone(COMPRESSION)),
    "a name at index 62 of an empty table": ([block(b"\x0f\x2f\x01a")], Gone(COMPRESSION)),
    "a number that is too large": ([block(b"\xff" + b"\xff" * 10 + b"\x01")], Gone(COMPRESSION)),
    "a number that does not end": ([block(b"\xff\x80")], Gone(COMPRESSION)),
    "a literal that does not end": ([block(b"\x00\x05ab")], Gone(COMPRESSION)),
    "a value that does not end": ([block(b"\x00\x01a\x05b")], Gone(COMPRESSION)),
    "a name without a value": ([block(b"\x00\x01a")], Gone(COMPRESSION)),
    "a table larger than we allow": ([block(b"\x3f\xe2\x1f", GOOD_BLOCK)], Gone(COMPRESSION)),
    "a table of the size that we allow": ([block(b"\x3f\xe1\x1f", GOOD_BLOCK)], Fine()),
    "a change of the table behind a field": ([block(b"\x82\x20")], Gone(COMPRESSION)),
    "a change of the table at the end": ([block(GOOD_BLOCK, b"\x20")], Gone(COMPRESSION)),
    "two changes of the table": ([block(b"\x20\x3f\xe1\x1f", GOOD_BLOCK)], Fine()),
    "three changes of the table": ([block(b"\x20\x20\x20", GOOD_BLOCK)], Gone(COMPRESSION)),
    "three changes of the table, in more bytes": ([block(b"\x20\x3f\xe1\x1f\x20", GOOD_BLOCK)], Gone(COMPRESSION)),
    "Huffman padding of zeros": ([block(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")], Gone(COMPRESSION)),
    "Huffman padding of more than 7 bits": ([block(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")], Gone(COMPRESSION)),
    "Huffman with the end of string": ([block(b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")], Gone(COMPRESSION)),
    "an error within the trailers": ([OPEN, headers(1, block=b"\x80")], Gone(COMPRESSION)),
    "an error on a stream that is refused": (
        [*[headers(number, request()) for number in (1, 3, 5, 7)], headers(9, block=b"\x80")],
        Gone(COMPRESSION),
    ),
    "an empty block": ([block(b"")], Reset(PROTOCOL)),
}

FLOODS = {
    "pings": ([ping()] * 201, Gone(CALM)),
    "answers to no pings": ([ping(ack=True)] * 201, Gone(CALM)),
    "settings": ([settings({3: 1})] * 21, Gone(CALM)),
    "acknowledgements": ([settings(ack=True)] * 201, Gone(CALM)),
    "priorities": ([priority(1, 0)] * 201, Gone(CALM)),
    "unknown frames": ([raw(0x16, 0, 0, b"")] * 201, Gone(CALM)),
    "goodbyes": ([goaway()] * 201, Gone(CALM)),
    "empty DATA": ([OPEN, *[data(1, b"")] * 101], Gone(CALM)),
    "padding": ([OPEN, *[data(1, b"", "PADDED", pad_length=1)] * 101], Gone(CALM)),
    "windows": ([window_update(0, 1)] * 201, Gone(CALM)),
    "windows of a stream": ([OPEN, *[window_update(1, 1)] * 201], Gone(CALM)),
    "resets": ([part for number in range(1, 201, 2) for part in (headers(number, request()), reset(number))], Gone(CALM)),
    "resets that we are made to send": (
        [part for number in range(1, 201, 2) for part in (headers(number, request()), window_update(number, 0))],
        Gone(CALM),
    ),
    "malformed requests": ([headers(number, without("path")) for number in range(1, 201, 2)], Gone(CALM)),
    "pieces of a head": ([headers(1, request(), "END_STREAM"), *[continuation(1, b"")] * 16], Gone(CALM)),
    "a head without end": (
        [headers(1, request(), "END_STREAM"), *[continuation(1, b"\x00\x01a\x7f\x00" + b"b" * 127 * 4)] * 6],
        Gone(CALM),
    ),
    "a head that unpacks to much": (
        [block(GOOD_BLOCK, b"\x40\x01a\x7f\x49" + b"b" * 200, b"\xbe" * 20)],
        Gone(CALM),
    ),
}


def talk(*parts: bytes, limits: Http2Limits = LIMITS, first: bytes = PREFACE + settings()) -> tuple[Http2Codec, Said]:
    """What a codec says to the parts, each in a read of its own.  At an empty part, requests so far are answered."""
    codec = Http2Codec(limits, ResponseHeads(0.0))
    peer = Peer()
    open_requests: list[Request] = []
    for part in (first, *parts):
        if part == ANSWER:
            for waiting in open_requests:
                answer(waiting)
            open_requests.clear()
        else:
            for found in codec.receive(part):
                if isinstance(found, Request):
                    open_requests.append(found)
                else:
                    codec.fail(found)
        peer.read(codec.outgoing())
    return codec, peer.said


def answer(found: Request) -> None:
    stream = found.connection
    stream.respond(found, Response(b"answered"))  # type: ignore[attr-defined]  # the codec's stream
    stream.release()  # type: ignore[attr-defined]


ALL = {
    f"{group}: {name}": case
    for group, cases in (("frames", FRAMES), ("streams", STREAMS), ("hpack", HPACK))
    for name, case in cases.items()
}


@pytest.mark.parametrize("name", [*ALL, *FLOODS])
def test_the_answer_is_exact(name: str) -> None:
    parts, wanted = ALL.get(name) or FLOODS[name]
    codec, said = talk(*parts)
    if isinstance(wanted, Gone):
        assert said.gone == wanted.code
        assert codec.closing
        assert codec.ended
        assert not codec.streams
        return
    assert said.gone is None, said.gone
    if isinstance(wanted, Reset):
        assert said.resets == {wanted.stream: wanted.code}
        assert said.status(wanted.stream) in (None, 200)
    elif isinstance(wanted, Status):
        assert said.status(wanted.stream) == wanted.status
        assert said.resets.get(wanted.stream, NO_ERROR) == NO_ERROR
    else:
        assert said.resets == {}
    codec.receive(ping(b"still up"))
    peer = Peer()
    assert peer.read(codec.outgoing()).pongs == [b"still up"]


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        b"X",
        PREFACE + ping(),
        PREFACE + headers(1, request()),
        PREFACE + settings(ack=True),
    ],
)
def test_a_connection_begins_with_preface_and_settings(first: bytes) -> None:
    codec, said = talk(first=first)
    assert said.gone == PROTOCOL
    assert codec.closing


COUNTED = sorted(FLOODS.keys() - {"a head without end", "a head that unpacks to much", "pieces of a head"})


def test_no_body_answers_a_head_that_is_refused() -> None:
    _, said = talk(headers(1, without("authority")), headers(3, [*pseudo(method="HEAD")[:2], (":path", "/")]))
    assert (said.status(1), said.status(3)) == (400, 400)
    assert said.heads[1][0]["content-length"] == said.heads[3][0]["content-length"]
    assert list(said.bodies) == [1]
    assert said.ended == {1, 3}


@pytest.mark.parametrize("name", COUNTED)
def test_a_little_less_is_no_flood(name: str) -> None:
    parts, _ = FLOODS[name]
    _, said = talk(*parts[: len(parts) // 6])
    assert said.gone is None


def test_unrest_is_forgotten_with_time() -> None:
    heads = ResponseHeads(0.0)
    codec = Http2Codec(LIMITS, heads)
    codec.receive(PREFACE + settings())
    for second in range(20):
        codec.receive(ping() * 20)
        heads.tick(float(second))
    assert not codec.closing


def test_nothing_is_kept_of_a_frame_that_is_too_large() -> None:
    codec, said = talk(raw(0, 0, 1, b"", 1 << 20) + b"x" * 100_000)
    assert said.gone == SIZE
    assert codec.receive(b"more") == ()
