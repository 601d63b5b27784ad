from __future__ import annotations

from typing import Any

import pytest

from greenimi.hub import packets
from greenimi.hub.packets import Change, Close, Count, List, News, Push, Say, Shared, Surrender
from tests.hub.joined import JSON

ALL: list[Any] = [
    Push("g:a", [], {"json": b"1"}, None, None, False, [4], "k"),
    Push("", [1 << 62], {}, b"\x01", b"raw", True, [], None),
    Close("*", [], 1000, "bye"),
    Count("u:ann"),
    List("s:chat"),
    Change("join", 5, "room", {"name": "Ann"}),
    News("room", 7, "e", b"\x01"),
    Shared(5, "update", "", {"a": [1, b"x"]}),
    Surrender(5, b"d" * 32),
    Say("reload", b"\xc0"),
]


@pytest.mark.parametrize("packet", ALL, ids=lambda packet: type(packet).__name__)
def test_each_arrives_as_it_was_sent(packet: Any) -> None:
    assert packets.decode(packets.encode(packet)) == packet


@pytest.mark.parametrize("broken", [b"", b"\xc1", b"\x91\xa1z", packets.encode(Count("x"))[:-1], packets.encode(ALL[0])[:9]])
def test_what_is_none_raises_value_error(broken: bytes) -> None:
    with pytest.raises(ValueError):
        packets.decode(broken)


@pytest.mark.parametrize("raw", ["text", b"bytes"])
def test_raw_stays_text_or_bytes(raw: str | bytes) -> None:
    push = Push("g:a", [], {}, None, raw.encode() if isinstance(raw, str) else raw, isinstance(raw, str), [], "k")
    outgoing = push.outgoing({})
    assert (outgoing.raw, outgoing.key) == (raw, "k")


def test_bodies_are_taken_as_they_are() -> None:
    outgoing = Push("g:a", [], {"json": b"[1]"}, None, None, False, [], None).outgoing({})
    assert outgoing.framed(JSON) == b"[1]\n"


@pytest.mark.parametrize("value", [object(), 1 << 64, "\ud800"])
def test_values_without_messagepack(value: Any) -> None:
    with pytest.raises(packets.UNTELLABLE):
        packets.encode_value(value)


def test_value_within_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(packets.UNTELLABLE):
        packets.encode_value(value)
