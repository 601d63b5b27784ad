"""Where a request came from and what address it asked for, without a proxy."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from greenimi.errors import BadMessage
from greenimi.located import Told, is_host
from greenimi.message import Request


class Connection(NamedTuple):
    address: Any = ("192.0.2.1", 40000)
    secure: bool = False


PLAIN = Connection()


def request(target: str = "/a?b=c", host: str = "shop.example:8000", connection: Connection = PLAIN) -> Request:
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n" if host else f"GET {target} HTTP/1.0\r\n\r\n"
    return Request("GET", target, "/a", "b=c", head, connection=connection)  # type: ignore[arg-type]


def test_a_connection_tells() -> None:
    plain = request()
    assert (plain.client, plain.scheme, plain.host, plain.prefix) == ("192.0.2.1", "http", "shop.example:8000", "")
    assert plain.url == "http://shop.example:8000/a?b=c"
    assert request(connection=Connection(secure=True)).url == "https://shop.example:8000/a?b=c"
    assert request(connection=Connection("", False)).client == ""


def test_a_client_that_names_no_host() -> None:
    assert request(host="").url == "http://localhost/a?b=c"


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("http://other.example/x?y", "http://other.example/x?y"),
        ("http://other.example?y", "http://other.example/?y"),
        ("/x//y://z", "http://shop.example:8000/x//y://z"),
        ("*", "http://shop.example:8000/"),
    ],
)
def test_a_target_with_a_host_outweighs_the_field(target: str, url: str) -> None:
    assert request(target).url == url


@pytest.mark.parametrize("host", ["a/b", "user@shop.example", "a b", "shop.example:port", "[::1", 'x"><script>', "a,b"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(BadMessage):
        _ = request(host=host).host
    assert not is_host(host)


def test_what_proxies_say_outweighs_the_connection() -> None:
    told = request()
    told.told = Told("2001:db8::1", "https", "www.example", "/shop")
    assert (told.client, told.scheme, told.host, told.prefix) == ("2001:db8::1", "https", "www.example", "/shop")
    assert told.url == "https://www.example/shop/a?b=c"
    told.told = Told("2001:db8::1", "https")
    assert told.url == "https://shop.example:8000/a?b=c"
