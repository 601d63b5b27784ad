"""Answers on streams: whole or in parts, as far as the windows let them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from h2.errors import ErrorCodes

from greenimi.message import Response
from tests.codec.http2_peer import (
    PREFACE,
    headers,
    names,
    ping,
    request,
    settings,
    window_update,
)
from tests.codec.http2_talk import Talk, talk


def test_an_answer() -> None:
    subject = talk()
    said = subject.answer()
    assert said.heads[1] == [
        {":status": "200", "date": "Thu, 01 Jan 1970 00:00:00 GMT", "content-type": "text/plain; charset=utf-8", "content-length": "8"}
    ]
    assert (said.bodies[1], said.ended) == (b"answered", {1})
    assert not subject.codec.streams


@pytest.mark.parametrize(
    ("method", "response", "length"),
    [
        ("HEAD", Response(b"answered"), "8"),
        ("GET", Response(b"ignored", 204), None),
        ("GET", Response(b"ignored", 304, headers=[("ETag", '"1"'), ("Content-Length", "5")]), "5"),
        ("GET", Response(b"", 201), "0"),
    ],
)
def test_answers_without_a_body(method: str, response: Response, length: str | None) -> None:
    subject = talk(method=method)
    subject.stream().respond(subject.requests[0], response)
    said = subject.heard()
    assert said.heads[1][0].get("content-length") == length
    assert (said.bodies, said.ended) == ({}, {1})


def test_fields_are_lowered_and_those_of_http_1_left_out() -> None:
    subject = talk()
    fields = [("X-Name", "A b"), ("Connection", "close"), ("Transfer-Encoding", "chunked"), ("Keep-Alive", "5"), ("Set-Cookie", "a=b")]
    head = subject.answer(headers=fields).heads[1][0]
    assert {name: head[name] for name in head if name not in ("date", "content-type")} == {
        ":status": "200",
        "x-name": "A b",
        "set-cookie": "a=b",
        "content-length": "8",
    }


@pytest.mark.parametrize("field", [("X-Bad", "a\r\nb"), ("X Bad", "a"), ("", "a")])
def test_fields_that_cannot_be_sent(field: tuple[str, str]) -> None:
    subject = talk()
    with pytest.raises(ValueError, match="response field"):
        subject.answer(headers=[field])
    assert subject.codec.out == []
    assert subject.answer(status=500).status(1) == 500


def test_a_head_larger_than_a_frame_goes_on() -> None:
    subject = talk()
    said = subject.answer(headers=[("X-Long", "a" * 20_000), ("X-More", "b" * 20_000)])
    assert names(said.frames)[-4:] == ["Headers", "Continuation", "Continuation", "Data"]
    assert said.heads[1][0]["x-more"] == "b" * 20_000


def test_a_peer_with_a_smaller_table_is_told_that_we_use_none() -> None:
    subject = Talk(first=PREFACE + settings({1: 0}))
    subject.peer.decoder.max_allowed_table_size = 0
    subject.say(headers(1, request()), headers(3, request()))
    subject.answer(number=0)
    assert subject.answer(number=1).status(3) == 200


def test_parts_and_trailers() -> None:
    subject = talk()
    stream, found = subject.stream(), subject.requests[0]
    assert stream.begin(found, Response(iter(()), headers=[("X-Kind", "parts")]))
    stream.part(b"one")
    stream.part(b"")
    stream.part(b"two")
    stream.finish(found, [("X-Sum", "6")])
    said = subject.heard()
    assert said.heads[1][1] == {"x-sum": "6"}
    assert (said.bodies[1], said.ended) == (b"onetwo", {1})


def test_a_length_that_is_not_kept_resets() -> None:
    subject = talk()
    stream, found = subject.stream(), subject.requests[0]
    stream.begin(found, Response(iter(()), headers=[("Content-Length", "5")]))
    stream.part(b"123")
    with pytest.raises(ValueError, match="longer"):
        stream.part(b"456")
    subject = talk()
    stream, found = subject.stream(), subject.requests[0]
    stream.begin(found, Response(iter(()), headers=[("Content-Length", "5")]))
    stream.part(b"123")
    stream.finish(found)
    assert subject.heard().resets == {1: ErrorCodes.INTERNAL_ERROR}


def test_interim_answers_come_before_the_answer_only() -> None:
    subject = talk()
    stream, found = subject.stream(), subject.requests[0]
    stream.hint([("Link", "</style.css>; rel=preload")])
    stream.respond(found, Response(b"x"))
    stream.hint([("Link", "</late.css>")])
    said = subject.heard()
    assert [head[":status"] for head in said.heads[1]] == ["103", "200"]
    assert said.heads[1][0]["link"] == "</style.css>; rel=preload"


def test_answers_wait_for_the_window_of_their_stream() -> None:
    subject = Talk(first=PREFACE + settings({4: 10}))
    subject.say(headers(1, request()), headers(3, request()))
    said = subject.answer(b"0123456789abcdef", 0)
    assert (said.bodies[1], said.ended) == (b"0123456789", set())
    assert subject.stream(0).pending == 6
    assert subject.answer(b"short", 1).ended == {3}
    said = subject.say(window_update(1, 2))
    assert said.bodies[1] == b"0123456789ab"
    said = subject.say(settings({4: 14}))
    assert (said.bodies[1], said.ended) == (b"0123456789abcdef", {1, 3})


def test_a_window_may_become_negative() -> None:
    subject = Talk(first=PREFACE + settings({4: 10}))
    subject.say(headers(1, request()))
    subject.answer(b"0123456789abcdef")
    subject.say(settings({4: 5}), window_update(1, 5))
    assert subject.heard().bodies[1] == b"0123456789"
    assert subject.say(window_update(1, 1)).bodies[1] == b"0123456789a"


def test_streams_share_the_window_of_the_connection_by_turns() -> None:
    subject = Talk(first=PREFACE + settings({4: 1 << 20}))
    subject.say(headers(1, request()), headers(3, request()))
    subject.answer(b"a" * 100_000, 0)
    subject.answer(b"b" * 100_000, 1)
    subject.codec.pump(1 << 20)
    said = subject.say(window_update(0, 1 << 20))
    subject.codec.pump(1 << 20)
    said = subject.heard()
    assert (len(said.bodies[1]), len(said.bodies[3])) == (100_000, 100_000)
    order = [frame.stream_id for frame in said.frames if type(frame).__name__ == "DataFrame"]
    turns = sum(one != other for one, other in pairwise(order))
    assert turns >= 5


def test_no_more_is_queued_than_there_is_room_for() -> None:
    subject = Talk(first=PREFACE + settings({4: 1 << 20}) + window_update(0, 1 << 20))
    subject.say(headers(1, request()))
    subject.answer(b"a" * 200_000)
    assert subject.codec.starved
    assert len(subject.peer.said.bodies[1]) < 60_000
    subject.codec.pump(1 << 20)
    assert len(subject.heard().bodies[1]) == 200_000


def test_settings_are_acknowledged_and_pings_answered() -> None:
    said = Talk().say(settings({5: 1 << 20}), ping(b"abcdefgh"))
    assert (said.acks, said.pongs) == (2, [b"abcdefgh"])
