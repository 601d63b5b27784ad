"""Forms in parts: whatever way the bytes arrive, the same parts or the same refusal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenimi.errors import BadMessage, GreenimiError, Refusal, TooLarge
from greenimi.web.multipart import PART_END, MultipartParser, Part, boundary_of

BOUNDARY = "XyZ-(1)"
TEXT = b'Content-Disposition: form-data; name="a"'


def form(*parts: tuple[bytes, bytes], end: bytes = b"--\r\n", boundary: str = BOUNDARY) -> bytes:
    """A form of parts, each a head and a body."""
    line = b"--" + boundary.encode()
    return b"".join(b"%b\r\n%b\r\n\r\n%b\r\n" % (line, head, body) for head, body in parts) + line + end


def read(pieces: Sequence[bytes], boundary: str = BOUNDARY, max_head: int = 4096) -> list[tuple[Part, bytes]]:
    parser = MultipartParser(boundary, max_head)
    found: list[tuple[Part, list[bytes]]] = []
    complete = 0
    for piece in pieces:
        for event in parser.feed(piece):
            if isinstance(event, bytes):
                assert event
                found[-1][1].append(event)
            elif isinstance(event, Part):
                assert len(found) == complete
                found.append((event, []))
            else:
                assert event is PART_END
                complete += 1
    parser.close()
    assert len(found) == complete
    return [(part, b"".join(data)) for part, data in found]


def facts(found: Sequence[tuple[Part, bytes]]) -> list[tuple[str, str | None, str, bytes]]:
    return [(part.name, part.filename, part.content_type, data) for part, data in found]


def outcome(pieces: Sequence[bytes]) -> object:
    try:
        return facts(read(pieces))
    except GreenimiError as error:
        return type(error), error.text


def test_fields_and_files() -> None:
    body = form(
        (TEXT, "Tee & Gebäck".encode()),
        (b'content-disposition: form-data; name="f"; filename="x.png"\r\nContent-Type: image/png', b"\x00\xff\r\n--XyZ\r\n"),
        (b'Content-Disposition:form-data;name=b;filename=""', b""),
    )
    assert facts(read([body])) == [
        ("a", None, "", "Tee & Gebäck".encode()),
        ("f", "x.png", "image/png", b"\x00\xff\r\n--XyZ\r\n"),
        ("b", "", "", b""),
    ]


def test_a_form_without_parts() -> None:
    assert read([b"--XyZ-(1)--\r\n"]) == []


@pytest.mark.parametrize("form", [b"--XyZ-(1)--", b"--XyZ-(1)--\r\n", b"--XyZ-(1)--\r\n\r\n", b"\r\n--XyZ-(1)--"])
def test_empty_lines_around_a_form_say_nothing(form: bytes) -> None:
    assert outcome([form]) == []


@pytest.mark.parametrize(
    ("sent", "name", "filename"),
    [
        (b'form-data; name="a"; filename="b"', "a", "b"),
        (b"form-data; name=a; filename=b", "a", "b"),
        (b'FORM-DATA; NAME="a" ; FileName="b"', "a", "b"),
        (b'form-data; filename="b"; name="a"', "a", "b"),
        (b'form-data; name="a%22b%0d%0A%41"; filename="50%"', 'a"b\r\n%41', "50%"),
        (rb'form-data; name="a\"b"; filename="C:\dir\file"', 'a"b', r"C:\dir\file"),
        ('form-data; name="ä"; filename="€;=.txt"'.encode(), "ä", "€;=.txt"),
        (b'form-data; name=""; filename="b"', "", "b"),
        (b'form-data; name="a"; filename="b"; size=3', "a", "b"),
    ],
)
def test_names_are_read_as_clients_write_them(sent: bytes, name: str, filename: str) -> None:
    [(part, _)] = read([form((b"Content-Disposition: " + sent, b"x"))])
    assert (part.name, part.filename) == (name, filename)


def test_header_fields_are_kept() -> None:
    [(part, _)] = read([form((TEXT + b"\r\nX-Note:  one\t two \r\ncontent-type: text/plain; charset=UTF-8", b""))])
    assert part.headers["x-note"] == "one\t two"
    assert part.content_type == "text/plain; charset=UTF-8"


HEADS = [
    (b"", "no header fields"),
    (b"Content-Type: text/plain", "no Content-Disposition"),
    (b'Content-Disposition: attachment; name="a"', "no Content-Disposition: form-data"),
    (b"Content-Disposition: form-data", "no name"),
    (b'Content-Disposition: form-data; filename="a"', "no name"),
    (TEXT + b'; name="b"', "name twice"),
    (TEXT + b"; filename*=UTF-8''x", "7578 section 4.2"),
    (b'Content-Disposition: form-data; name="a', "malformed parameters"),
    (b'Content-Disposition: form-data; name="a" b', "malformed parameters"),
    (b"Content-Disposition: form-data; name=a b", "malformed parameters"),
    (TEXT + b"\r\n" + TEXT, "comes twice"),
    (TEXT + b"\r\ncontent-disposition: form-data; name=b", "comes twice"),
    (TEXT + b"\r\nX", "malformed"),
    (TEXT + b"\r\nX Y: 1", "malformed"),
    (TEXT + b"\r\n folded: 1", "malformed"),
    (TEXT + b"\r\nX : 1", "malformed"),
    (TEXT + b"\r\nX: a\x00b", "malformed"),
    (TEXT + b"\r\nX: a\nY: b", "malformed"),
    (TEXT + b"\r\nX: a\rY: b", "malformed"),
    (TEXT + b"\nX: a", "malformed"),
    (b'Content-Disposition: form-data; name="\xff"', "not in UTF-8"),
    (TEXT + b"\r\nContent-Type: text/plain; charset=latin-1", "must be in UTF-8"),
    (TEXT + b"\r\nContent-Type: text/plain; charset", "malformed parameters"),
    (TEXT + b"\r\nContent-Transfer-Encoding: base64", "7578 section 4.7"),
]


@pytest.mark.parametrize(("head", "why"), HEADS)
def test_heads_that_can_be_misread_are_refused(head: bytes, why: str) -> None:
    body = form((head, b"x"))
    for pieces in ([body], [body[i : i + 1] for i in range(len(body))]):
        with pytest.raises(BadMessage, match=why) as caught:
            read(pieces)
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "ends before"),
        (b"--XyZ-(1)", "ends before"),
        (b"--XyZ-(1)-", "ends before"),
        (form((TEXT, b"x"), end=b""), "ends before"),
        (form((TEXT, b"x"))[:-4], "ends before"),
        (b"--XyZ-(1)\r\n" + TEXT, "ends before"),
        (b"--XyZ-(1)\r\n" + TEXT + b"\r\n\r\nx\r\n--XyZ-(1", "ends before"),
        (b"preamble\r\n--XyZ-(1)--", "does not begin"),
        (b"--other--", "does not begin"),
        (b"\n--XyZ-(1)--", "does not begin"),
        (b"--XyZ-(1)\n" + TEXT, "unexpected bytes behind a boundary"),
        (b"--XyZ-(1) \r\n" + TEXT, "unexpected bytes behind a boundary"),
        (b"--XyZ-(1)-x", "unexpected bytes behind a boundary"),
        (form((TEXT, b"x"), end=b"X"), "unexpected bytes behind a boundary"),
        (form((TEXT, b"x")) + b"epilogue", "behind the final boundary"),
        (form((TEXT, b"x")) + form((TEXT, b"y")), "behind the final boundary"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, why: str) -> None:
    for pieces in ([body], [body[i : i + 1] for i in range(len(body))]):
        with pytest.raises(BadMessage, match=why) as caught:
            read(pieces)
        assert caught.value.status == 400


@pytest.mark.parametrize("size", [1, 3, 5000])
def test_a_head_is_bounded(size: int) -> None:
    def sent(extra: int) -> list[bytes]:
        head = TEXT + b"\r\nX: "
        body = form((head + b"x" * (100 + extra - len(head)), b"data"))
        return [body[i : i + size] for i in range(0, len(body), size)]

    assert len(read(sent(0), max_head=100)) == 1
    with pytest.raises(TooLarge, match="over 100 bytes") as caught:
        read(sent(1), max_head=100)
    assert caught.value.status == 413


def test_a_head_that_never_ends_is_refused_at_once() -> None:
    parser = MultipartParser(BOUNDARY, 100)
    parser.feed(b"--XyZ-(1)\r\n")
    with pytest.raises(TooLarge):
        parser.feed(b"x" * 104)


def test_data_is_given_as_it_comes() -> None:
    parser = MultipartParser(BOUNDARY)
    parser.feed(b"--XyZ-(1)\r\n" + TEXT + b"\r\n\r\n")
    assert parser.feed(b"a" * 1000) == [b"a" * 1000]
    assert parser.feed(b"b\r\n--XyZ") == [b"b"]
    assert parser.feed(b"\r\n-") == [b"\r\n--XyZ"]
    assert parser.feed(b"-XyZ-(1)--") == [PART_END]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", "abc"),
        ("Multipart/Form-Data; charset=utf-8; Boundary=abc", "abc"),
        ('multipart/form-data; boundary="a b:c"', "a b:c"),
        ("multipart/form-data; boundary=" + "x" * 70, "x" * 70),
    ],
)
def test_the_content_type_says_the_boundary(content_type: str, boundary: str) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ('multipart/form-data; boundary=""', 400),
        ('multipart/form-data; boundary="a "', 400),
        ('multipart/form-data; boundary="a*"', 400),
        ('multipart/form-data; boundary="ä"', 400),
        ("multipart/form-data; boundary=" + "x" * 71, 400),
        ("multipart/form-data; boundary=a; boundary=b", 400),
        ("multipart/form-data boundary=a", 400),
        ("multipart/mixed; boundary=a", 415),
        ("multipart/", 400),
    ],
)
def test_forms_without_a_boundary_and_what_is_no_form_are_refused(content_type: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        boundary_of(content_type)
    assert caught.value.status == status


# -- any bytes -------------------------------------------------------------------------------------------------------

_data = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--XyZ-(1)", b"\r\n--XyZ-(1", b"x", b"\x00\xff", b"abc" * 40])).map(b"".join)
_heads = st.sampled_from([TEXT, TEXT + b'; filename="x.bin"\r\nContent-Type: a/b', *(head for head, _ in HEADS)])
_forms = st.lists(st.tuples(_heads, _data), max_size=4).flatmap(
    lambda parts: st.sampled_from([b"--\r\n", b"--", b"", b"-", b"--x"]).map(lambda end: form(*parts, end=end))
)
_cuts = st.lists(st.integers(0, 400), max_size=20)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@settings(max_examples=400)
@given(_forms, _cuts)
def test_any_split_gives_the_same(body: bytes, places: list[int]) -> None:
    assert outcome(cut(body, places)) == outcome([body])


@given(_data.filter(lambda data: b"\r\n--XyZ-(1)" not in b"\r\n" + data + b"\r\n"), _cuts)
def test_data_comes_back_as_it_was(data: bytes, places: list[int]) -> None:
    assert outcome(cut(form((TEXT, data)), places)) == [("a", None, "", data)]


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from([b"--XyZ-(1)", b"\r\n", b"--", TEXT, b":", b";", b'"', b"x", b"\xff"])).map(b"".join),
    )
)
def test_rubbish_is_refused_and_nothing_else(body: bytes) -> None:
    found = outcome([body])
    assert isinstance(found, list) or found[0] in (BadMessage, TooLarge)  # type: ignore[index]  # the two kinds of outcome
    assert outcome([body[i : i + 1] for i in range(len(body))]) == found


def understood(content_type: str) -> bool:
    try:
        return bool(boundary_of(content_type))
    except Refusal as error:
        return error.status in (400, 415)


@given(st.text(max_size=100))
def test_any_content_type_is_understood_or_refused(content_type: str) -> None:
    for value in (content_type, f"multipart/form-data; {content_type}"):
        assert understood(value)
