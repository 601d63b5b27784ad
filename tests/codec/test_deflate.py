"""Compression of single messages, with and without context."""

from __future__ import annotations

import os
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.deflate import ContextPacker, DeflateRules, PackedMessage, Packer, Unpacker
from greenimi.errors import ProtocolError

ALL = DeflateRules(minimum=0)
TEXT = b"to be, or not to be, that is the question; " * 50


def unpacker(limit: int = 1 << 20, *, window: int = 12, context: bool = False) -> Unpacker:
    return Unpacker(window, context=context, limit=limit)


def deflated(data: bytes, window: int = 15, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """As somebody else's zlib does it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -window)
    packed = compressor.compress(data) + compressor.flush(flush)
    return packed[:-4] if flush == zlib.Z_SYNC_FLUSH else packed


def code_of(found: Unpacker, data: bytes) -> int:
    with pytest.raises(ProtocolError) as caught:
        found.unpack(data)
    return caught.value.code


@given(st.binary(max_size=3000), st.integers(9, 15), st.integers(1, 9))
def test_what_is_packed_is_unpacked_again(data: bytes, window: int, level: int) -> None:
    packed = Packer(DeflateRules(level, 0), window).pack(data * 3)
    assert packed is None or (len(packed) < 3 * len(data) and unpacker(window=window).unpack(packed) == data * 3)


@given(st.lists(st.binary(max_size=500), max_size=8), st.integers(9, 15))
def test_with_context_as_well(messages: list[bytes], window: int) -> None:
    packer = ContextPacker(ALL, window)
    reader = unpacker(window=window, context=True)
    for message in messages * 2:
        packed = packer.pack(message)
        assert packed is not None
        assert reader.unpack(packed) == message


def test_context_makes_what_was_said_before_small() -> None:
    message = os.urandom(200)
    packer = ContextPacker(ALL, 12)
    first, second = packer.pack(message), packer.pack(message)
    assert first is not None
    assert second is not None
    assert len(first) > 200
    assert len(second) < 20


def test_without_context_each_message_stands_alone_and_is_the_same_for_everybody() -> None:
    packer = Packer(ALL, 12)
    assert packer.pack(TEXT) == packer.pack(TEXT)


@pytest.mark.parametrize("kind", [Packer, ContextPacker])
def test_small_messages_are_sent_as_they_are(kind: type[Packer]) -> None:
    packer = kind(DeflateRules(minimum=100), 12)
    assert packer.pack(b"x" * 99) is None
    assert packer.pack(b"x" * 100) is not None


def test_what_does_not_get_smaller_is_sent_as_it_is() -> None:
    assert Packer(ALL, 12).pack(os.urandom(5000)) is None


def test_nothing_looks_back_further_than_the_window() -> None:
    block = os.urandom(600)
    packed = Packer(ALL, 9).pack(block * 2)
    assert packed is None  # the second block is 600 bytes behind the first
    packed = Packer(ALL, 10).pack(block * 2)
    assert packed is not None
    assert unpacker(window=10).unpack(packed) == block * 2


# -- bounds --------------------------------------------------------------------------------------------------------


def test_the_limit_is_that_of_the_inflated_message() -> None:
    assert unpacker(1000).unpack(deflated(b"x" * 1000, 12)) == b"x" * 1000
    assert code_of(unpacker(1000), deflated(b"x" * 1001, 12)) == 1009
    incompressible = os.urandom(1000)
    assert unpacker(1000).unpack(deflated(incompressible, 12)) == incompressible


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    bomb = deflated(b"\0" * 50_000_000)
    assert len(bomb) < 60_000
    tracemalloc.start()
    try:
        assert code_of(unpacker(100_000, window=15), bomb) == 1009
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_nothing_is_held_between_two_messages_without_context() -> None:
    packer, reader = Packer(ALL, 15), unpacker(window=15)
    packed = packer.pack(TEXT)
    assert packed is not None
    tracemalloc.start()
    try:
        for _ in range(3):
            reader.unpack(packed)
            packer.pack(TEXT)
        assert tracemalloc.get_traced_memory()[0] < 5000
    finally:
        tracemalloc.stop()
    assert reader._inflater is None


def test_with_context_nothing_is_held_before_the_first_message() -> None:
    packer = ContextPacker(DeflateRules(minimum=100), 12)
    assert packer.pack(b"small") is None
    assert packer._compressor is None
    assert unpacker(context=True)._inflater is None


# -- what others may send ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind", [b"", b"\0"])
@pytest.mark.parametrize("context", [False, True])
def test_a_block_may_call_itself_the_last_one(behind: bytes, context: bool) -> None:
    reader = unpacker(context=context)
    for _ in range(2):
        assert reader.unpack(deflated(TEXT, 12, zlib.Z_FINISH) + behind) == TEXT
    assert reader.unpack(deflated(TEXT, 12)) == TEXT


@pytest.mark.parametrize("data", [b"\xff\xff\xff", deflated(TEXT, 12, zlib.Z_FINISH) + b"more", b"\x01\x00\x00"])
def test_what_is_no_compressed_data_is_1007(data: bytes) -> None:
    assert code_of(unpacker(), data) == 1007


def test_a_window_of_8_can_be_read() -> None:
    """zlib cannot make one; what looks back less far is in it as well."""
    assert unpacker(window=8).unpack(deflated(b"x" * 200, 9)) == b"x" * 200


@pytest.mark.parametrize(("text", "expected"), [(True, "ä" * 100), (False, ("ä" * 100).encode())])
def test_a_message_takes_its_size_when_it_is_unpacked(text: bool, expected: object) -> None:
    message = PackedMessage(deflated(("ä" * 100).encode(), 12), unpacker(), text=text)
    assert message.raw == b""
    message.unpack()
    assert message.raw == expected


def test_text_that_is_none() -> None:
    message = PackedMessage(deflated(b"\xff" * 10, 12), unpacker(), text=True)
    with pytest.raises(ProtocolError, match="UTF-8") as caught:
        message.unpack()
    assert caught.value.code == 1007


# -- parts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Packer, ContextPacker])
def test_parts_can_be_read_as_they_come(kind: type[Packer]) -> None:
    packer = kind(ALL, 12)
    compressor = packer.fresh()
    reader = zlib.decompressobj(-12)
    whole = b""
    for part in (b"one", TEXT, b"x", TEXT):
        packed = packer.part(compressor, part)
        assert reader.decompress(packed) == part
        whole += packed
    assert unpacker().unpack(whole + packer.last_part) == b"one" + TEXT + b"x" + TEXT
