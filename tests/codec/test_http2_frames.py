"""Frames of HTTP/2: what we make is what others read; what is wrong by itself is found."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import Frame

from greenimi.codec import http2_frames as frames


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (frames.reset(5, ErrorCodes.CANCEL), "RstStreamFrame(stream_id=5, flags=[]): error_code=8"),
        (frames.goaway(7, 1, "why"), "GoAwayFrame(stream_id=0, flags=[]): last_stream_id=7, error_code=1, additional_data=b'why'"),
        (frames.window_update(0, 9), "WindowUpdateFrame(stream_id=0, flags=[]): window_increment=9"),
        (frames.settings([(3, 100)]), "SettingsFrame(stream_id=0, flags=[]): settings={3: 100}"),
        (frames.frame(frames.PING, frames.ACK, 0, b"12345678"), "PingFrame(stream_id=0, flags=['ACK']): opaque_data=b'12345678'"),
    ],
)
def test_others_read_what_we_make(made: bytes, shown: str) -> None:
    frame, size = Frame.parse_frame_header(memoryview(made[:9]))
    assert len(made) == 9 + size
    frame.parse_body(memoryview(made[9:]))
    assert repr(frame) == shown


def test_a_long_head_goes_on_in_further_frames() -> None:
    made = frames.head_frames(1, b"x" * 25, frames.END_STREAM, 10)
    assert [(made[at + 3], made[at + 4], made[at + 2]) for at in (0, 19, 38)] == [(1, 1, 10), (9, 0, 10), (9, 4, 5)]
    assert frames.head_frames(1, b"x" * 10, 0, 10)[3:5] == b"\x01\x04"


def test_padding_is_taken_off() -> None:
    assert frames.unpadded(b"\x02abcd", frames.PADDED) == b"ab"
    assert frames.unpadded(b"abcd", 0) == b"abcd"
    with pytest.raises(frames.ConnectionFault) as caught:
        frames.unpadded(b"\x05abcd", frames.PADDED)
    assert caught.value.code == ErrorCodes.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("kind", "flags", "stream", "size", "code"),
    [
        (frames.DATA, 0, 0, 1, ErrorCodes.PROTOCOL_ERROR),
        (frames.PING, 0, 1, 8, ErrorCodes.PROTOCOL_ERROR),
        (frames.PING, 0, 0, 7, ErrorCodes.FRAME_SIZE_ERROR),
        (frames.SETTINGS, frames.ACK, 0, 6, ErrorCodes.FRAME_SIZE_ERROR),
        (frames.PRIORITY, 0, 1, 4, ErrorCodes.FRAME_SIZE_ERROR),
        (frames.GOAWAY, 0, 0, 7, ErrorCodes.FRAME_SIZE_ERROR),
    ],
)
def test_what_is_wrong_whatever_came_before(kind: int, flags: int, stream: int, size: int, code: ErrorCodes) -> None:
    with pytest.raises(frames.Fault) as caught:
        frames.check(kind, flags, stream, size)
    assert caught.value.code == code
    assert isinstance(caught.value, frames.StreamFault) == (kind == frames.PRIORITY)


def test_the_upper_bit_of_a_number_says_nothing() -> None:
    assert frames.number(b"\x80\0\0\x05rest") == 5
