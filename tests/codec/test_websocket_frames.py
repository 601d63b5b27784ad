"""Frames as pure functions: masks, sizes, fragments, what a Close frame holds."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.websocket_frames import (
    BINARY,
    COMPRESSED,
    CONTINUATION,
    apply_mask,
    close_payload,
    fragment,
    frame,
    long_size,
    masked_frame,
    parse_close,
    too_large,
    xor_mask,
)
from greenimi.errors import ProtocolError


def by_byte(data: Sequence[int], mask: bytes) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_masking(data: bytes, mask: bytes) -> None:
    assert xor_mask(data, mask) == apply_mask(data, mask) == by_byte(data, mask)


@pytest.mark.parametrize("size", [16383, 16384, 16385, 50001])
def test_masking_in_blocks(size: int) -> None:
    data = os.urandom(size)
    assert xor_mask(data, b"\x01\x80\xff\x7f") == by_byte(data, b"\x01\x80\xff\x7f")


@pytest.mark.parametrize(
    ("size", "head"), [(125, b"\x82\x7d"), (126, b"\x82\x7e\x00\x7e"), (65536, b"\x82\x7f" + (65536).to_bytes(8, "big"))]
)
def test_sizes(size: int, head: bytes) -> None:
    framed = frame(b"x" * size)
    assert framed == head + b"x" * size
    assert long_size(head[2:]) == size if size > 125 else len(head) == 2


@pytest.mark.parametrize("field", [b"\x00\x7d", (65535).to_bytes(8, "big")])
def test_sizes_are_written_in_as_few_bytes_as_possible(field: bytes) -> None:
    with pytest.raises(ProtocolError):
        long_size(field)


def test_text_is_told_from_bytes() -> None:
    assert frame("x")[0] == 0x81
    assert frame(b"x")[0] == 0x82
    assert frame(b"x", BINARY | COMPRESSED)[0] == 0xC2
    assert masked_frame("x")[:2] == b"\x81\x81"


def test_a_fragment_is_not_the_end() -> None:
    assert fragment(frame("x")) == b"\x01\x01x"
    assert fragment(frame(b"x", CONTINUATION)) == b"\x00\x01x"


def test_what_a_goodbye_holds() -> None:
    assert parse_close(close_payload(1000, "done")) == (1000, "done")
    assert parse_close(b"") == (1005, "")
    assert len(close_payload(1000, "ä" * 100)) == 2 + 122
    for bad in (b"x", b"\x03\xed"):
        with pytest.raises(ProtocolError):
            parse_close(bad)
    with pytest.raises(ValueError, match="1005"):
        close_payload(1005, "")


def test_what_cannot_be_sent_is_told_with_its_size() -> None:
    assert str(too_large(11, 10)) == "a message of 11 bytes cannot be sent, at most 10 are allowed"
