"""What clients prefer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.web.accept import best_coding, best_type, qualities


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("", {}),
        ("gzip", {"gzip": 1.0}),
        ("GZIP;q=0.5 , br ; Q = 0.25,identity;q=0", {"gzip": 0.5, "br": 0.25, "identity": 0.0}),
        ("text/html;level=1;q=0.3, */*", {"text/html": 0.3, "*/*": 1.0}),
        ("a;q=1.000, b;q=0., c;q=1.5, d;q=-1, e;q=x, f;q=0.1234, g;q=", {"a": 1, "b": 0, "c": 0, "d": 0, "e": 0, "f": 0, "g": 0}),
        ("a;q=0.1, a;q=0.9", {"a": 0.1}),
        (",,;q=1,", {}),
    ],
)
def test_qualities(field: str, found: dict[str, float]) -> None:
    assert dict(qualities(field)) == found


def test_a_field_without_end_counts_in_part() -> None:
    assert len(qualities(",".join(f"a{number}" for number in range(1000)))) == 64


KINDS = ("application/json", "text/html", "text/plain")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "text/html"),
        ("text/*", "text/html"),
        ("text/*, text/html;q=0.5", "text/plain"),
        ("text/html;q=0, text/*", "text/plain"),
        ("*/*;q=0.1, text/plain;q=0.2", "text/plain"),
        ("application/json;q=0, */*", "text/html"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "text/html"),
        ("TEXT/PLAIN", "text/plain"),
        ("image/png", None),
        ("*/*;q=0", None),
        ("application/json;q=0.0", None),
    ],
)
def test_types(field: str, kind: str | None) -> None:
    assert best_type(field, KINDS) == kind


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        ("", None),
        ("gzip", "gzip"),
        ("gzip, br, zstd", "zstd"),
        ("gzip, br;q=0.9", "gzip"),
        ("gzip;q=0.5", "gzip"),
        ("gzip;q=0.5, identity", None),
        ("gzip, identity", "gzip"),
        ("gzip;q=0", None),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *", "br"),
        ("deflate", None),
        ("identity;q=0", None),
    ],
)
def test_codings(field: str, coding: str | None) -> None:
    assert best_coding(field, ("zstd", "br", "gzip")) == coding


@given(st.text(alphabet='gzip*;q=01., \t"/', max_size=200))
def test_whatever_a_client_sends_is_read(field: str) -> None:
    assert all(0 <= quality <= 1 for quality in qualities(field).values())
    assert best_coding(field, ("gzip",)) in ("gzip", None)
