"""HTTP/2: any split of the bytes gives the same messages, and bodies come as fast as they are read."""

from __future__ import annotations

from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.base import BODY, HEAD, NOTHING
from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http2 import Http2Codec
from greenimi.codec.http2_heads import Http2Limits
from greenimi.errors import ProtocolError
from greenimi.interfaces import ICodec
from greenimi.message import Response
from greenimi.testing.contracts.codec import CodecContract
from tests.codec.http2_peer import (
    PREFACE,
    Peer,
    continuation,
    data,
    headers,
    names,
    ping,
    plain,
    raw,
    request,
    reset,
    settings,
    window_update,
)
from tests.codec.http2_talk import LIMITS, POST, Talk

BLOCK = plain(request("GET", "/a"))
STREAM = (
    PREFACE
    + settings({3: 100})
    + headers(1, request("GET", "/a?b=c", ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")))
    + raw(1, 1, 3, BLOCK[:5])
    + continuation(3, BLOCK[5:20])
    + raw(9, 4, 3, BLOCK[20:])
    + headers(5, request("POST", "/p", ("content-length", "5")), "END_HEADERS")
    + ping()
    + data(5, b"he")
    + raw(0x16, 0, 0, b"?")
    + data(5, b"llo", "END_STREAM")
    + headers(7, request("POST", "/t"), "END_HEADERS")
    + data(7, b"hi", "PADDED", pad_length=7)
    + headers(7, [("x-sum", "1"), ("content-type", "text/html")])
    + window_update(0, 1)
    + reset(3)
)


def facts(message: Any) -> tuple[object, ...]:
    if isinstance(message, ProtocolError):
        return ("error", message.status)
    stream = message.stream
    body = b"".join(stream.chunks) if stream else b""
    trailers = tuple(stream.trailers) if stream else ()
    return (message.method, message.path, message.query_string, message.version, message.headers.items_raw(), body, trailers)


class TestContract(CodecContract):
    stream = STREAM
    messages = 4
    broken = b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"

    def make(self) -> ICodec:
        codec: ICodec = Http2Codec(LIMITS, ResponseHeads(0.0))
        return codec

    def facts(self, message: Any) -> Any:
        return facts(message)


def test_what_arrives() -> None:
    subject = Talk(first=STREAM)
    assert [facts(message) for message in subject.requests] == [
        ("GET", "/a", "b=c", "2", [("host", "x"), ("x", "y"), ("cookie", "a=1; b=2")], b"", ()),
        ("GET", "/a", "", "2", [("host", "x")], b"", ()),
        ("POST", "/p", "", "2", [("host", "x"), ("content-length", "5")], b"hello", ()),
        ("POST", "/t", "", "2", [("host", "x")], b"hi", (("x-sum", "1"),)),
    ]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    whole = Talk(first=STREAM)
    split = Talk(first=b"")
    at = 0
    for cut in [*sorted(cuts), len(STREAM)]:
        if STREAM[at:cut]:
            split.say(STREAM[at:cut])
        at = max(at, cut)
    assert [facts(message) for message in split.requests] == [facts(message) for message in whole.requests]
    assert names(split.peer.said.frames) == names(whole.peer.said.frames)
    assert split.codec.partial == whole.codec.partial == NOTHING


@given(noise=st.binary(max_size=200), at=st.integers(0, len(STREAM)))
def test_no_bytes_raise(noise: bytes, at: int) -> None:
    for said in (STREAM[:at] + noise, PREFACE + settings() + noise):
        subject = Talk(first=said)
        assert subject.codec.ended == (subject.peer.said.gone is not None)


def test_a_codec_speaks_after_the_preface() -> None:
    codec = Http2Codec(LIMITS, ResponseHeads(0.0))
    codec.receive(PREFACE[:-1])
    assert codec.out == []
    assert codec.partial == HEAD
    codec.receive(PREFACE[-1:])
    said = Peer().read(codec.outgoing())
    assert names(said.frames) == ["Settings", "WindowUpdate"]
    assert said.settings == {1: 4096, 2: 0, 3: 8, 4: 65535, 5: 16384, 6: 32768, 8: 1}
    assert said.windows == {0: 131_070 - 65535}


def test_partial_tells_what_is_on_its_way() -> None:
    subject = Talk()
    subject.say(b"\0\0\x08\x06\0")
    assert subject.codec.partial == BODY
    subject.say(b"\0\0\0\0" + b"12345678")
    assert subject.codec.partial == NOTHING
    subject.say(headers(1, request(), "END_STREAM"))
    assert subject.codec.partial == HEAD


def test_a_body_of_known_length_is_waited_for() -> None:
    subject = Talk()
    subject.say(headers(1, request("POST", "/", ("content-length", "5")), "END_HEADERS"), data(1, b"he"))
    assert subject.requests == []
    subject.say(data(1, b"llo", "END_STREAM"))
    assert subject.requests[0].body() == b"hello"


def test_other_bodies_are_read_as_they_come() -> None:
    subject = Talk()
    subject.say(headers(1, request("POST", "/", ("content-length", "5000")), "END_HEADERS"))
    subject.say(headers(3, request("POST"), "END_HEADERS"))
    assert len(subject.requests) == 2


def test_windows_are_given_back_as_the_body_is_read() -> None:
    subject = Talk()
    subject.say(POST)
    body = subject.requests[0].stream
    assert body is not None
    body.pull = subject.stream().consumed
    said = subject.say(*[data(1, b"x" * 16384)] * 3)
    assert said.windows.get(1) is None
    assert len(body.read_chunk()) == 3 * 16384
    subject.stream().consumed()
    said = subject.heard()
    assert said.windows[1] == 3 * 16384
    subject.say(*[data(1, b"x" * 16384)] * 2)
    body.read_chunk()
    subject.stream().consumed()
    assert subject.heard().windows == {0: 131_070 - 65535 + 5 * 16384, 1: 5 * 16384}


def test_what_nobody_reads_is_given_back_to_the_connection() -> None:
    subject = Talk()
    for number in (1, 3):
        subject.say(headers(number, request("POST"), "END_HEADERS"), *[data(number, b"x" * 16384)] * 3)
        assert subject.answer().ended == {*range(1, number + 1, 2)}
        subject.stream().release()
    assert subject.heard().windows[0] == 131_070 - 65535 + 6 * 16384


def test_data_that_resets_its_stream_is_given_back_to_the_connection() -> None:
    subject = Talk()
    for number in range(1, 41, 4):
        closed, full = headers(number, request("POST"), "END_HEADERS"), headers(number + 2, request("POST"), "END_HEADERS")
        subject.say(closed, data(number, b"", "END_STREAM"), data(number, b"x" * 16384))
        said = subject.say(full, *[data(number + 2, b"x" * 16384)] * 4)
        assert (said.resets[number], said.resets[number + 2]) == (ErrorCodes.STREAM_CLOSED, ErrorCodes.FLOW_CONTROL_ERROR)
        while subject.requests:
            subject.stream().release()
            subject.requests.pop()
    assert said.gone is None
    assert said.windows[0] > 131_070


def test_the_smallest_window_needs_no_update() -> None:
    said = Talk(Http2Limits(window=65535, connection_window=65535)).heard()
    assert said.settings[SettingCodes.INITIAL_WINDOW_SIZE] == 65535
    assert said.windows == {}


def test_who_goes_on_behind_the_answer_is_stopped() -> None:
    subject = Talk()
    subject.say(POST)
    subject.answer()
    subject.stream().release()
    assert subject.say(data(1, b"x" * 16384)).resets == {}
    assert subject.say(data(1, b"x" * 16384), data(1, b"x" * 16384)).resets == {1: ErrorCodes.NO_ERROR}
    assert not subject.codec.streams
    subject = Talk()
    subject.say(POST)
    subject.answer()
    subject.stream().release()
    assert subject.say(data(1, b"the end", "END_STREAM")).resets == {}
    assert not subject.codec.streams


@pytest.mark.parametrize("last", [data(1, b"x", "END_STREAM"), headers(1, [("x-sum", "1")])])
def test_the_end_of_a_body_may_come_when_its_handler_is_done(last: bytes) -> None:
    subject = Talk(first=PREFACE + settings({4: 0}))
    subject.say(POST)
    subject.answer(b"waits for a window")
    subject.stream().release()
    subject.say(last)
    assert len(subject.requests) == 1
    assert subject.say(window_update(1, 100)).bodies[1] == b"waits for a window"
    assert not subject.codec.streams


def test_a_reset_ends_the_body() -> None:
    subject = Talk()
    subject.say(POST, reset(1))
    body = subject.requests[0].stream
    assert body is not None
    with pytest.raises(ProtocolError, match="reset"):
        body.read_chunk()
    assert subject.codec.orphans == 1
    subject.stream().respond(subject.requests[0], Response(b"too late"))
    assert subject.heard().heads == {}
    subject.stream().release()
    assert subject.codec.orphans == 0


def test_small_frames_are_put_together() -> None:
    subject = Talk()
    subject.say(POST, *[data(1, b"x")] * 2000)
    body = subject.requests[0].stream
    assert body is not None
    assert len(body.chunks) < 300
    assert body.size == 2000
