"""Patterns of origins."""

from __future__ import annotations

import pytest

from greenimi.errors import ConfigError
from greenimi.web.origins import origin_matcher


@pytest.mark.parametrize(
    ("pattern", "origin", "fits"),
    [
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example", "https://shop.example:8443", False),
        ("https://*.shop.example", "https://a.b.shop.example", True),
        ("https://*.shop.example", "https://shop.example", False),
        ("https://*.shop.example", "https://evil-shop.example", False),
        ("https://*.shop.example", "https://a/.shop.example", False),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("/https://shop[0-9]\\.example/", "https://shop7.example", True),
        ("/https://shop[0-9]\\.example/", "https://shop7.example.evil.example", False),
    ],
)
def test_patterns(pattern: str, origin: str, fits: bool) -> None:
    assert bool(origin_matcher(["https://other.example", pattern])(origin)) == fits


def test_without_patterns_none_fits() -> None:
    assert not origin_matcher([])("https://shop.example")


@pytest.mark.parametrize("wrong", ["shop.example", "https://", "https://*", "https://shop.example/", "null", "/(/", "https://a.*.x", ""])
def test_what_is_no_origin(wrong: str) -> None:
    with pytest.raises(ConfigError):
        origin_matcher([wrong])
