"""Content types by name."""

from __future__ import annotations

import pytest

from greenimi.web.media_types import UNKNOWN, content_type_of, with_charset


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a/b.HTML", "text/html; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.xml", "text/xml; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.avif", "image/avif"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.md", "text/markdown; charset=utf-8"),
        # what holds other files is not what they are
        ("a.tar.gz", "application/gzip"),
        ("a.html.gz", "application/gzip"),
        ("a.css.br", UNKNOWN),
        ("a.svgz", "application/gzip"),
        ("a.tar.xz", "application/x-xz"),
        ("a", UNKNOWN),
        ("a.unheard-of", UNKNOWN),
        ("http://a.png", "image/png"),
        ("data:text/html,x.png", "image/png"),
    ],
)
def test_content_types(name: str, kind: str) -> None:
    assert content_type_of(name) == kind


def test_a_charset_is_added_once_and_to_text_only() -> None:
    assert with_charset("text/plain; charset=latin-1") == "text/plain; charset=latin-1"
    assert with_charset("application/xml") == "application/xml; charset=utf-8"
    assert with_charset("image/png") == "image/png"
