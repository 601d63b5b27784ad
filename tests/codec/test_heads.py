"""Heads of responses: ready-made, current, and no way out of their lines."""

from __future__ import annotations

import pytest

from greenimi.codec.heads import ResponseHeads, check_value, render_fields

DAY = 24 * 3600.0
FIRST = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def test_a_head_up_to_the_length() -> None:
    heads = ResponseHeads(0)
    assert heads.make(200, "text/html") == FIRST + b"Content-Type: text/html\r\nContent-Length: "
    assert heads.begin[200, "text/html"] == heads.make(200, "text/html")
    assert heads.start(200, "") == FIRST


@pytest.mark.parametrize(("status", "line"), [(404, b"404 Not Found"), (422, b"422 Unprocessable"), (599, b"599 Unknown")])
def test_reasons(status: int, line: bytes) -> None:
    assert ResponseHeads(0).start(status, "").startswith(b"HTTP/1.1 " + line)


@pytest.mark.parametrize("status", [-1, 0, 99, 100, 101, 103, 199, 600, 1000])
def test_what_is_no_status_of_a_final_response(status: int) -> None:
    with pytest.raises(ValueError, match=f"{status} is not the status"):
        ResponseHeads(0).start(status, "")


def test_the_date_moves_with_the_second_and_takes_the_kept_heads_along() -> None:
    heads = ResponseHeads(DAY)
    kept = heads.make(200, "")
    heads.tick(DAY + 0.9)
    assert heads.begin == {(200, ""): kept}
    heads.tick(DAY + 1)
    assert heads.begin == {}
    assert b"Fri, 02 Jan 1970 00:00:01 GMT" in heads.make(200, "")


def test_only_so_many_heads_are_kept() -> None:
    heads = ResponseHeads(0)
    for number in range(1000):
        assert b"text/%d\r\n" % number in heads.make(200, f"text/{number}")
    assert 1 < len(heads.begin) <= 256


def test_fields_as_lines() -> None:
    assert render_fields([("X-A", "1"), ("x-a", "ä\t "), ("!#$%&'*+-.^_`|~", "")]) == b"X-A: 1\r\nx-a: \xe4\t \r\n!#$%&'*+-.^_`|~: \r\n"
    assert render_fields([]) == b""


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\x0b", "\x1f", "\x7f"])
def test_nothing_breaks_out_of_its_line(char: str) -> None:
    for wrong in ([("X", f"a{char}b")], [("X", f"{char}")], [(f"X{char}", "a")]):
        with pytest.raises(ValueError):
            render_fields(wrong)
    with pytest.raises(ValueError, match="content-type holds a control character"):
        ResponseHeads(0).start(200, f"text/html{char}")
    with pytest.raises(ValueError):
        check_value("x", char)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "ä", "a\n", "(a)"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a response field"):
        render_fields([(name, "x")])


def test_a_value_that_latin_1_cannot_tell_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        render_fields([("X", "€")])
