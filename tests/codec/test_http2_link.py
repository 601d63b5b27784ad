"""The ways a connection of HTTP/2 ends, and what its streams share."""

from __future__ import annotations

from typing import Any

import pytest
from h2.errors import ErrorCodes

from greenimi.errors import ConnectionClosed, ProtocolError
from greenimi.message import Message
from tests.codec.http2_peer import (
    data,
    goaway,
    headers,
    ping,
    priority,
    raw,
    request,
    reset,
    settings,
    window_update,
)
from tests.codec.http2_talk import POST, Talk, talk


def test_the_last_of_two_values_of_a_setting_counts() -> None:
    subject = Talk()
    subject.say(raw(4, 0, 0, b"\0\4\0\0\0\5\0\4\0\0\0\2"), headers(1, request()))
    assert subject.answer().bodies[1] == b"an"
    assert subject.say(settings({4: 3})).bodies[1] == b"ans"


def test_a_goodbye_lets_streams_end() -> None:
    subject = talk()
    subject.codec.close(1001, "the server stops")
    said = subject.say(headers(3, request()))
    assert (said.gone, said.last) == (0, 1)
    assert len(subject.requests) == 1
    assert not subject.codec.closing
    subject.answer()
    assert subject.codec.closing


@pytest.mark.parametrize("more", [reset(3), window_update(3, 5), data(3, b"x"), data(3, b"", "END_STREAM"), priority(3, 0)])
def test_frames_of_streams_that_came_behind_a_goodbye_are_ignored(more: bytes) -> None:
    subject = talk()
    subject.codec.close(1001, "the server stops")
    said = subject.say(headers(3, request("POST"), "END_HEADERS"), more)
    assert said.gone == 0
    assert said.resets == {}
    assert subject.answer().status(1) == 200


def test_a_goodbye_in_two_steps() -> None:
    subject = Talk()
    subject.codec.part()
    said = subject.heard()
    assert (said.gone, said.last) == (0, 2**31 - 1)
    subject.say(headers(1, request()))
    ours: Any = next(frame for frame in said.frames if type(frame).__name__ == "PingFrame")
    said = subject.say(ping(ours.opaque_data, ack=True))
    assert (said.gone, said.last) == (0, 1)
    assert not subject.codec.closing
    subject.answer()
    assert subject.codec.closing


def test_a_peer_that_says_goodbye_is_still_answered() -> None:
    subject = talk()
    subject.say(goaway())
    assert subject.answer().status(1) == 200
    assert not subject.codec.closing


def test_the_end_of_the_input_ends_everything() -> None:
    subject = Talk()
    subject.say(POST)
    body = subject.requests[0].stream
    assert body is not None
    assert subject.codec.receive(b"") == ()
    assert subject.codec.ended
    with pytest.raises(ConnectionClosed):
        body.read_chunk()


def test_too_much_to_do() -> None:
    subject = talk()
    subject.stream().turn_away()
    said = subject.heard()
    assert (said.status(1), said.heads[1][0]["retry-after"]) == (503, "1")
    subject.codec.turn_away()
    assert subject.heard().gone == ErrorCodes.ENHANCE_YOUR_CALM


def test_what_takes_too_long_is_broken_off() -> None:
    subject = talk()
    subject.codec.fail(*subject.codec.break_off(ProtocolError("too slow", status=408)))
    assert subject.heard().gone == ErrorCodes.ENHANCE_YOUR_CALM
    assert subject.codec.closing


def test_a_websocket_is_opened_by_an_extended_connect() -> None:
    subject = Talk()
    subject.say(headers(1, [*request("CONNECT", "/chat"), (":protocol", "websocket")], "END_HEADERS"), data(1, b"early"))
    found, stream = subject.requests[0], subject.stream()
    assert (found.method, found.path, found.upgrade, found.stream) == ("CONNECT", "/chat", True, None)
    stream.accept([("sec-websocket-protocol", "a")])
    stream.release()
    stream.part(b"hello")
    said = subject.heard()
    assert (said.heads[1][0], said.bodies[1]) == ({":status": "200", "sec-websocket-protocol": "a"}, b"hello")
    assert stream.body is not None
    assert stream.body.chunks == [b"early"]
    stream.end_tunnel()
    said = subject.say(data(1, b"", "END_STREAM"))
    assert said.ended == {1}
    assert not subject.codec.streams


def test_an_http_codec_sends_no_messages() -> None:
    with pytest.raises(TypeError):
        Talk().codec.send(Message(b""))


def test_what_is_remembered_of_streams_is_bounded() -> None:
    subject = Talk()
    for number in range(1, 801, 2):
        subject.say(headers(number, request()))
        subject.answer()
        subject.stream().release()
    assert len(subject.codec._ended) == 128
    assert subject.say(data(1, b"x")).gone == ErrorCodes.PROTOCOL_ERROR
