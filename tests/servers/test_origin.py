"""Which sites may open WebSockets."""

from __future__ import annotations

import pytest

from greenimi.errors import Refused
from greenimi.located import Told
from greenimi.message import Request
from greenimi.servers.origin import Origins


def shake(origin: str | None, host: str = "here.example:8000") -> Request:
    fields = f"Host: {host}\r\n" + (f"Origin: {origin}\r\n" if origin is not None else "")
    return Request("GET", "/", "/", "", f"GET / HTTP/1.1\r\n{fields}\r\n")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, ()),
        ("http://here.example:8000", ()),
        ("https://HERE.example:8000", ()),
        ("http://x", ("http://x",)),
        ("http://x", ("*",)),
        ("https://a.friend.example", ("http://x", "https://*.friend.example")),
        ("https://a.b.friend.example", ("https://*.friend.example",)),
        ("https://a.friend.example:8443", ("https://*.friend.example:8443",)),
        ("null", ("/null/",)),
    ],
)
def test_who_may(origin: str | None, allowed: tuple[str, ...]) -> None:
    Origins(allowed).check(shake(origin))


@pytest.mark.parametrize(
    "origin",
    [
        "http://here.example",
        "http://evil.example:8000",
        "null",
        "",
        "http://[",
        "http://x.evil.example",
        "https://friend.example",
        "http://a.friend.example",
        "https://afriend.example",
        "https://a.friend.example.evil.example",
        "https://evil.example/.friend.example",
        "https://a.friend.example:8443",
    ],
)
def test_who_may_not(origin: str) -> None:
    with pytest.raises(Refused):
        Origins(["http://evil.example", "https://*.friend.example"]).check(shake(origin))


def test_behind_a_proxy_the_host_is_the_one_that_its_clients_ask_for() -> None:
    behind = shake("https://shop.example", "inner:8000")
    behind.told = Told("192.0.2.1", "https", "shop.example")
    Origins(()).check(behind)
    behind.told = Told("192.0.2.1", "https")
    with pytest.raises(Refused):
        Origins(()).check(behind)
