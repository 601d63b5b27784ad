"""The WebSocket codec where compression was agreed on, against itself and the protocol of another library."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from greenimi.codec.base import BODY, NOTHING
from greenimi.codec.deflate import ContextPacker, DeflateRules, PackedMessage, Packer, Unpacker
from greenimi.codec.websocket import ClientCodec, WebSocketCodec
from greenimi.codec.websocket_frames import BINARY, COMPRESSED, CONTINUATION, PING, TEXT, fragment, masked_frame
from greenimi.errors import ProtocolError
from greenimi.message import Message

RULES = DeflateRules(minimum=0)
Item = bytes | str | tuple[str, int]


def coders(context: bool, limit: int = 1 << 20) -> dict[str, Any]:
    packer = ContextPacker(RULES, 12) if context else Packer(RULES, 12)
    return {"packer": packer, "unpacker": Unpacker(12, context=context, limit=limit)}


def server(context: bool = False, *, max_message: int = 1 << 20, **more: Any) -> WebSocketCodec:
    return WebSocketCodec(max_message=max_message, **coders(context, max_message), **more)


def shown(found: Iterable[Message | ProtocolError]) -> list[Item]:
    """What a server would make of them."""
    items: list[Item] = []
    for each in found:
        if isinstance(each, PackedMessage):
            try:
                each.unpack()
            except ProtocolError as error:
                items.append(("error", error.code))
                continue
        items.append(("error", each.code) if isinstance(each, ProtocolError) else each.raw)
    return items


def packed(data: bytes) -> bytes:
    found = ContextPacker(RULES, 12).pack(data)
    assert found is not None
    return found


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges) if stop > start]


messages = st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=6)
cuts = st.lists(st.integers(0, 5000), max_size=10)


@given(messages, cuts, st.booleans())
def test_client_and_server_understand_each_other(sent: list[bytes | str], cuts: list[int], context: bool) -> None:
    client, here = ClientCodec(**coders(context)), server(context)
    for writer, reader in ((client, here), (here, client)):
        for message in sent:
            writer.send(message)
        data = writer.outgoing()
        assert [item for piece in split(data, cuts) for item in shown(reader.receive(piece))] == sent


@given(messages, st.booleans())
def test_another_library_reads_what_we_write(sent: list[bytes | str], context: bool) -> None:
    here = server(context)
    for message in sent:
        here.send(message)
    reader = Protocol(Side.CLIENT, state=State.OPEN)
    reader.extensions = [PerMessageDeflate(not context, not context, 12, 12)]
    reader.receive_data(here.outgoing())
    assert reader.parser_exc is None
    frames = [event for event in reader.events_received() if isinstance(event, Frame)]
    assert [bytes(f.data).decode() if f.opcode is Opcode.TEXT else bytes(f.data) for f in frames] == sent


@given(messages, cuts, st.booleans())
def test_we_read_what_another_library_writes(sent: list[bytes | str], cuts: list[int], context: bool) -> None:
    writer = Protocol(Side.CLIENT, state=State.OPEN)
    writer.extensions = [PerMessageDeflate(not context, not context, 12, 12)]
    for message in sent:
        if isinstance(message, str):
            writer.send_text(message.encode())
        else:
            writer.send_binary(message)
    here = server(context)
    data = b"".join(writer.data_to_send())
    assert [item for piece in split(data, cuts) for item in shown(here.receive(piece))] == sent


def test_messages_as_they_are_may_come_between() -> None:
    here = server()
    data = masked_frame("plain") + masked_frame(packed(b"packed"), TEXT | COMPRESSED) + masked_frame(b"plain")
    assert shown(here.receive(data)) == ["plain", "packed", b"plain"]


def test_fragments_with_pings_between() -> None:
    whole = packed(b"a message in pieces, a message in pieces")
    here = server()
    data = fragment(masked_frame(whole[:5], TEXT | COMPRESSED)) + masked_frame(b"?", PING) + masked_frame(whole[5:], CONTINUATION)
    found: list[Item] = []
    for at in range(len(data)):
        found += shown(here.receive(data[at : at + 1]))
        assert here.partial == (NOTHING if at == len(data) - 1 else BODY)
    assert found == ["a message in pieces, a message in pieces"]
    assert here.outgoing() == b"\x8a\x01?"


@pytest.mark.parametrize(
    "data",
    [
        masked_frame(b"", PING | COMPRESSED),
        masked_frame(packed(b"x"), TEXT | 0x20),
        masked_frame(packed(b"x"), TEXT | 0x60),
        fragment(masked_frame(packed(b"x"), TEXT | COMPRESSED)) + masked_frame(b"", CONTINUATION | COMPRESSED),
    ],
)
def test_reserved_bits_that_mean_nothing(data: bytes) -> None:
    here = server()
    assert shown(here.receive(data)) == [("error", 1002)]
    assert here.ended


def test_without_agreement_no_bit_means_anything() -> None:
    assert shown(WebSocketCodec().receive(masked_frame(packed(b"x"), TEXT | COMPRESSED))) == [("error", 1002)]


def test_messages_take_no_more_room_than_they_came_with() -> None:
    """Many small ones that each become as large as may be, in one read."""
    here = server(max_message=100_000)
    bomb = masked_frame(packed(b"\0" * 100_000), BINARY | COMPRESSED)
    found = here.receive(bomb * 50)
    assert len(found) == 50
    assert sum(len(message._packed or b"") for message in found if isinstance(message, PackedMessage)) < len(bomb) * 50


def test_limits() -> None:
    exact = os.urandom(10_000)
    assert shown(server(max_message=10_000).receive(masked_frame(packed(exact), BINARY | COMPRESSED))) == [exact]
    assert shown(server(max_message=10_000).receive(masked_frame(packed(b"x" * 10_001), BINARY | COMPRESSED))) == [("error", 1009)]
    data = masked_frame(packed(os.urandom(20_000)), BINARY | COMPRESSED)
    assert shown(server(max_message=10_000).receive(data[:100])) == [("error", 1009)], "by its header"
    assert shown(server(max_frame=100).receive(masked_frame(packed(os.urandom(200)), BINARY | COMPRESSED))) == [("error", 1009)]


def test_empty_blocks_without_end_are_too_much() -> None:
    here = server(max_message=1000)
    found: list[Item] = shown(here.receive(fragment(masked_frame(packed(b"x"), TEXT | COMPRESSED))))
    while not found:
        found = shown(here.receive(fragment(masked_frame(b"\x00\x00\x00\xff\xff" * 20, CONTINUATION))))
    assert found == [("error", 1009)]


def test_bad_data_and_bad_text_are_1007() -> None:
    assert shown(server().receive(masked_frame(b"\xff\xff\xff", TEXT | COMPRESSED))) == [("error", 1007)]
    assert shown(server().receive(masked_frame(packed(b"\xff\xfe"), TEXT | COMPRESSED))) == [("error", 1007)]


@pytest.mark.parametrize("context", [False, True])
def test_a_message_in_parts(context: bool) -> None:
    here, client = server(context), ClientCodec(**coders(context))
    for _ in range(2):
        here.begin_parts(text=True)
        here.part(b"one and ")
        here.ping(b"?")
        here.part(b"one and ")
        here.part(b"two")
        here.finish_parts()
        here.send("whole")
        assert shown(client.receive(here.outgoing())) == ["one and one and two", "whole"]
        assert client.outgoing()[:1] == b"\x8a"
