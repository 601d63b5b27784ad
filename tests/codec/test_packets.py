"""The codec of packets: what is unfinished, ends, and packets framed once for many connections."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from greenimi.codec.base import BODY, NOTHING
from greenimi.codec.framing import Delimiter, Fixed, Framing, LengthPrefix, Line
from greenimi.codec.packets import PacketCodec, PacketDialect
from greenimi.codec.payload import Json, MsgPack
from greenimi.interfaces import IDialect
from tests.codec.feeding import feed


@pytest.mark.parametrize(("framing", "start"), [(Line(), b"half a comm"), (LengthPrefix(16), b"\0\x05ab"), (Fixed(9), b"abcd")])
def test_an_unfinished_packet_is_reported_and_never_handed_out(framing: Framing, start: bytes) -> None:
    codec = PacketCodec(framing)
    assert feed(codec, start, b"") == [f"the peer closed in the middle of a packet, after {len(start)} bytes of it"]
    assert codec.ended
    assert codec.receive(b"") == []


def test_nothing_is_sent_or_read_after_close() -> None:
    codec = PacketCodec(Line())
    codec.send("bye")
    codec.close()
    codec.send("late")
    assert codec.closing
    assert codec.outgoing() == b"bye\n"
    assert codec.receive(b"more\n") == []


@pytest.mark.parametrize(
    ("framing", "data", "partial"),
    [
        (Line(), b"", NOTHING),
        (Line(), b"one\n", NOTHING),
        (Line(), b"one\ntw", BODY),
        (LengthPrefix(8), b"\x02ab", NOTHING),
        (LengthPrefix(8), b"\x02a", BODY),
        (LengthPrefix(16), b"\x00\x01a\x00", BODY),
        (Fixed(2), b"abc", BODY),
    ],
)
def test_what_is_partial(framing: Framing, data: bytes, partial: int) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        codec = PacketCodec(framing)
        for piece in pieces:
            codec.receive(piece)
        assert codec.partial == partial, pieces


def test_who_is_turned_away_is_closed() -> None:
    codec = PacketCodec(Line())
    codec.turn_away()
    assert (codec.closing, codec.outgoing()) == (True, b"")


# -- framed once -----------------------------------------------------------------------------------------------------


def test_what_a_dialect_framed_goes_out_as_it_is() -> None:
    dialect = PacketDialect(LengthPrefix(16), Json())
    assert verifyObject(IDialect, dialect)
    framed = dialect.frame(dialect.payload.encode([1]))
    assert framed == dialect.frame_raw("[1]") == dialect.frame_raw(b"[1]") == b"\0\x03[1]"
    one, two = PacketCodec(LengthPrefix(16)), PacketCodec(LengthPrefix(16))
    two.close()
    for codec in (one, two):
        codec.send_framed(framed)
    assert one.outgoing() == framed
    assert two.outgoing() == b""


def test_a_dialect_of_another_payload_has_the_same_framing() -> None:
    dialect = PacketDialect(LengthPrefix(16), Json())
    packed = dialect.speaking(MsgPack())
    assert packed.kind is dialect.kind
    assert packed.frame(packed.payload.encode([1])) == b"\0\x02\x91\x01"


@pytest.mark.parametrize(("framing", "raw"), [(Delimiter(b";"), b"a;"), (Line(send_limit=3), b"abcd"), (Fixed(2), b"abc")])
def test_a_dialect_refuses_what_its_framing_cannot_carry(framing: Framing, raw: bytes) -> None:
    with pytest.raises(ValueError, match="packet"):
        PacketDialect(framing, Json()).frame(raw)
