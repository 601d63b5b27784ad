"""Messages that are handed out when they begin."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.base import BODY, NOTHING
from greenimi.codec.websocket_frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, fragment, masked_frame
from greenimi.codec.websocket_streams import StreamingCodec
from greenimi.errors import ConnectionClosed, ProtocolError
from greenimi.message_stream import MessageStream, StreamedMessage


def codec(room: int = 100, **more: int) -> StreamingCodec:
    return StreamingCodec(room=room, **more)


def only(found: list[object]) -> MessageStream:
    (message,) = found
    assert type(message) is StreamedMessage
    assert message.raw in ("", b"")
    return message.stream


def test_it_is_there_with_its_first_bytes() -> None:
    here = codec()
    data = masked_frame(b"x" * 50, BINARY)
    stream = only([*here.receive(data[:20])])
    assert (stream.size, stream.text, here.partial) == (14, False, BODY)
    assert here.receive(data[20:]) == []
    assert (stream.read(), here.partial) == (b"x" * 50, NOTHING)


def test_a_small_message_is_complete_at_once() -> None:
    here = codec()
    found = here.receive(masked_frame("one") + masked_frame("two") + masked_frame(b""))
    assert [message.stream.read() for message in found if isinstance(message, StreamedMessage)] == ["one", "two", b""]


def test_fragments_and_pings() -> None:
    here = codec()
    stream = only([*here.receive(fragment(masked_frame("one ")))])
    assert here.receive(masked_frame(b"?", PING) + fragment(masked_frame(b"two ", CONTINUATION))) == []
    assert here.receive(masked_frame(b"three", CONTINUATION)) == []
    assert list(stream) == ["one two three"]
    assert here.outgoing() == b"\x8a\x01?"


@given(st.text(max_size=50), st.lists(st.integers(0, 300), max_size=6))
def test_text_comes_in_whole_characters(text: str, cuts: list[int]) -> None:
    here = codec()
    data = masked_frame(text)
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    found = [message for start, stop in pairwise(edges) if start < stop for message in here.receive(data[start:stop])]
    assert only([*found]).read() == text


def test_it_has_no_length_but_frames_may_have() -> None:
    here = codec(max_message=10, max_frame=1000)
    stream = only([*here.receive(fragment(masked_frame(b"x" * 1000)))])
    for _ in range(50):
        assert here.receive(fragment(masked_frame(b"x" * 1000, CONTINUATION))) == []
        assert len(next(iter(stream))) >= 1000
    (error,) = here.receive(fragment(masked_frame(b"x" * 1001, CONTINUATION)))
    assert isinstance(error, ProtocolError)
    assert error.code == 1009


def test_it_is_crowded_until_somebody_reads() -> None:
    here = codec(room=100)
    crowded = [here.crowded]
    stream = only([*here.receive(fragment(masked_frame(b"x" * 100)))])
    crowded.append(here.crowded)
    here.receive(fragment(masked_frame(b"x", CONTINUATION)))
    crowded.append(here.crowded)
    assert len(next(iter(stream))) == 101
    assert [*crowded, here.crowded] == [False, False, True, False]


def test_what_nobody_reads_is_thrown_away() -> None:
    here = codec(room=10)
    stream = only([*here.receive(fragment(masked_frame(b"x" * 100)))])
    stream.leave()
    here.receive(fragment(masked_frame(b"x" * 100, CONTINUATION)))
    assert (stream.size, here.crowded, list(stream)) == (0, False, [])
    here.receive(masked_frame(b"", CONTINUATION))
    assert only([*here.receive(masked_frame("next"))]).read() == "next"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ConnectionClosed),
        (masked_frame(b"", CLOSE), ConnectionClosed),
        (masked_frame(b"\xff", CONTINUATION), ProtocolError),
        (masked_frame("x"), ProtocolError),
        (b"\xff\xff", ProtocolError),
    ],
)
def test_an_end_in_the_middle_is_told(data: bytes, error: type[Exception]) -> None:
    here = codec()
    stream = only([*here.receive(fragment(masked_frame("begun")))])
    here.receive(data)
    parts = iter(stream)
    assert next(parts) == "begun"
    with pytest.raises(error):
        next(parts)


def test_one_that_takes_too_long_is_told() -> None:
    here = codec()
    stream = only([*here.receive(fragment(masked_frame("begun", TEXT)))])
    assert here.break_off(ProtocolError("too long", code=1008))[0].code == 1008
    with pytest.raises(ProtocolError, match="too long"):
        stream.read()
