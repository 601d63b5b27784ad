"""Which sites may open WebSockets."""

from __future__ import annotations

import pytest

from greenimi.errors import Refused
from greenimi.located import Told
from greenimi.message import Request
from greenimi.servers.origin import check_origin


def shake(origin: str | None, host: str = "here.example:8000") -> Request:
    fields = f"Host: {host}\r\n" + (f"Origin: {origin}\r\n" if origin is not None else "")
    return Request("GET", "/", "/", "", f"GET / HTTP/1.1\r\n{fields}\r\n")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [(None, ()), ("http://here.example:8000", ()), ("https://HERE.example:8000", ()), ("http://x", ("http://x",)), ("http://x", ("*",))],
)
def test_who_may(origin: str | None, allowed: tuple[str, ...]) -> None:
    assert check_origin(shake(origin), allowed) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("origin", ["http://here.example", "http://evil.example:8000", "null", "", "http://[", "http://x.evil.example"])
def test_who_may_not(origin: str) -> None:
    with pytest.raises(Refused):
        check_origin(shake(origin), ("http://evil.example",))


def test_behind_a_proxy_the_host_is_the_one_that_its_clients_ask_for() -> None:
    behind = shake("https://shop.example", "inner:8000")
    behind.told = Told("192.0.2.1", "https", "shop.example")
    assert check_origin(behind, ()) is None  # type: ignore[func-returns-value]
    behind.told = Told("192.0.2.1", "https")
    with pytest.raises(Refused):
        check_origin(behind, ())
