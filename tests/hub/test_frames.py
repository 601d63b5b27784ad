"""Frames between processes: however they are split, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.hub import frames
from greenimi.hub.frames import ANSWER, BEAT, CALL, HELLO, LARGEST, TELL, WANT, FrameError, FrameReader, Greeting
from greenimi.testing.contracts.split import splits

SOME = [(TELL, b"x" * 300), (BEAT, b""), (WANT, "g:ä".encode()), (CALL, b"\x01\x00\x00\x00y"), (TELL, b""), (ANSWER, b"\x01\x00\x00\x00")]
STREAM = b"".join(frames.frame(kind, body) for kind, body in SOME)

Found = list[tuple[int, bytes]]


def test_any_split_gives_the_same_frames() -> None:
    for pieces in splits(STREAM):
        reader, found = FrameReader(), Found()
        for piece in pieces:
            reader.receive(piece, found)
        assert found == SOME


@given(st.lists(st.tuples(st.integers(0, ANSWER), st.binary(max_size=50))), st.lists(st.integers(1, 60)))
def test_any_frames_in_any_pieces(sent: Found, sizes: list[int]) -> None:
    stream = b"".join(frames.frame(kind, body) for kind, body in sent)
    reader, found = FrameReader(), Found()
    at = 0
    for size in [*sizes, len(stream)]:
        reader.receive(stream[at : at + size], found)
        at += size
    assert found == sent


def test_a_large_frame_is_put_together_once() -> None:
    """Not anew for each piece: that would take a minute."""
    body = bytes(32 * 1024 * 1024)
    stream = frames.frame(TELL, body)
    reader, found = FrameReader(), Found()
    for at in range(0, len(stream), 4096):
        reader.receive(stream[at : at + 4096], found)
    assert found == [(TELL, body)]


@pytest.mark.parametrize(
    "broken",
    [b"\xff\xff\xff\xff\x05", (LARGEST + 1).to_bytes(4, "little") + b"\x05", b"\x00\x00\x00\x00\x08", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["endless", "too large", "unknown kind", "another protocol"],
)
def test_what_is_no_frame_is_refused_behind_the_good_ones(broken: bytes) -> None:
    reader, found = FrameReader(), Found()
    with pytest.raises(FrameError, match="a frame of"):
        reader.receive(STREAM + broken, found)
    assert found == SOME


def test_the_length_is_looked_at_before_the_rest_came() -> None:
    with pytest.raises(FrameError):
        FrameReader().receive((LARGEST + 1).to_bytes(4, "little") + bytes([TELL]), [])


def test_who_says_hello_is_known() -> None:
    found = Found()
    FrameReader().receive(frames.hello(0xFFFFFFFF, 4242), found)
    assert [kind for kind, _ in found] == [HELLO]
    assert frames.greeting_of(found[0][1]) == Greeting(0xFFFFFFFF, 4242)


@pytest.mark.parametrize("body", [b"", b"gimi", b"imig" + bytes(10), b"gimi" + bytes(11)])
def test_hellos_that_are_none(body: bytes) -> None:
    with pytest.raises(FrameError, match="does not say hello"):
        frames.greeting_of(body)


def test_another_version_is_named() -> None:
    with pytest.raises(FrameError, match="it speaks version 7, this process version 1"):
        frames.greeting_of(b"gimi" + (7).to_bytes(2, "little") + bytes(8))


def test_numbers_of_calls() -> None:
    found = Found()
    FrameReader().receive(frames.numbered(CALL, 0xFFFFFFFF, b"packet"), found)
    assert frames.number_of(found[0][1]) == 0xFFFFFFFF
    assert found[0][1][4:] == b"packet"
    with pytest.raises(FrameError, match="number is missing"):
        frames.number_of(b"123")


def test_targets_are_utf8() -> None:
    assert frames.target_of("g:ä".encode()) == "g:ä"
    with pytest.raises(FrameError, match="no UTF-8"):
        frames.target_of(b"\xff")
