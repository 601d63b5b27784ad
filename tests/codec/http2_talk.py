"""A codec of HTTP/2 and the peer that it talks to."""

from __future__ import annotations

from typing import Any

from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http2 import Http2Codec
from greenimi.codec.http2_heads import Http2Limits
from greenimi.codec.http2_stream import StreamCodec
from greenimi.errors import ProtocolError
from greenimi.message import Request, Response
from tests.codec.http2_peer import (
    PREFACE,
    Peer,
    Said,
    headers,
    request,
    settings,
)

LIMITS = Http2Limits(body=100_000, buffer=1000, streams=8, window=65535, connection_window=131_070, room=40_000)
POST = headers(1, request("POST", "/p", ("te", "trailers")), "END_HEADERS")


class Talk:
    """A codec, and the peer that it talks to."""

    def __init__(self, limits: Http2Limits = LIMITS, first: bytes = PREFACE + settings()) -> None:
        self.heads = ResponseHeads(0.0)
        self.codec = Http2Codec(limits, self.heads)
        self.peer = Peer()
        self.requests: list[Request] = []
        if first:
            self.say(first)

    def say(self, *parts: bytes) -> Said:
        for part in parts:
            for found in self.codec.receive(part):
                if isinstance(found, Request):
                    self.requests.append(found)
                elif isinstance(found, ProtocolError):
                    self.codec.fail(found)
        return self.heard()

    def heard(self) -> Said:
        return self.peer.read(self.codec.outgoing())

    def stream(self, number: int = -1) -> StreamCodec:
        found: Any = self.requests[number].connection
        assert isinstance(found, StreamCodec)
        return found

    def answer(self, body: bytes = b"answered", number: int = -1, **more: Any) -> Said:
        self.stream(number).respond(self.requests[number], Response(body, **more))
        return self.heard()


def talk(path: str = "/", method: str = "GET", **limits: Any) -> Talk:
    """With one request."""
    found = Talk(Http2Limits(**{**{name: getattr(LIMITS, name) for name in Http2Limits.__slots__}, **limits}))
    found.say(headers(1, request(method, path)))
    return found
