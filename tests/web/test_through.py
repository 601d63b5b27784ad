"""Bodies with something between them and the server."""

from __future__ import annotations

from collections.abc import Iterator

from greenimi.web.sse import Event, EventStream, LiveBody
from greenimi.web.through import Through, in_place_of


class Upper(Through):
    def __next__(self) -> str:
        return str(super().__next__()).upper()


def test_parts_go_through_and_the_end_reaches_the_maker() -> None:
    ended = []

    def made() -> Iterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            ended.append(True)

    body = made()
    found = in_place_of(body, Upper(body))
    assert next(found) == "A"
    found.close()  # type: ignore[attr-defined]
    assert ended == [True]
    assert not isinstance(found, LiveBody)
    assert list(Upper(["a", "b"])) == ["A", "B"]
    Upper(["a"]).close()  # a list needs no end


def test_what_lives_long_goes_on_to_do_so() -> None:
    ended = []

    def events() -> Iterator[str]:
        try:
            yield "a"
        finally:
            ended.append(True)

    body = EventStream(events(), heartbeat=7, retry=1).body
    assert isinstance(body, LiveBody)
    found = in_place_of(body, Through(body))
    assert isinstance(found, LiveBody)
    assert found.heartbeat == 7
    assert (found.beat(), found.goodbye()) == (body.beat(), body.goodbye())
    assert [next(found), next(found)] == [Event(retry=1).encode(), b"data: a\n\n"]
    found.close()
    assert ended == [True]
