from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from greenimi.codec.base import BODY, NOTHING
from greenimi.codec.websocket import ClientCodec, WebSocketCodec
from greenimi.codec.websocket_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, xor_mask
from greenimi.errors import ProtocolError
from greenimi.message import Message

Item = bytes | str | tuple[str, int]


def raw_frame(opcode: int, payload: bytes = b"", fin: bool = True, mask: bytes | None = b"\x11\x22\x33\x44", reserved: int = 0) -> bytes:
    """A frame of a client, rules kept or not."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    if mask is not None:
        length = bytes([length[0] | 0x80]) + length[1:] + mask
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([opcode | (0x80 if fin else 0) | reserved]) + length + payload


def shown(found: Iterable[Message | ProtocolError]) -> list[Item]:
    return [("error", item.code) if isinstance(item, ProtocolError) else item.raw for item in found]


def feed(codec: WebSocketCodec, *pieces: bytes) -> list[Item]:
    return [item for piece in pieces for item in shown(codec.receive(piece))]


def split_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [piece for start, stop in pairwise(edges) if (piece := data[start:stop])]


def state(codec: WebSocketCodec) -> tuple[bool, bool]:
    return codec.ended, codec.closing


def sent_frames(codec: WebSocketCodec) -> list[tuple[int, bytes]]:
    """What a client made by other people reads from what the codec queued."""
    reader = Protocol(Side.CLIENT, state=State.OPEN, max_size=None)
    reader.receive_data(codec.outgoing())
    assert reader.parser_exc is None
    return [(event.opcode, bytes(event.data)) for event in reader.events_received() if isinstance(event, Frame)]


messages = st.one_of(st.text(max_size=200), st.binary(max_size=200))
cuts = st.lists(st.integers(0, 5000), max_size=12)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[Item]]:
    """A valid stream of whole and fragmented messages with control frames everywhere, and the messages in it."""
    data = b""
    expected: list[Item] = []
    control = st.lists(st.sampled_from([raw_frame(PING, b"p"), raw_frame(PONG), raw_frame(PING, b"x" * 125)]), max_size=2)
    for message in draw(st.lists(messages, max_size=5)):
        expected.append(message)
        payload = message.encode() if isinstance(message, str) else message
        parts = split_at(payload, draw(st.lists(st.integers(0, 300), max_size=3))) or [b""]
        opcode = TEXT if isinstance(message, str) else BINARY
        for position, part in enumerate(parts):
            data += b"".join(draw(control))
            final = position == len(parts) - 1
            data += raw_frame(CONTINUATION if position else opcode, part, final, draw(st.binary(min_size=4, max_size=4)))
    return data + b"".join(draw(control)), expected


@given(streams(), cuts)
def test_any_split_gives_the_same_messages(stream: tuple[bytes, list[Item]], cuts: list[int]) -> None:
    data, expected = stream
    assert feed(WebSocketCodec(), data) == expected
    assert feed(WebSocketCodec(), *split_at(data, cuts)) == expected
    assert feed(WebSocketCodec(), *[bytes([byte]) for byte in data]) == expected


@given(st.lists(messages, max_size=6), cuts)
def test_client_and_server_understand_each_other(sent: list[bytes | str], cuts: list[int]) -> None:
    client, server = ClientCodec(), WebSocketCodec()
    for message in sent:
        client.send(message)
    received = feed(server, *split_at(client.outgoing(), cuts))
    assert received == sent
    for message in sent:
        server.send(message)
    assert feed(client, *split_at(server.outgoing(), cuts)) == sent


# -- the oracle ----------------------------------------------------------------------------------------------------


def judged(data: bytes) -> list[Item]:
    """What the protocol of another library makes of the same bytes: messages, then the code of its own Close frame after an error."""
    judge = Protocol(Side.SERVER, state=State.OPEN, max_size=1000)
    judge.receive_data(data)
    found: list[Item] = []
    in_message = str(judge.parser_exc) == "incomplete fragmented message"  # at a Close, which it forbids and RFC 6455 section 5.4 does not
    parts: list[bytes] = []
    text = False
    for event in judge.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.CLOSE:
            return found
        if event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            if event.opcode is not Opcode.CONT:
                text = event.opcode is Opcode.TEXT
            parts.append(bytes(event.data))
            if event.fin:
                whole = b"".join(parts)
                parts.clear()
                try:
                    found.append(whole.decode() if text else whole)
                except UnicodeDecodeError:
                    return [*found, ("error", 1007)]
    if judge.parser_exc is not None and judge.close_sent is not None and not in_message:
        found.append(("error", judge.close_sent.code))
    return found


def one_fault(found: list[Item]) -> list[Item]:
    """A frame may be too large as well as out of place, and be refused for either."""
    return [("error", 1002) if item == ("error", 1009) else item for item in found]


any_frame = st.builds(
    raw_frame,
    st.sampled_from([0, 0, 1, 1, 2, 3, 7, 8, 9, 10, 11, 15]),
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from([b"\x03\xe8", b"\x03\xe8bye", b"\x03\xedx", b"\x0b\xb8", b"\x13\x88", b"x" * 126, b"y" * 600, b"z" * 1001]),
        st.text(max_size=6).map(str.encode),
    ),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([b"\0\0\0\0", b"abcd", b"abcd", b"abcd", b"abcd", None]),
    st.sampled_from([0, 0, 0, 0, 0, 0, 0x40, 0x20, 0x10]),
)


@given(st.lists(any_frame, min_size=1, max_size=5), cuts)
@example([raw_frame(TEXT, b"\xff", False), raw_frame(CLOSE, b"\x03\xe8")], [])
@example([raw_frame(TEXT, b"a", False), raw_frame(CLOSE, b"\x03\xe8")], [])
def test_the_oracle_agrees(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frames)
    ours = feed(WebSocketCodec(max_message=1000), data)
    assert feed(WebSocketCodec(max_message=1000), *split_at(data, cuts)) == ours
    theirs = judged(data)
    if ours and ours[-1] == ("error", 1007) and ours != theirs:
        # Text that is broken in an unfinished message, or in a message that breaks another rule further on: we are first to see it.
        assert ours[:-1] == theirs[: len(ours) - 1]
    else:
        assert ours == theirs or one_fault(ours) == one_fault(theirs)


@given(st.one_of(st.binary(max_size=300), st.text(max_size=200), st.integers(60000, 70000).map(bytes)))
def test_the_oracle_reads_what_we_send(message: bytes | str) -> None:
    codec = WebSocketCodec()
    codec.send(message)
    opcode = TEXT if isinstance(message, str) else BINARY
    assert sent_frames(codec) == [(opcode, message.encode() if isinstance(message, str) else message)]


# -- rules ---------------------------------------------------------------------------------------------------------

BROKEN = {
    "no mask": raw_frame(TEXT, b"hi", mask=None),
    "no mask on a long frame": raw_frame(TEXT, b"x" * 200, mask=None),
    "reserved bit 1": raw_frame(TEXT, b"hi", reserved=0x40),
    "reserved bit of a control frame": raw_frame(PING, b"", reserved=0x10),
    "unknown data opcode": raw_frame(3),
    "unknown control opcode": raw_frame(11),
    "fragmented ping": raw_frame(PING, b"", fin=False),
    "long ping": raw_frame(PING, b"x" * 126),
    "continuation of nothing": raw_frame(CONTINUATION, b"x"),
    "message inside a message": raw_frame(TEXT, b"a", fin=False) + raw_frame(TEXT, b"b"),
    "size in two bytes for one": b"\x82\xfe\0\x05\0\0\0\0hello",
    "size in eight bytes for two": b"\x82\xff" + (200).to_bytes(8, "big") + b"\0" * 204,
    "close of one byte": raw_frame(CLOSE, b"\x03"),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_broken_frames_end_the_connection(data: bytes) -> None:
    for pieces in ([data], [bytes([byte]) for byte in data]):
        codec = WebSocketCodec()
        assert feed(codec, raw_frame(TEXT, b"before"), *pieces) == ["before", ("error", 1002)]
        assert codec.ended
        assert feed(codec, raw_frame(TEXT, b"after")) == []


def test_a_message_of_nothing_but_empty_frames_ends_some_day() -> None:
    empty = raw_frame(CONTINUATION, fin=False)
    codec = WebSocketCodec()
    assert feed(codec, raw_frame(TEXT, b"a", fin=False) + empty * 1000 + raw_frame(CONTINUATION, b"b"), raw_frame(TEXT, b"")) == ["ab", ""]
    assert feed(codec, raw_frame(TEXT, fin=False) + empty * 999, empty) == [("error", 1008)]


def test_messages_before_an_error_of_the_same_read_are_kept() -> None:
    codec = WebSocketCodec()
    found = codec.receive(raw_frame(TEXT, b"one") + raw_frame(BINARY, b"two") + raw_frame(15))
    assert shown(found) == ["one", b"two", ("error", 1002)]
    error = found[-1]
    assert isinstance(error, ProtocolError)
    assert error.text == "unknown opcode 15"


def test_a_server_must_not_mask() -> None:
    assert feed(ClientCodec(), raw_frame(TEXT, b"hi")) == [("error", 1002)]
    assert feed(ClientCodec(), raw_frame(TEXT, b"hi", mask=None)) == ["hi"]


# -- text ----------------------------------------------------------------------------------------------------------

BAD_TEXT = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xce\xba\xe1", b"\xf8\x88\x80\x80\x80"]


@pytest.mark.parametrize("text", BAD_TEXT)
def test_text_must_be_utf8(text: bytes) -> None:
    assert feed(WebSocketCodec(), raw_frame(TEXT, text)) == [("error", 1007)]
    assert feed(WebSocketCodec(), raw_frame(TEXT, b"", fin=False), raw_frame(CONTINUATION, text)) == [("error", 1007)]
    assert feed(WebSocketCodec(), raw_frame(BINARY, text)) == [text]


def viable(text: bytes) -> bool:
    """Whether some continuation makes ``text`` valid UTF-8."""
    tails = [b"", *(bytes([byte]) for byte in (0x80, 0x90, 0xA0))]
    return any(_decodes(text + a + b + c) for a in tails for b in tails for c in tails)


def _decodes(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.lists(st.sampled_from([b"a", b"\xc3", b"\xa9", b"\xe0", b"\xf0", b"\xf4", b"\x80", b"\x90", b"\xa0", b"\xc0"]), max_size=8))
def test_bad_text_is_noticed_at_its_first_bad_byte(parts: list[bytes]) -> None:
    """In fragments and within a frame.  (But half a surrogate, ED A0 to ED BF, only with the next byte.)"""
    text = b"".join(parts)
    first_bad = next((size for size in range(1, len(text) + 1) if not viable(text[:size])), None)
    fragments = [raw_frame(CONTINUATION if at else TEXT, part, fin=False) for at, part in enumerate(parts)]
    whole = raw_frame(TEXT, text + b"end")
    header = len(whole) - len(text) - 3
    for pieces in (fragments, [whole[:header] + whole[header : header + 1], *(bytes([byte]) for byte in whole[header + 1 : -3])]):
        codec = WebSocketCodec()
        failed = next((at for at, piece in enumerate(pieces, 1) if feed(codec, piece)), None)
        if parts:
            assert failed == first_bad


def test_a_character_may_be_cut_by_a_fragment() -> None:
    text = "κόσμε 🐍".encode()
    data = raw_frame(TEXT, text[:1], fin=False) + raw_frame(PING) + raw_frame(CONTINUATION, text[1:-2], fin=False) + raw_frame(0, text[-2:])
    assert feed(WebSocketCodec(), data) == [text.decode()]


# -- sizes ---------------------------------------------------------------------------------------------------------


def test_a_large_frame_is_refused_by_its_header() -> None:
    for size, field in ((101, b"\x82\xe5"), (200, b"\x82\xfe\0\xc8"), (1 << 40, b"\x82\xff" + (1 << 40).to_bytes(8, "big"))):
        found = WebSocketCodec(max_message=100).receive(field)
        assert shown(found) == [("error", 1009)], size
        assert str(found[0]) == "a message of over 100 bytes"


def test_sizes_at_the_limit_pass() -> None:
    assert feed(WebSocketCodec(max_message=100), raw_frame(BINARY, b"x" * 100)) == [b"x" * 100]
    pieces = [raw_frame(BINARY, b"x" * 60, fin=False), raw_frame(0, b"x" * 40)]
    assert feed(WebSocketCodec(max_message=100), *pieces) == [b"x" * 100]


def test_a_message_is_counted_over_its_frames() -> None:
    codec = WebSocketCodec(max_message=100)
    found = codec.receive(raw_frame(BINARY, b"x" * 60, fin=False) + raw_frame(0, b"x" * 41)[:2])
    assert shown(found) == [("error", 1009)]
    assert str(found[0]) == "a message of over 100 bytes"


def test_max_frame_is_a_limit_of_its_own() -> None:
    assert feed(WebSocketCodec(max_message=100, max_frame=10), raw_frame(BINARY, b"x" * 11)) == [("error", 1009)]
    pieces = [raw_frame(BINARY, b"x" * 10, fin=False), raw_frame(0, b"x" * 10)]
    assert feed(WebSocketCodec(max_message=100, max_frame=10), *pieces) == [b"x" * 20]
    assert feed(WebSocketCodec(max_message=5, max_frame=10), raw_frame(BINARY, b"x" * 6)) == [("error", 1009)]


@pytest.mark.parametrize("size", [125, 126, 127, 65535, 65536, 300_000])
@pytest.mark.parametrize("step", [1 << 30, 4096, 1021])
def test_every_way_to_write_a_size(size: int, step: int) -> None:
    payload = os.urandom(size)
    client = ClientCodec()
    client.send(payload)
    data = client.outgoing()
    assert feed(WebSocketCodec(), *[data[at : at + step] for at in range(0, len(data), step)]) == [payload]


# -- ping and pong -------------------------------------------------------------------------------------------------


def test_pings_are_answered_in_the_middle_of_a_message() -> None:
    codec = WebSocketCodec()
    assert feed(codec, raw_frame(TEXT, b"a", fin=False) + raw_frame(PING, b"hey") + raw_frame(0, b"b")) == ["ab"]
    assert sent_frames(codec) == [(PONG, b"hey")]


def test_a_flood_of_pings_gets_the_latest_answered_in_one_piece() -> None:
    codec = WebSocketCodec()
    codec.receive(b"".join(raw_frame(PING, b"%d" % number) for number in range(1000)))
    assert len(codec.out) == 1
    assert sent_frames(codec) == [(PONG, b"%d" % number) for number in range(984, 1000)]


def test_ping_and_its_pong() -> None:
    server, client = WebSocketCodec(), ClientCodec()
    server.ping(b"42")
    assert (server.last_pong, client.last_pong) == (None, None)
    client.receive(server.outgoing())
    server.receive(client.outgoing())
    assert server.last_pong == b"42"
    with pytest.raises(ValueError, match="125"):
        server.ping(b"x" * 126)


def test_a_ping_before_a_broken_frame_is_still_answered() -> None:
    codec = WebSocketCodec()
    assert feed(codec, raw_frame(PING, b"last") + raw_frame(15)) == [("error", 1002)]
    assert sent_frames(codec) == [(PONG, b"last")]


# -- goodbye -------------------------------------------------------------------------------------------------------


def test_the_peers_goodbye_is_answered_after_the_replies() -> None:
    codec = WebSocketCodec()
    assert feed(codec, raw_frame(TEXT, b"hi") + raw_frame(CLOSE, b"\x0f\xa0why") + raw_frame(TEXT, b"late")) == ["hi"]
    assert state(codec) == (True, False)
    assert codec.out == []
    assert (codec.close_code, codec.close_reason) == (4000, "why")
    codec.send("reply")
    codec.close(1001, "ignored: the peer's own code goes back")
    assert state(codec) == (True, True)
    assert sent_frames(codec) == [(TEXT, b"reply"), (CLOSE, b"\x0f\xa0")]


def test_our_goodbye_waits_for_the_peers() -> None:
    codec = WebSocketCodec()
    codec.close(1001, "going away")
    codec.close(1000)
    codec.send("too late")
    codec.send_framed(frame("too late"))
    codec.ping()
    assert state(codec) == (False, False)
    assert sent_frames(codec) == [(CLOSE, b"\x03\xe9going away")]
    assert feed(codec, raw_frame(TEXT, b"under way") + raw_frame(PING) + raw_frame(CLOSE, b"\x03\xe9")) == ["under way"]
    assert state(codec) == (True, True)
    assert codec.out == []
    assert codec.close_code == 1001


def test_both_sides_close_with_the_oracle() -> None:
    codec = WebSocketCodec()
    peer = Protocol(Side.CLIENT, state=State.OPEN)
    peer.send_close(1000, "bye")
    codec.receive(b"".join(peer.data_to_send()))
    codec.close()
    peer.receive_data(codec.outgoing())
    assert peer.close_rcvd is not None
    assert (peer.close_rcvd.code, peer.state) == (1000, State.CLOSING)
    peer.receive_eof()
    assert peer.close_exc.rcvd is not None


def test_a_close_frame_without_a_code() -> None:
    codec = WebSocketCodec()
    codec.receive(raw_frame(CLOSE))
    assert (codec.close_code, codec.close_reason) == (1005, "")
    codec.close()
    assert sent_frames(codec) == [(CLOSE, b"")]


def test_the_peer_just_leaves() -> None:
    codec = WebSocketCodec()
    assert feed(codec, raw_frame(TEXT, b"half", fin=False), b"") == []
    assert state(codec) == (True, False)
    assert codec.close_code == 1006
    codec.send("nobody there")
    codec.close()
    assert state(codec) == (True, True)
    assert codec.out == []


def test_the_peer_leaves_after_our_goodbye() -> None:
    codec = WebSocketCodec()
    codec.close()
    assert feed(codec, b"") == []
    assert codec.closing
    assert codec.close_code == 1006


def test_fail_tells_why() -> None:
    codec = WebSocketCodec(max_message=10)
    (error,) = codec.receive(raw_frame(TEXT, b"x" * 11))
    assert isinstance(error, ProtocolError)
    codec.fail(error)
    codec.close()
    assert codec.closing
    assert sent_frames(codec) == [(CLOSE, b"\x03\xf1a message of over 10 bytes")]


VALID_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", VALID_CODES)
def test_valid_close_codes(code: int) -> None:
    codec = WebSocketCodec()
    assert feed(codec, raw_frame(CLOSE, code.to_bytes(2, "big"))) == []
    assert codec.close_code == code
    ours = WebSocketCodec()
    ours.close(code)
    assert sent_frames(ours) == [(CLOSE, code.to_bytes(2, "big"))]


@pytest.mark.parametrize("code", INVALID_CODES)
def test_invalid_close_codes(code: int) -> None:
    codec = WebSocketCodec()
    assert feed(codec, raw_frame(CLOSE, code.to_bytes(2, "big"))) == [("error", 1002)]
    assert codec.close_code == 1006
    with pytest.raises(ValueError, match=str(code)):
        codec.close(code)


def test_a_close_reason_must_be_utf8() -> None:
    assert feed(WebSocketCodec(), raw_frame(CLOSE, b"\x03\xe8\xff")) == [("error", 1007)]


def test_a_long_reason_is_cut_at_a_character() -> None:
    codec = WebSocketCodec()
    codec.close(1000, "é" * 100)
    assert sent_frames(codec) == [(CLOSE, b"\x03\xe8" + "é".encode() * 61)]


# -- frames --------------------------------------------------------------------------------------------------------


def test_bytes_leave_as_text_where_the_payload_is_text() -> None:
    codec = WebSocketCodec(text_default=True)
    codec.send(b"{}")
    codec.send("{}")
    codec.send(b"\xff", BINARY)
    assert sent_frames(codec) == [(TEXT, b"{}"), (TEXT, b"{}"), (BINARY, b"\xff")]


def test_one_frame_for_many() -> None:
    framed = frame(b'{"news":1}', TEXT)
    for codec in (WebSocketCodec(), WebSocketCodec()):
        codec.send_framed(framed)
        assert codec.out[0] is framed
        assert sent_frames(codec) == [(TEXT, b'{"news":1}')]


def test_a_client_shares_no_frames() -> None:
    with pytest.raises(TypeError):
        ClientCodec().send_framed(frame("x"))


def test_a_client_masks_with_fresh_keys() -> None:
    keys = set()
    for _ in range(8):
        codec = ClientCodec()
        codec.send(b"\0" * 64)
        data = codec.outgoing()
        assert data[:2] == b"\x82\xc0"
        keys.add(data[2:6])
    assert len(keys) > 1


def test_masking_works_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenimi.codec.websocket.apply_mask", xor_mask)
    assert feed(WebSocketCodec(), raw_frame(TEXT, b"hello"), raw_frame(BINARY, b"x" * 40_000)) == ["hello", b"x" * 40_000]


@pytest.mark.parametrize(
    ("data", "partial"),
    [
        (b"", NOTHING),
        (raw_frame(TEXT, b"x"), NOTHING),
        (raw_frame(TEXT, b"x")[:1], BODY),
        (raw_frame(TEXT, b"x") + raw_frame(TEXT, b"xyz")[:-1], BODY),
        (raw_frame(TEXT, b"x", False), BODY),
        (raw_frame(TEXT, b"x", False) + raw_frame(PING, b""), BODY),
        (raw_frame(TEXT, b"x", False) + raw_frame(CONTINUATION, b"y"), NOTHING),
        (raw_frame(PING, b"xy")[:-1], BODY),
    ],
)
def test_what_is_partial(data: bytes, partial: int) -> None:
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        codec = WebSocketCodec()
        for piece in pieces:
            codec.receive(piece)
        assert codec.partial == partial, pieces


def test_who_is_turned_away_gets_1013() -> None:
    codec = WebSocketCodec()
    codec.turn_away()
    assert codec.outgoing() == frame(b"\x03\xf5come back later", CLOSE)


def test_breaking_off_gives_the_error() -> None:
    codec = WebSocketCodec()
    codec.receive(raw_frame(TEXT, b"x", False))
    error = ProtocolError("too late", code=1008)
    assert list(codec.break_off(error)) == [error]
    assert codec.ended
