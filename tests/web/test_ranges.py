"""Ranges of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.web.ranges import MOST, Span, parse_range

SIZE = 10_000


def spans(field: str, size: int = SIZE) -> list[tuple[int, int]] | None:
    found = parse_range(field, size)
    return None if found is None else [(span.start, span.end - 1) for span in found]


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("bytes=0-499", [(0, 499)]),
        ("bytes=500-999", [(500, 999)]),
        ("Bytes = 500-999", [(500, 999)]),
        ("bytes=-500", [(9500, 9999)]),
        ("bytes=9500-", [(9500, 9999)]),
        ("bytes=0-0,-1", [(0, 0), (9999, 9999)]),
        ("bytes= 0-999, 4500-5499 ,, -1000", [(0, 999), (4500, 5499), (9000, 9999)]),
        ("bytes=0-99999", [(0, 9999)]),
        ("bytes=-99999", [(0, 9999)]),
        ("bytes=9999-9999", [(9999, 9999)]),
        # some of it is there
        ("bytes=10000-, 5-6", [(5, 6)]),
        # one after the other, as they were asked for
        ("bytes=5000-5001,0-1", [(5000, 5001), (0, 1)]),
        # nearly or really together: one, in order
        ("bytes=500-600,601-999", [(500, 999)]),
        ("bytes=500-700,601-999", [(500, 999)]),
        ("bytes=2000-2999,100-199,250-300", [(100, 300), (2000, 2999)]),
    ],
)
def test_what_is_asked_for(field: str, found: list[tuple[int, int]]) -> None:
    assert spans(field) == found


@pytest.mark.parametrize("field", ["bytes=10000-", "bytes=10000-10001,20000-", "bytes=-0"])
def test_what_is_not_there(field: str) -> None:
    assert spans(field) == []


def test_nothing_of_nothing_is_there() -> None:
    assert spans("bytes=0-", 0) == []
    assert spans("bytes=-5", 0) == []


@pytest.mark.parametrize(
    "field",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1 - 2",
        "bytes=0x0-1",
        "bytes=\u0661-2",
        "bytes=1-2;3-4",
        "bytes=1-2,x",
        "lines=1-2",
        "bytes=" + "9" * 19 + "-",
        "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 200 * (MOST + 1), 200)),
        "bytes=0-,0-,0-",
        "bytes=0-9000,100-9000",
    ],
)
def test_what_is_ignored(field: str) -> None:
    assert spans(field) is None


def test_the_most_ranges_are_given() -> None:
    found = spans("bytes=" + ",".join(f"{at}-{at}" for at in range(0, 200 * MOST, 200)))
    assert found is not None
    assert len(found) == MOST


def test_how_a_range_is_told() -> None:
    span = Span(42, 1193)
    assert (span.end, span.content_range(9999)) == (1235, "bytes 42-1234/9999")


numbers = st.integers(0, 400)
one = st.one_of(
    st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"), numbers.map(lambda n: f"{n}-"), numbers.map(lambda n: f"-{n}")
)


@given(st.lists(one, min_size=1, max_size=MOST), st.integers(0, 300))
def test_what_is_sent_is_within_and_never_more_than_all(texts: list[str], size: int) -> None:
    found = parse_range("bytes=" + ",".join(texts), size)
    if found:
        assert all(0 <= span.start < span.end <= size for span in found)
        assert sum(span.length for span in found) <= size + 128 * len(found)
        covered = [at for span in found for at in range(span.start, span.end)]
        assert len(covered) == len(set(covered))
