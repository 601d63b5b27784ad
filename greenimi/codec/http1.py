"""HTTP/1.1, server side (RFC 9110, RFC 9112), over llhttp, sans-IO.

llhttp checks the syntax of a head; what it lets pass is checked here: versions, one Host and at most one Content-Type, one space between
the parts of the request line, no Transfer-Encoding before 1.1.  A body in another transfer coding below ``chunked`` (gzip, ...) is framed
by the chunks and handed on as it is, not decoded.  Header fields are not taken apart unless somebody asks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from greenimi.codec.base import BODY, HEAD, NOTHING, body_limit
from greenimi.codec.chunked import ChunkedReader
from greenimi.codec.heads import ResponseHeads, render_fields
from greenimi.codec.http1_answers import Http1Answers
from greenimi.codec.http2_begins import Http2Begins, h2c_settings
from greenimi.codec.target import split_target
from greenimi.errors import ProtocolError
from greenimi.message import Body, Message, Request, Upgrade

_HEAD_END = b"\r\n\r\n"
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{0,32}").match
_LONGEST_METHOD = 32
_SINGLE_FIELDS = re.compile(rb"\n([hH][oO][sS][tT]|[cC][oO][nN][tT][eE][nN][tT]-[tT][yY][pP][eE]):").findall
_CODINGS = frozenset({"chunked", "gzip", "x-gzip", "deflate", "compress", "x-compress", "identity"})
_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Http1Limits:
    """What one peer may send.  Bytes, but ``fields`` and ``host``."""

    line: int = 8192
    head: int = 32768
    fields: int = 100
    body: int = 16 * 1024 * 1024
    form: int = 0  # of a multipart form, which nobody reads whole into memory; 0: as any other body
    buffer: int = 65536
    host: bool = True  # a request of HTTP/1.1 without Host is refused, as RFC 9112 section 3.2 demands
    http2: bool = False  # a connection may begin with the preface of HTTP/2 instead
    h2c: bool = False  # and a request may ask to go on in HTTP/2
    harmless: int = field(init=False)  # a head of up to this size cannot break a limit

    def __post_init__(self) -> None:
        object.__setattr__(self, "harmless", min(self.line, self.head, 4 * self.fields))


class _Preface(Exception):
    """What was to be the first head is the beginning of HTTP/2's preface."""


class Http1Codec(Http1Answers):
    """One connection.  ``receive`` gives requests in order; each is answered in that order, whole (``respond``) or in parts."""

    __slots__ = (
        "_blank",
        "_buffer",
        "_chunked",
        "_complete",
        "_fed",
        "_first",
        "_going",
        "_held",
        "_keep_alive",
        "_left",
        "_limits",
        "_odd",
        "_parser",
        "_request",
        "_stream",
    )

    def __init__(self, limits: Http1Limits, heads: ResponseHeads) -> None:
        super().__init__(heads)
        self._limits = limits
        self._buffer = b""  # bytes of a head that is not complete yet, or behind a requested upgrade
        self._fed = 0  # how many of them llhttp has seen
        self._odd = False  # the method is none that llhttp knows
        self._blank = False  # an empty line came before the request line
        self._complete = False
        self._first = True  # no request came before
        self._going = False  # HTTP/2 begins
        self._keep_alive = True
        self._stream: Body | None = None  # the body now arriving
        self._request: Request | None = None  # its request
        self._held = False  # the request is held back until its body is complete, or large
        self._chunked: ChunkedReader | None = None
        self._left = 0  # bytes of a body of known length still to come
        self._parser: HttpRequestParser | None = HttpRequestParser(self)

    # -- llhttp's callback ------------------------------------------------------------------------------------
    def on_message_complete(self) -> None:
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()  # type: ignore[union-attr]  # it is this parser that calls

    # -- incoming ---------------------------------------------------------------------------------------------
    def receive(self, data: bytes) -> Sequence[Message | ProtocolError]:
        if not data:
            return self._end_of_input()
        if self.ended:
            return ()
        found: list[Message | ProtocolError] = []
        try:
            if self._stream is not None:
                data = self._feed_body(data, found)
            if data:
                if self.paused:
                    self._hold_back(data)
                else:
                    self._feed_heads(data, found)
        except ProtocolError as error:
            found += self.break_off(error)
        return found

    def break_off(self, error: ProtocolError) -> Sequence[ProtocolError]:
        self.ended = True
        if self._stream is not None and self._request is not None:
            self._stream.abort(error)
            self._request.keep_alive = False
            if not self._held:  # the request is with its handler, which learns of it by reading
                return ()
        return (error,)

    def _feed_heads(self, data: bytes, found: list[Message | ProtocolError]) -> None:
        """Take every complete head out of ``data``; keep what is left."""
        start = 0
        search = 0
        if self._buffer:
            search = max(0, len(self._buffer) - 3)
            data = self._buffer + data
            self._buffer = b""
            self.partial = NOTHING
        size = len(data)
        while start < size:
            if not self._fed and data[start] in b"\r\n":  # one empty line before a request line is to be ignored
                if data[start:] == b"\r":
                    self._buffer = b"\r"
                    self.partial = HEAD
                    return
                if self._blank or not data.startswith(b"\r\n", start):
                    raise ProtocolError("the request does not begin with a request line")
                self._blank = True
                start += 2
                continue
            end = data.find(_HEAD_END, max(start, search))
            if end < 0:
                self._partial_head(data[start:] if start else data)
                return
            end += 4
            try:
                request = self._head(data if not start and end == size else data[start:end])
            except _Preface:
                self._go(data[start:], found, Http2Begins())
                return
            start = end
            if request.stream is None:
                found.append(request)
                if not self._keep_alive:
                    self.ended = True
                    return
                if request.upgrade:
                    settings = h2c_settings(request) if self._limits.h2c else None
                    if settings is not None:
                        found.pop()
                        self._go(data[start:], found, Http2Begins(request, settings))
                        return
                    self.paused = True
                    self._hold_back(data[start:])
                    return
            else:
                rest = self._begin_body(request, data[start:], found)
                if self._stream is not None or not rest or self.ended:
                    return
                data, start, size = rest, 0, len(rest)
                search = 0

    def _go(self, rest: bytes, found: list[Message | ProtocolError], begins: Http2Begins) -> None:
        """HTTP/2 begins with ``rest``."""
        self.paused = self._going = True
        self._buffer = rest
        found.append(begins)

    def _hold_back(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > self._limits.head and not self._going:
            raise ProtocolError(f"over {self._limits.head} bytes came before an upgrade was answered")

    def _partial_head(self, data: bytes) -> None:
        """Not all there yet: let llhttp see what is, so that nonsense is refused at once, and mind the limits."""
        self._buffer = data
        self.partial = HEAD
        if self._odd:
            self._unknown_method(data)
            return
        size = len(data)
        self._check_size(data)
        if self._fed < size:
            self._parse(data, self._fed, size)
            self._fed = size

    def _check_size(self, data: bytes) -> None:
        """Refuse a head over its limits; what is malformed within them is refused as that, however the bytes were cut."""
        limits = self._limits
        size = len(data)
        if size > limits.line and data.find(b"\r\n", 0, limits.line + 2) < 0:
            self._parse(data, self._fed, limits.line)
            raise ProtocolError(f"the request line is over {limits.line} bytes", status=414)
        if size > limits.head:
            self._parse(data, self._fed, limits.head)
            raise ProtocolError(f"the head is over {limits.head} bytes", status=431)

    def _parse(self, head: bytes, start: int, end: int) -> bool:
        """Give ``head[start:end]`` to llhttp; True when it ends in a requested upgrade."""
        try:
            self._parser.feed_data(head if not start and end == len(head) else head[start:end])  # type: ignore[union-attr]
        except HttpParserUpgrade:
            return True
        except HttpParserInvalidMethodError:
            self._unknown_method(head)
        except HttpParserError as error:
            text = str(error)
            raise ProtocolError(f"malformed request: {text}", status=505 if "HTTP version" in text else 400) from None
        return False

    def _unknown_method(self, head: bytes) -> None:
        """llhttp does not know it: 501 for a method, 400 for what is none.  Waits for more when that cannot be told yet."""
        self._odd = True
        end = _TOKEN(head).end()  # type: ignore[union-attr]  # it always matches
        if end == len(head) and end < _LONGEST_METHOD:
            return
        if end == _LONGEST_METHOD or (end and head[end : end + 1] == b" "):
            raise ProtocolError("the method is unknown", status=501)
        raise ProtocolError("malformed request: it does not begin with a method")

    def _head(self, head: bytes) -> Request:
        """One complete head, checked."""
        if self._odd:
            self._unknown_method(head)
        self._complete = False
        size = len(head)
        limits = self._limits
        if size > limits.harmless:
            self._check_size(head)
        upgrade = self._parse(head, self._fed, size)
        self._fed = 0
        first, self._first = self._first and not self._blank, False
        self._blank = False
        text = head.decode("latin-1")
        line, _, fields = text.partition("\r\n")
        if size > limits.harmless and fields.count("\n") - 1 > limits.fields:
            raise ProtocolError(f"more than {limits.fields} header fields", status=431)
        try:
            method, target, version = line.split(" ")
        except ValueError:
            raise ProtocolError("the request line does not have three parts with one space between") from None
        if version == "HTTP/1.1":
            minor = "1.1"
        elif version == "HTTP/1.0":
            minor = "1.0"
        elif first and head == _PREFACE and limits.http2:
            raise _Preface
        else:
            raise ProtocolError(f"the version {version[:20]} is not supported", status=505)
        singles = _SINGLE_FIELDS(head)
        if len(singles) != 1 or singles[0][0] not in b"hH":  # one Host and nothing else of note, nearly always
            self._check_singles(singles, host_needed=minor == "1.1" and limits.host)
        path, query = split_target(method, target)
        request = Request(method, target, path, query, text, minor)
        if self._complete:
            request.keep_alive = self._keep_alive
        else:
            self._keep_alive = request.keep_alive = self._parser.should_keep_alive()  # type: ignore[union-attr]
            request.stream = Body()
        if upgrade:
            self._parser = HttpRequestParser(self)
            if method == "CONNECT":  # to llhttp the end of HTTP; we make no tunnels
                self._keep_alive = request.keep_alive = False
            elif "transfer-encoding" in request.headers or request.headers.get("content-length", "0").strip("0"):
                request.stream = Body()  # httptools would skip it; the wish for another protocol is ignored (RFC 9110 section 7.8)
            else:
                request.upgrade = True
        return request

    @staticmethod
    def _check_singles(names: list[bytes], *, host_needed: bool) -> None:
        """Fields that two readers of one request must not read differently."""
        found = [name.lower() for name in names]
        for name in (b"host", b"content-type"):
            if found.count(name) > 1:
                raise ProtocolError(f"a request has more than one {name.decode()} field")
        if host_needed and b"host" not in found:
            raise ProtocolError("a request needs a Host field")

    # -- bodies -----------------------------------------------------------------------------------------------
    def _begin_body(self, request: Request, data: bytes, found: list[Message | ProtocolError]) -> bytes:
        """A body follows this head.  Hold the request back until it is worth a handler: complete, large, chunked or asked for."""
        headers = request.headers
        self._parser = HttpRequestParser(self)  # the body is not for llhttp
        coding = headers.get("transfer-encoding")
        most = body_limit(request, self._limits.body, self._limits.form)
        if coding is not None:
            if request.version == "1.0":
                raise ProtocolError("Transfer-Encoding is not allowed in HTTP/1.0")
            names = [name.strip(" \t").lower() for name in coding.split(",")]
            if names.count("chunked") != 1 or names[-1] != "chunked":
                raise ProtocolError("chunked must be the last transfer coding, once")
            if not _CODINGS.issuperset(names):
                raise ProtocolError(f"the transfer coding {coding[:40]} is not supported", status=501)
            self._chunked = ChunkedReader(self._limits.head, most)
        else:
            self._left = int(headers["content-length"])
            if self._left > most:
                raise ProtocolError(f"the body is over {most} bytes", status=413)
        expect = headers.get("expect")
        if request.version == "1.0":
            expect = None  # RFC 9110 section 10.1.1
        if expect is not None and expect.lower() != "100-continue":
            raise ProtocolError("only 100-continue can be expected", status=417)
        self._request = request
        self._stream = request.stream
        assert self._stream is not None
        if expect is not None and not data:
            self._stream.wanted = self._send_continue  # until then there is nothing to wait for
        else:
            self.partial = BODY
        self._held = True
        if data:
            data = self._feed_body(data, found)
        if self._held and (self._chunked is not None or expect is not None):
            self._release(found)
        return data

    def _send_continue(self) -> None:
        self.out.append(_CONTINUE)
        self.partial = BODY

    def _release(self, found: list[Message | ProtocolError]) -> None:
        assert self._request is not None
        found.append(self._request)
        self._held = False

    def _feed_body(self, data: bytes, found: list[Message | ProtocolError]) -> bytes:
        """Feed the arriving body; the bytes behind it, if it ended."""
        stream = self._stream
        assert stream is not None
        self.partial = BODY
        if self._chunked is not None:
            for piece in self._chunked.feed(data):
                stream.feed(piece)
            data = self._chunked.rest if self._chunked.done else b""
            done = self._chunked.done
            if done:
                stream.trailers = self._chunked.trailers
                self._chunked = None
        else:
            piece, data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            stream.feed(piece)
            done = not self._left
        if done:
            stream.finish()
            self._stream = None
            self.partial = NOTHING
            if not self._keep_alive:
                self.ended = True
                data = b""
        if self._held and (done or stream.size > self._limits.buffer):
            self._release(found)
        if done:
            self._request = None
        return data

    @property
    def crowded(self) -> bool:
        """The body arriving now has more waiting than its buffer should hold: read no more until the handler took some."""
        return self._going or (self._stream is not None and not self._held and self._stream.size > self._limits.buffer)

    def _end_of_input(self) -> Sequence[Request | ProtocolError]:
        self.ended = True
        if self._stream is not None:
            self._stream.abort(ProtocolError("the client ended in the middle of the body"))
            if self._request is not None:
                self._request.keep_alive = False
        self._held = False
        return ()

    # -- the end ----------------------------------------------------------------------------------------------
    def switch(self, response: Upgrade) -> bytes:
        """Queue the 101 and give up the connection: the bytes that came behind the request, for the next protocol's codec."""
        self.out.append(b"HTTP/1.1 101 Switching Protocols\r\n" + render_fields(response.headers) + b"\r\n")
        rest, self._buffer = self._buffer, b""
        self.release()
        return rest

    def give_up(self) -> bytes:
        """HTTP/2 begins: what came since."""
        rest, self._buffer = self._buffer, b""
        self.release()
        return rest

    def resume(self) -> Sequence[Message | ProtocolError]:
        """The upgrade was refused: go on with HTTP, with what came meanwhile."""
        self.paused = False
        data, self._buffer = self._buffer, b""
        return self.receive(data) if data else ()

    def send(self, reply: Any) -> None:
        raise TypeError("HTTP has no messages of its own accord: return a Response, or use SSE or a WebSocket")

    def close(self, code: int, reason: str) -> None:
        self.ended = True
        self.closing = True

    def release(self) -> None:
        """Let go of the parser (it and this codec hold each other)."""
        self._parser = None
