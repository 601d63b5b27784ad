"""Preconditions, as the tables of RFC 9110 section 13 have them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.errors import Refusal
from greenimi.message import Headers
from greenimi.web.conditional import (
    check_conditions,
    entity_tag,
    http_date,
    not_modified,
    parse_http_date,
    range_is_current,
    status_for,
    strongly_equal,
    tags_of,
    validators,
    weakened,
    weakly_equal,
)
from tests.web.asking import asking

MODIFIED = 784111777.5  # Sun, 06 Nov 1994 08:49:37 GMT and a half
NOW = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"


def test_tags_are_what_fits_between_quotes() -> None:
    assert (entity_tag("v7"), entity_tag("", weak=True)) == ('"v7"', 'W/""')
    assert (weakened('"a"'), weakened('W/"a"')) == ('W/"a"', 'W/"a"')
    for bad in ('a"b', "a b", "a\r\nb", "\0"):
        with pytest.raises(ValueError, match="cannot be an entity tag"):
            entity_tag(bad)


@pytest.mark.parametrize(
    ("one", "other", "strong", "weak"),  # the table of section 8.8.3.2
    [('W/"1"', 'W/"1"', False, True), ('W/"1"', 'W/"2"', False, False), ('W/"1"', '"1"', False, True), ('"1"', '"1"', True, True)],
)
def test_strong_and_weak_comparison(one: str, other: str, strong: bool, weak: bool) -> None:
    assert (strongly_equal(one, other), strongly_equal(other, one)) == (strong, strong)
    assert (weakly_equal(one, other), weakly_equal(other, one)) == (weak, weak)


@pytest.mark.parametrize(
    ("field", "tags"),
    [
        ('"a"', ['"a"']),
        ('"a", W/"b" ,"c,d"', ['"a"', 'W/"b"', '"c,d"']),
        (', "a",,', ['"a"']),
        (" * ", ["*"]),
        ("a", None),
        ('"a" "b"', None),
        ('w/"a"', None),
        ('"a', None),
        ("", None),
    ],
)
def test_lists_of_tags(field: str, tags: list[str] | None) -> None:
    assert tags_of(field) == tags


@given(st.text(alphabet='",W/a* \t', max_size=2000))
def test_lists_of_tags_are_read_without_going_back_and_forth(field: str) -> None:
    found = tags_of(field)
    assert found is None or all(weakly_equal(tag, tag) and tag in field for tag in found)


@pytest.mark.parametrize("field", [NOW, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])
def test_the_three_forms_of_dates(field: str) -> None:
    assert parse_http_date(field) == 784111777
    assert http_date(784111777.9) == NOW


@pytest.mark.parametrize("field", ["", "yesterday", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 99999999 08:49:37 GMT", "0"])
def test_what_is_no_date(field: str) -> None:
    assert parse_http_date(field) is None


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"if_none_match": '"v"'}, 304),
        ("HEAD", {"if_none_match": 'W/"v", "x"'}, 304),
        ("GET", {"if_none_match": "*"}, 304),
        ("GET", {"if_none_match": '"w"'}, 200),
        ("GET", {"if_none_match": "v"}, 200),
        ("PUT", {"if_none_match": '"v"'}, 412),
        ("PUT", {"if_none_match": "*"}, 412),
        ("GET", {"if_match": '"v"'}, 200),
        ("GET", {"if_match": "*"}, 200),
        ("GET", {"if_match": 'W/"v"'}, 412),
        ("DELETE", {"if_match": '"w"'}, 412),
        ("GET", {"if_modified_since": NOW}, 304),
        ("GET", {"if_modified_since": LATER}, 304),
        ("GET", {"if_modified_since": BEFORE}, 200),
        ("GET", {"if_modified_since": "soon"}, 200),
        ("POST", {"if_modified_since": LATER}, 200),
        ("GET", {"if_unmodified_since": NOW}, 200),
        ("GET", {"if_unmodified_since": BEFORE}, 412),
        ("PUT", {"if_unmodified_since": "never"}, 200),
        # of two, the tag counts
        ("GET", {"if_none_match": '"w"', "if_modified_since": LATER}, 200),
        ("GET", {"if_match": '"v"', "if_unmodified_since": BEFORE}, 200),
        # first the one that must hold, then the one that must not
        ("GET", {"if_match": '"w"', "if_none_match": '"v"'}, 412),
        ("GET", {"if_match": '"v"', "if_none_match": '"v"'}, 304),
    ],
)
def test_what_the_preconditions_come_to(method: str, fields: dict[str, str], status: int) -> None:
    assert status_for(asking(method=method, **fields), '"v"', MODIFIED) == status


def test_a_thing_that_is_not_there_and_one_without_validators() -> None:
    assert status_for(asking(method="PUT", if_none_match="*"), None, None, exists=False) == 200
    assert status_for(asking(method="PUT", if_match="*"), None, None, exists=False) == 412
    assert status_for(asking(if_match='"v"'), None, None) == 412
    assert status_for(asking(if_none_match='"v"', if_modified_since=LATER), None, None) == 200
    assert status_for(asking(if_modified_since=LATER), '"v"', None) == 200


def test_a_weak_tag_never_lets_a_change_through() -> None:
    assert status_for(asking(method="PUT", if_match='W/"v"'), 'W/"v"', None) == 412
    assert status_for(asking(if_none_match='"v"'), 'W/"v"', None) == 304


@pytest.mark.parametrize(
    ("field", "current"),
    [(None, True), ('"v"', True), ('W/"v"', False), ('"w"', False), (NOW, True), (LATER, False), (BEFORE, False), ("x", False)],
)
def test_if_range(field: str | None, current: bool) -> None:
    headers = Headers([("If-Range", field)] if field else [])
    assert range_is_current(headers, '"v"', MODIFIED) == current


def test_if_range_trusts_no_date_of_this_second_and_no_weak_tag() -> None:
    now = time.time()
    assert not range_is_current(Headers([("If-Range", http_date(now))]), None, now)
    assert not range_is_current(Headers([("If-Range", 'W/"v"')]), 'W/"v"', None)
    assert not range_is_current(Headers([("If-Range", NOW)]), '"v"', None)


def test_a_304_repeats_no_field_of_the_body() -> None:
    fields = [("ETag", '"v"'), ("Content-Type", "x"), ("Content-Encoding", "gzip"), ("Cache-Control", "no-cache"), ("Set-Cookie", "a=b")]
    found = not_modified(fields)
    assert (found.status, found.body, found.content_type) == (304, b"", "")
    assert found.headers == (("ETag", '"v"'), ("Cache-Control", "no-cache"), ("Set-Cookie", "a=b"))


def test_handlers_ask_before_they_work() -> None:
    assert validators('"v"', MODIFIED) == [("ETag", '"v"'), ("Last-Modified", NOW)]
    assert check_conditions(asking(), '"v"') is None
    found = check_conditions(asking(if_none_match='"v"'), '"v"', MODIFIED, headers=[("Vary", "Accept")])
    assert found is not None
    assert (found.status, found.headers) == (304, (("ETag", '"v"'), ("Last-Modified", NOW), ("Vary", "Accept")))
    with pytest.raises(Refusal) as caught:
        check_conditions(asking(method="PUT", if_match='"old"'), '"v"')
    assert caught.value.status == 412
