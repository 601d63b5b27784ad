"""Messages in parts, without a server."""

from __future__ import annotations

import pytest

from greenimi.errors import ProtocolError, TooLarge
from greenimi.message_stream import MessageStream, StreamedMessage


def stream(*parts: str, text: bool = True, limit: int = 100, finished: bool = True) -> MessageStream:
    made = MessageStream(text=text, limit=limit)
    for part in parts:
        made.feed(part if text else part.encode())
    if finished:
        made.finish()
    return made


def test_what_waits_is_one_part() -> None:
    assert list(stream("one", "two")) == ["onetwo"]
    assert list(stream("one", "two", text=False)) == [b"onetwo"]
    assert list(stream()) == []


def test_reading_pulls() -> None:
    made = stream("one", finished=False)
    more = iter(["two", "three"])

    def pull() -> None:
        part = next(more, None)
        if part is None:
            made.finish()
        else:
            made.feed(part)

    made.pull = pull
    assert list(made) == ["one", "two", "three"]
    assert made.size == 0


def test_without_anybody_to_pull_it_is_incomplete() -> None:
    with pytest.raises(ProtocolError, match="incomplete"):
        stream("one", finished=False).read()


def test_read_has_a_limit() -> None:
    assert stream("x" * 100).read() == "x" * 100
    with pytest.raises(TooLarge):
        stream("x" * 101).read()
    assert len(stream("x" * 101).read(200)) == 101
    with pytest.raises(TooLarge):
        stream("x" * 11, text=False).read(10)


def test_an_error_comes_behind_what_arrived() -> None:
    made = stream("one", finished=False)
    made.abort(ValueError("no more"))
    parts = iter(made)
    assert next(parts) == "one"
    with pytest.raises(ValueError, match="no more"):
        next(parts)


def test_reading_may_go_on_where_it_stopped() -> None:
    made = stream("one", finished=False)
    assert next(iter(made)) == "one"
    made.feed("two")
    made.finish()
    assert made.read() == "two"


def test_who_left_gets_nothing_more() -> None:
    made = stream("one", finished=False)
    made.leave()
    made.feed("two")
    assert list(made) == []
    assert made.size == 0


@pytest.mark.parametrize(("text", "raw"), [(True, ""), (False, b"")])
def test_its_message_has_nothing_of_it(text: bool, raw: object) -> None:
    assert StreamedMessage(stream(text=text)).raw == raw
