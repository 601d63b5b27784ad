"""Heads that come again and again."""

from __future__ import annotations

from tests.codec.http2_peer import (
    headers,
    plain,
    request,
)
from tests.codec.http2_talk import Talk


def test_heads_that_come_again_are_known_until_the_table_changes() -> None:
    subject = Talk()
    encode = subject.peer.encoder.encode
    for number in (1, 3, 5):
        subject.say(headers(number, block=encode(request("GET", "/again", ("x", "1")))))
    assert len(subject.codec._blocks.known) == 1
    subject.say(headers(7, block=encode(request("GET", "/again", ("x", "2")))))
    assert not subject.codec._blocks.known
    subject.say(headers(9, block=encode(request("GET", "/again", ("x", "1")))))
    assert [found.headers["x"] for found in subject.requests] == ["1", "1", "1", "2", "1"]


def test_an_entry_that_takes_the_place_of_another_changes_the_table() -> None:
    subject = Talk()
    small = b"\x3f\x0b"  # a table of 42 bytes: room for one entry of a name and a value of 10 bytes
    literal = b"\x40\x02aa"
    subject.say(headers(1, block=small + plain(request()) + literal + b"\x03old"))
    subject.say(headers(3, block=plain(request()) + b"\xbe"), headers(5, block=plain(request()) + b"\xbe"))
    subject.say(headers(7, block=plain(request()) + literal + b"\x03tmp" + literal + b"\x03new"))
    subject.say(headers(9, block=plain(request()) + b"\xbe"))
    assert [found.headers["aa"] for found in subject.requests] == ["old", "old", "old", "tmp, new", "new"]
