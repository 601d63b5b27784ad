from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from greenimi.codec.framing import Delimiter, Fixed, Framing, LengthPrefix, Line, framing_from, framing_of
from greenimi.codec.packets import PacketCodec
from greenimi.errors import ConfigError, ProtocolError
from greenimi.interfaces import IFraming
from tests.codec.feeding import feed, one_by_one, split_at


class Bang:
    """Somebody's own framing: packets end with "!", and a "?" is not understood."""

    def __init__(self, limit: int = 50) -> None:
        self.limit = limit

    def cut(self, buffer: bytes) -> tuple[list[bytes], bytes]:
        if b"?" in buffer:
            raise ValueError("what?")
        if b"#" in buffer:
            raise ProtocolError("no #")
        *packets, rest = buffer.split(b"!")
        return packets, rest

    def wrap(self, packet: bytes) -> bytes:
        return packet + b"!"


def bang(limit: int = 50) -> Bang:
    return Bang(limit)


class Half:
    def cut(self, buffer: bytes) -> tuple[list[bytes], bytes]:
        return [], buffer


letters = st.binary(max_size=12).map(lambda data: data.translate(None, b"\r\n!?#;"))
cuts = st.lists(st.integers(0, 300), max_size=10)

FRAMINGS: list[tuple[Any, st.SearchStrategy[bytes]]] = [
    (Line(), letters),
    (Delimiter(b";"), letters),
    (Delimiter(b"\r\n"), letters),
    (Delimiter("--end--"), letters),
    (LengthPrefix(8), st.binary(max_size=255)),
    (LengthPrefix(16, "little"), st.binary(max_size=300)),
    (LengthPrefix(32), st.binary(max_size=300)),
    (LengthPrefix(32, body_offset=0), st.binary(max_size=300)),
    (LengthPrefix(16, offset=3), st.binary(min_size=3, max_size=30)),
    (LengthPrefix(16, "little", offset=2, body_offset=0), st.binary(min_size=2, max_size=30)),
    (LengthPrefix(8, offset=1, body_offset=6), st.binary(min_size=5, max_size=30)),
    (Fixed(5), st.binary(min_size=5, max_size=5)),
    (Bang(), letters),
]


@given(st.data(), cuts)
@pytest.mark.parametrize(("framing", "packets"), FRAMINGS, ids=lambda value: type(value).__name__)
def test_any_split_gives_the_same_packets(framing: Any, packets: st.SearchStrategy[bytes], data: st.DataObject, cuts: list[int]) -> None:
    sent = data.draw(st.lists(packets, max_size=6))
    sender = PacketCodec(framing)
    for packet in sent:
        sender.send(packet)
    wire = sender.outgoing()
    receiver = PacketCodec(framing)
    assert feed(receiver, *split_at(wire, cuts)) == sent
    assert feed(PacketCodec(framing), *one_by_one(wire)) == sent
    assert framing.cut(wire) == (sent, b"")
    assert feed(receiver, b"") == []


LIMITED: list[Framing] = [
    Line(4),
    Delimiter(b";", 4),
    Delimiter(b"\n;", 4),
    LengthPrefix(8, limit=4),
    LengthPrefix(8, offset=1, limit=4),
    LengthPrefix(8, offset=1, body_offset=0, limit=4),
    Fixed(4),
]


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b";", b"\n;", b"\x01", b"\x03", b"\0"]), max_size=24).map(b"".join), cuts)
@pytest.mark.parametrize("framing", LIMITED, ids=lambda value: type(value).__name__)
def test_any_split_of_any_bytes_gives_the_same(framing: Framing, data: bytes, cuts: list[int]) -> None:
    """Also errors, though a split may show one earlier than the packet's end: so compare once the packet must have ended."""
    data += b"aaaaaaaa\n;\n;"
    whole = feed(PacketCodec(framing), data)
    assert feed(PacketCodec(framing), *split_at(data, cuts)) == whole
    assert feed(PacketCodec(framing), *one_by_one(data)) == whole
    assert all(len(item) <= 4 for item in whole if isinstance(item, bytes))


@pytest.mark.parametrize("framing", [Line(), Delimiter(b"--end--"), LengthPrefix(32), Fixed(20_000)])
def test_a_large_packet_is_looked_at_once(framing: Framing, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the pieces: what came before is not cut, copied or searched again."""
    seen: list[int] = []
    split = framing.split

    def counted(data: bytes, packets: list[bytes]) -> bytes:
        seen.append(len(data))
        return split(data, packets)

    monkeypatch.setattr(framing, "split", counted)
    packet = b"x" * 20_000
    wire = framing.wrap(packet)
    codec = PacketCodec(framing)
    assert feed(codec, *[wire[at : at + 10] for at in range(0, len(wire), 10)]) == [packet]
    assert len(seen) == 2


# -- lines and delimiters ------------------------------------------------------------------------------------------


def test_lines_lose_one_carriage_return() -> None:
    assert feed(PacketCodec(Line()), b"a\r\nb\n\r\n\nc\r\r\nd") == [b"a", b"b", b"", b"", b"c\r"]


def test_a_delimiter_may_be_cut_in_two() -> None:
    assert feed(PacketCodec(Delimiter(b"--end--")), b"one--e", b"nd", b"--two--en", b"d--") == [b"one", b"two"]


@pytest.mark.parametrize(
    ("framing", "packet"), [(Line(), b"a\nb"), (Delimiter(b"ab"), b"xaby"), (Delimiter(b"aa"), b"xa"), (Delimiter(b"\r\n"), b"\r\n")]
)
def test_a_reply_cannot_smuggle_a_delimiter(framing: Framing, packet: bytes) -> None:
    with pytest.raises(ValueError, match="delimiter"):
        PacketCodec(framing).send(packet)


@pytest.mark.parametrize("framing", [Line(4), Delimiter(b"\r\n", 4)])
def test_a_line_over_the_limit_is_refused_before_its_end(framing: Framing) -> None:
    over = "a packet is over the limit of 4 bytes"
    assert feed(PacketCodec(framing), b"abcd\r\nabcdef") == [b"abcd", over]
    assert feed(PacketCodec(framing), b"abcd", b"\r", b"\nab\r\nabcde\r\nx\r\n") == [b"abcd", b"ab", over]


@pytest.mark.parametrize(
    "framing",
    [Line(4), Line(9, send_limit=4), Delimiter(b";", 9, 4), LengthPrefix(limit=4), LengthPrefix(8, offset=1, send_limit=4), Fixed(4)],
)
def test_a_packet_over_the_limit_is_not_sent(framing: Framing) -> None:
    codec = PacketCodec(framing)
    codec.send(b"abcd")
    wire = codec.outgoing()
    with pytest.raises(ValueError, match=r"5 bytes is over the limit of 4 bytes for what is sent|must have 4 bytes, not 5"):
        codec.send(b"abcde")
    assert (codec.out, codec.closing) == ([], False)
    assert feed(PacketCodec(framing), wire) == [b"abcd"]


def test_more_may_be_sent_than_is_taken() -> None:
    framing = Line(4, send_limit=9)
    assert framing.wrap(b"123456789") == b"123456789\n"
    assert feed(PacketCodec(framing), b"12345\n") == ["a packet is over the limit of 4 bytes"]


def test_an_error_is_the_last_thing_told() -> None:
    codec = PacketCodec(Line(4))
    found = codec.receive(b"abcdefgh")
    assert isinstance(found[0], ProtocolError)
    assert (found[0].status, found[0].code) == (413, 1009)
    assert codec.ended
    assert codec.receive(b"ab\n") == []
    codec.fail(found[0])
    assert (codec.closing, codec.out) == (True, [])


# -- lengths -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framing", "packet", "wire"),
    [
        (LengthPrefix(8), b"abc", b"\x03abc"),
        (LengthPrefix(16), b"abc", b"\0\x03abc"),
        (LengthPrefix(16, "little"), b"abc", b"\x03\0abc"),
        (LengthPrefix(32), b"", b"\0\0\0\0"),
        (LengthPrefix(32, body_offset=0), b"abc", b"\0\0\0\x07abc"),
        (LengthPrefix(16, offset=2), b"HHabc", b"HH\0\x03abc"),
        (LengthPrefix(16, offset=2, body_offset=0), b"HHabc", b"HH\0\x07abc"),
        (LengthPrefix(8, offset=1, body_offset=4), b"Hxxabc", b"H\x03xxabc"),
    ],
)
def test_what_a_length_counts(framing: Framing, packet: bytes, wire: bytes) -> None:
    assert framing.wrap(packet) == wire
    assert framing.cut(wire * 2 + wire[:1]) == ([packet, packet], wire[:1])


def test_a_length_over_the_limit_is_refused_by_the_head() -> None:
    assert feed(PacketCodec(LengthPrefix(32, limit=10)), b"\0\0\0\x0a" + b"x" * 10 + b"\0\0\0\x0b") == [
        b"x" * 10,
        "a packet is over the limit of 10 bytes",
    ]
    assert feed(PacketCodec(LengthPrefix(32, limit=10)), b"\xff", b"\xff\xff", b"\xff") == ["a packet is over the limit of 10 bytes"]


def test_a_length_shorter_than_its_own_head() -> None:
    assert feed(PacketCodec(LengthPrefix(32, body_offset=0)), b"\0\0\0\x03") == ["a packet tells a length of 3 bytes, its head alone has 4"]


def test_packets_that_a_length_cannot_tell() -> None:
    with pytest.raises(ValueError, match="256 bytes is too long for a length of 8 bits"):
        LengthPrefix(8).wrap(b"x" * 256)
    with pytest.raises(ValueError, match="shorter than its head"):
        LengthPrefix(8, offset=4).wrap(b"abc")


def test_fixed_packets_have_their_size() -> None:
    with pytest.raises(ValueError, match="3 bytes, not 4"):
        Fixed(3).wrap(b"abcd")


# -- one's own ----------------------------------------------------------------------------------------------------


def test_own_framings_are_bounded_and_their_errors_the_peers() -> None:
    assert feed(PacketCodec(Bang(limit=5)), b"abc!def", b"ghi") == [b"abc", "a packet is over the limit of 5 bytes"]
    assert feed(PacketCodec(Bang()), b"a!b?") == ["Bang cannot cut packets: ValueError('what?')"]
    assert feed(PacketCodec(Bang()), b"a!#") == ["no #"]


def test_what_own_framings_send_is_bounded_and_their_errors_the_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    framing = framing_of(Bang(limit=3))
    assert framing.wrap(b"abc") == b"abc!"
    with pytest.raises(ValueError, match="4 bytes is over the limit of 3 bytes"):
        framing.wrap(b"abcd")
    for wrong in (lambda self, packet: 5, lambda self, packet: packet["x"]):
        monkeypatch.setattr(Bang, "wrap", wrong)
        with pytest.raises(ValueError, match=r"Bang cannot wrap a packet of 3 bytes: TypeError"):
            framing.wrap(b"abc")


def test_a_packet_of_an_own_framing_over_its_limit_is_refused_behind_those_before_it() -> None:
    assert feed(PacketCodec(Bang(limit=3)), b"abc!abcd!a!") == [b"abc", "a packet is over the limit of 3 bytes"]


@pytest.mark.parametrize("found", [(5, b""), ([], None), None, (["text"], b""), ([5], b""), ([], 5)])
def test_nonsense_of_an_own_framing_is_an_error_of_the_peers(monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    monkeypatch.setattr(Bang, "cut", lambda self, buffer: found)
    (error,) = feed(PacketCodec(Bang()), b"a!")
    assert str(error).startswith("Bang cannot cut packets: TypeError")


@pytest.mark.parametrize("framing", [Line(), Delimiter(b";"), LengthPrefix(), Fixed(1), Bang()])
def test_framings_keep_the_interface(framing: Any) -> None:
    assert verifyObject(IFraming, framing, tentative=isinstance(framing, Bang))


# -- from configuration --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "packet", "wire"),
    [
        ("line", b"abc", b"abc\n"),
        ({"kind": "delimiter", "delimiter": "\r\n", "limit": 10}, b"abc", b"abc\r\n"),
        ("length8", b"abc", b"\x03abc"),
        ("length16", b"abc", b"\0\x03abc"),
        ("length32", b"abc", b"\0\0\0\x03abc"),
        ({"kind": "length", "bits": 16, "byteorder": "little"}, b"abc", b"\x03\0abc"),
        ({"kind": "length16", "offset": 1, "body_offset": 0}, b"Habc", b"H\0\x06abc"),
        ({"kind": "fixed", "size": 3}, b"abc", b"abc"),
        (f"{__name__}:bang", b"abc", b"abc!"),
        (f"{__name__}:Bang", b"abc", b"abc!"),
        ({"kind": f"{__name__}:Bang", "limit": 3}, b"abc", b"abc!"),
    ],
)
def test_framings_by_name(settings: str | Mapping[str, Any], packet: bytes, wire: bytes) -> None:
    assert framing_from(settings).wrap(packet) == wire


def test_settings_reach_the_framing() -> None:
    assert framing_from({"kind": "line", "limit": 77}).limit == 77
    assert framing_from({"kind": "delimiter", "delimiter": ";", "limit": 77, "send_limit": 99}).send_limit == 99
    assert framing_from({"kind": f"{__name__}:Bang", "limit": 3}).limit == 3


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "a framing needs a kind"),
        ("lime", "unknown framing 'lime'\n  hint: did you mean line?"),
        ("xml", "one of line, delimiter"),
        ({"kind": "line", "limt": 3}, "unknown key limt for framing line\n  hint: did you mean limit?"),
        ({"kind": "length8", "bits": 16}, "unknown key bits for framing length8"),
        ({"kind": "line", "limit": "3"}, "framing line: limit must be of type int, not str"),
        ({"kind": "line", "limit": True}, "limit must be of type int, not bool"),
        ({"kind": "line", "limit": 0}, "framing line: limit must be at least 1, not 0"),
        ({"kind": "line", "send_limit": 0}, "framing line: send_limit must be at least 1, not 0"),
        ({"kind": "fixed", "size": 3, "send_limit": 4}, "unknown key send_limit for framing fixed"),
        ({"kind": "delimiter"}, "delimiter"),
        ({"kind": "delimiter", "delimiter": ""}, "delimiter must not be empty"),
        ({"kind": "length", "bits": 24}, "bits must be 8, 16 or 32, not 24"),
        ({"kind": "length", "byteorder": "middle"}, "byteorder must be"),
        ({"kind": "length", "offset": -1}, "must not be negative"),
        ({"kind": "fixed", "size": 0}, "size must be at least 1"),
        ("no.such.module:X", "framing 'no.such.module:X' cannot be loaded"),
        ({"kind": f"{__name__}:Bang", "colour": 1}, "colour"),
        (f"{__name__}:Half", "has no method wrap()"),
    ],
)
def test_bad_settings_are_named(settings: str | Mapping[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(text)):
        framing_from(settings)
