from __future__ import annotations

from typing import Any

import pytest

from greenimi.validate import helpers

RIGHT: dict[str, list[Any]] = {
    "email": ["a@example.org", "first.last+tag@sub.example.org"],
    "url": ["http://example.org", "https://example.org:8443/a?b#c", "http://[::1]/", "http://127.0.0.1", "http://localhost"],
    "ip": ["127.0.0.1", "::1"],
    "ipv4": ["0.0.0.0", "255.255.255.255"],
    "ipv6": ["::", "2001:db8::1"],
    "phone": ["+4915112345678"],
    "cn_mobile": ["13812345678", "+8613812345678"],
    "cn_landline": ["010-22345678", "2345678", "0755-2234567-12"],
    "cn_phone": ["13812345678", "010-22345678"],
    "cn_postcode": ["100000"],
    "qq": ["10000"],
    "empty": [None, "", " \t"],
}
WRONG: dict[str, list[Any]] = {
    "email": [
        "a",
        "a@b",
        "a@example.org\n",
        "a b@example.org",
        "a@-x.org",
        ".a@example.org",
        "a" * 65 + "@example.org",
        "a@" + "x." * 200 + "org",
    ],
    "url": [
        "example.org",
        "ftp://example.org",
        "http://",
        "http://a b",
        "http://a:99999/",
        "http://[::1",
        "javascript:alert(1)",
        "http://a\n",
        7,
    ],
    "ip": ["x", 1, "1.2.3"],
    "ipv4": ["01.2.3.4", "256.1.1.1", " 1.2.3.4"],
    "ipv6": ["fe80::1%eth0", "1::2::3", "127.0.0.1"],
    "phone": ["004915112345678", "+0123456789", "+49 151"],
    "cn_mobile": ["138123456789", "x13812345678", "13812345678x", "12812345678"],
    "cn_landline": ["12345", "010--22345678"],
    "cn_phone": ["1"],
    "cn_postcode": ["1000000", "10000x"],
    "qq": ["01000", "1234"],
    "empty": ["a", 0, []],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in RIGHT.items() for value in values])
def test_yes(name: str, value: Any) -> None:
    assert getattr(helpers, name)(value) is True


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in [*values, b"x", object()]])
def test_no(name: str, value: Any) -> None:
    assert getattr(helpers, name)(value) is False


def test_between() -> None:
    assert helpers.between(1, 1, 2)
    assert not helpers.between(1, 1, 2, inclusive=False)
    assert not helpers.between(3, 1, 2)
    assert not helpers.between("a", 1, 2)


def test_length() -> None:
    assert helpers.length("日本", 2, 2)
    assert not helpers.length([1], 2)
    assert not helpers.length(5)
    assert helpers.byte_length("日本", 6, 6)
    assert not helpers.byte_length("日本", 0, 5)
    assert not helpers.byte_length(["a"])
