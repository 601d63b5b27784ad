"""The chunked coding: any split of the bytes gives the same body, and nothing but the grammar passes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.chunked import ChunkedReader
from greenimi.errors import ProtocolError

LIMIT = 40  # of the trailers
BODY = 1000
SIZE_LINE = 4096

Outcome = tuple[bytes, bytes, list[tuple[str, str]], bool]


def read(*pieces: bytes) -> Outcome | int:
    """Body, rest, trailers and whether it is done; the status where it is refused."""
    reader = ChunkedReader(LIMIT, BODY)
    body = b""
    try:
        for piece in pieces:
            body += b"".join(reader.feed(piece))
    except ProtocolError as error:
        return error.status
    return body, reader.rest, reader.trailers, reader.done


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in places if place < len(data)), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


places = st.lists(st.integers(0, 300), max_size=10)
extensions = st.sampled_from([b"", b";a", b";a=b", b' ; a="b c"', b";"])
trailers = st.lists(st.sampled_from([b"X-Sum: 1\r\n", b"Y:\r\n", b"Z: \t a b \r\n"]), max_size=3).map(b"".join)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=40), extensions), max_size=5), trailers, st.binary(max_size=20), places)
def test_what_is_encoded_is_decoded_whatever_the_split(
    chunks: list[tuple[bytes, bytes]], fields: bytes, behind: bytes, places: list[int]
) -> None:
    data = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk, extension in chunks) + b"0\r\n" + fields + b"\r\n"
    found = read(*cut(data, places))
    assert found == read(data)
    assert not isinstance(found, int)
    assert found[0] == b"".join(chunk for chunk, _ in chunks)
    assert found[1:2] + found[3:] == (b"", True)
    whole = read(data + behind)
    assert not isinstance(whole, int)
    assert whole[1] == behind


@given(
    st.lists(st.sampled_from([b"0", b"5", b"a;", b"\r", b"\n", b"\r\n", b"hello", b"X: y", b" ", b"x" * 41]), max_size=12).map(b"".join),
    places,
)
def test_what_is_refused_is_refused_whatever_the_split(data: bytes, places: list[int]) -> None:
    whole, split = read(data), read(*cut(data, places))
    assert isinstance(whole, int) == isinstance(split, int)
    if not isinstance(whole, int):
        assert split == whole


GOOD = {
    "hexadecimal in either case": (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
    "leading zeros": (b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "an extension": (b'5;a=b;c="d \t e"\r\nhello\r\n0;x\r\n\r\n', b"hello"),
    "a chunk that looks like an end": (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"),
    "nothing": (b"0\r\n\r\n", b""),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_the_grammar_allows(name: str) -> None:
    data, body = GOOD[name]
    assert read(data) == (body, b"", [], True)
    assert read(*(data[at : at + 1] for at in range(len(data)))) == (body, b"", [], True)


BAD = {
    "LF after the size": b"5\nhello\r\n0\r\n\r\n",
    "CR alone after the size": b"5\rhello\r\n",
    "no size": b"\r\nhello\r\n",
    "an extension without a size": b";a=b\r\n",
    "a space before the size": b" 5\r\nhello\r\n",
    "a space after the size": b"5 \r\nhello\r\n",
    "a sign": b"+5\r\nhello\r\n",
    "a minus": b"-1\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "an underscore": b"1_0\r\n",
    "not hexadecimal": b"g\r\n",
    "a digit of another script": b"\xd9\xa5\r\n",
    "16 digits": b"0000000000000005\r\nhello\r\n",
    "a control character in an extension": b"5;a=\x00\r\nhello\r\n",
    "CR inside an extension": b"5;a\rb\r\nhello\r\n",
    "a chunk longer than it says": b"5\r\nhello!\r\n",
    "LF after a chunk": b"5\r\nhello\n0\r\n\r\n",
    "LF after the last chunk": b"0\n\r\n",
    "LF at the end": b"0\r\n\n",
    "a trailer without a colon": b"0\r\nX-Sum\r\n\r\n",
    "a trailer without a name": b"0\r\n: 1\r\n\r\n",
    "a space before the colon": b"0\r\nX-Sum : 1\r\n\r\n",
    "a folded trailer": b"0\r\nX-Sum: 1\r\n 2\r\n\r\n",
    "a control character in a trailer": b"0\r\nX-Sum: \x01\r\n\r\n",
    "LF after a trailer": b"0\r\nX-Sum: 1\n\r\n",
    **{f"{name} as a trailer": f"0\r\n{name}: 1\r\n\r\n".encode() for name in ("Content-Length", "TRANSFER-ENCODING", "host")},
}


@pytest.mark.parametrize("name", BAD)
def test_what_the_grammar_does_not_allow(name: str) -> None:
    data = BAD[name]
    assert read(data) == 400
    assert read(*(data[at : at + 1] for at in range(len(data)))) == 400


def test_garbage_is_refused_without_waiting_for_its_line() -> None:
    assert read(b"GET / HTTP/1.1") == 400
    assert read(b"5\r\nhelloG") == 400
    assert read(b"1") == (b"", b"1", [], False)


def test_trailers_that_come_too_late_to_mean_anything_are_left_out() -> None:
    assert read(b"0\r\nContent-Type: a\r\nX: 1\r\nAuthorization: b\r\n\r\n") == (b"", b"", [("x", "1")], True)


def test_a_body_over_the_limit_is_refused_by_the_size_of_its_chunk() -> None:
    reader = ChunkedReader(LIMIT, 10)
    assert reader.feed(b"5\r\nhello\r\n") == [b"hello"]
    with pytest.raises(ProtocolError) as caught:
        reader.feed(b"6\r\n")
    assert caught.value.status == 413


def test_trailers_are_told_in_order() -> None:
    found = read(b"0\r\nX-One:  1 \r\nx-two:\r\nX-ONE: \xe4\r\n\r\nrest")
    assert found == (b"", b"rest", [("x-one", "1"), ("x-two", ""), ("x-one", "ä")], True)


def test_trailers_are_bounded_together() -> None:
    assert read(b"0\r\n" + b"X: 34567890\r\n" * 4 + b"\r\n") == 431
    assert read(b"0\r\n" + b"X: 34567890\r\n" * 3 + b"\r\n") == (b"", b"", [("x", "34567890")] * 3, True)


def test_the_body_is_bounded_before_it_comes() -> None:
    chunks = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    assert read(chunks * 2 + b"0\r\n\r\n") == (b"x" * BODY, b"", [], True)
    assert read(chunks, b"1f5\r\n") == 413
    assert read(chunks, chunks, b"1\r\n") == 413
    assert read(b"FFFFFFFFFFFFFFF\r\n") == 413


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_long_lines_are_refused_complete_or_not(end: bytes) -> None:
    assert read(b"0\r\nX: " + b"x" * LIMIT + end) == 431
    assert read(b"5;" + b"x" * SIZE_LINE + end) == 400


@pytest.mark.parametrize(
    "data",
    [b"0\r\nX: " + b"x" * (LIMIT - 3) + b"\r\n\r\n", b"5;" + b"x" * (SIZE_LINE - 2) + b"\r\nhello\r\n0\r\n\r\n"],
    ids=["trailer", "size"],
)
def test_a_line_of_the_very_limit_may_be_cut_anywhere(data: bytes) -> None:
    whole = read(data)
    assert not isinstance(whole, int)
    assert whole[3]
    for at in range(1, len(data)):
        assert read(data[:at], data[at:]) == whole, f"cut after {data[:at][-5:]!r}"


def test_nothing_is_read_behind_the_end() -> None:
    reader = ChunkedReader(LIMIT, BODY)
    assert reader.feed(b"1\r\na\r\n0\r\n\r\nGET /") == [b"a"]
    assert reader.done
    assert reader.feed(b" x") == []
    assert reader.rest == b"GET / x"
