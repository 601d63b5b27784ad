"""Events as text, as the HTML standard has them read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.web.sse import Event, EventStream, LiveBody, last_event_id
from tests.web.asking import asking


@dataclass
class Price:
    sku: str
    cents: int


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("hello"), "data: hello\n\n"),
        (Event("two\nlines"), "data: two\ndata: lines\n\n"),
        (Event("a\r\nb\rc\n"), "data: a\ndata: b\ndata: c\ndata: \n\n"),
        (Event(""), "data: \n\n"),
        (Event({"a": [1, "ä"]}), 'data: {"a":[1,"ä"]}\n\n'),
        (Event(Price("tea", 250)), 'data: {"sku":"tea","cents":250}\n\n'),
        (Event(0), "data: 0\n\n"),
        (Event("x", event="sold", id="7", retry=1.5), "event: sold\nid: 7\nretry: 1500\ndata: x\n\n"),
        (Event(id=""), "id: \n\n"),
        (Event(comment="still\nhere"), ": still\n: here\n\n"),
        (Event(retry=0), "retry: 0\n\n"),
        (Event(), "\n\n"),
    ],
)
def test_how_events_are_written(event: Event, text: str) -> None:
    assert event.encode().decode() == text


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"event": "a\nb"}, "type of an event"),
        ({"event": "a\rdata: x"}, "type of an event"),
        ({"id": "1\n2"}, "id of an event"),
        ({"id": "1\0"}, "id of an event"),
        ({"retry": -1}, "not negative"),
        ({"retry": float("nan")}, "not negative"),
    ],
)
def test_what_would_break_out_of_its_line(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Event("x", **fields)


def read(stream: str) -> list[tuple[str, str, str]]:
    """Type, data and last id of each event, by the standard's rules for a stream that was decoded already."""
    found = []
    data: list[str] = []
    kind, last_id = "", ""
    for line in stream.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if data:
                found.append((kind or "message", "\n".join(data), last_id))
            kind, data = "", []
            continue
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last_id = value
    return found


one_line = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=10)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(texts, one_line, one_line, texts), max_size=5))
def test_what_is_written_is_read_again(events: list[tuple[str, str, str, str]]) -> None:
    stream = "".join(Event(data, event=kind, id=number, comment=comment).encode().decode() for data, kind, number, comment in events)
    lines = [data.replace("\r\n", "\n").replace("\r", "\n") for data, *_ in events]
    assert read(stream) == [(kind or "message", data, number) for data, (_, kind, number, _) in zip(lines, events, strict=True)]


def body_of(events: Any, **options: Any) -> LiveBody:
    body = EventStream(events, **options).body
    assert isinstance(body, LiveBody)
    return body


def test_a_stream_says_what_it_is() -> None:
    found = EventStream(iter(()), headers=[("X-Own", "1")])
    assert (found.status, found.content_type) == (200, "text/event-stream")
    assert found.headers == (("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no"), ("X-Own", "1"))


def test_values_become_events() -> None:
    body = body_of(["a", {"b": 1}, Event("c", id="3")])
    assert list(body) == [b":\n\n", b"data: a\n\n", b'data: {"b":1}\n\n', b"id: 3\ndata: c\n\n"]


def test_what_is_said_besides_events() -> None:
    assert next(body_of(iter(()), retry=0.25)) == b"retry: 250\n\n"
    assert body_of(iter(())).beat() == b":\n\n"
    assert body_of(iter(())).goodbye() == b"retry: 1000\n\n"
    assert body_of(iter(()), retry=7).goodbye() == b""
    assert (body_of(iter(())).heartbeat, body_of(iter(()), heartbeat=3).heartbeat) == (None, 3)


def test_closing_ends_the_maker() -> None:
    ended = []

    def events() -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            ended.append(1)

    body = body_of(events())
    assert next(body) + next(body) == b":\n\ndata: a\n\n"
    body.close()
    assert ended == [1]
    body_of(["a list has nothing to close"]).close()


def test_the_last_event_that_a_client_had() -> None:
    assert last_event_id(asking()) == ""
    assert last_event_id(asking(last_event_id="7")) == "7"
    assert last_event_id(asking(last_event_id="ä☃".encode().decode("latin-1"))) == "ä☃"
    assert last_event_id(asking(last_event_id="\xff")) == "\xff"
