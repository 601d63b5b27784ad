from __future__ import annotations

import pytest

from greenimi.errors import ConfigError
from greenimi.pool.redis.addresses import Address, address_of, parse_address, resolved
from greenimi.pool.redis.settings import RedisSettings


def of(url: str, **keys: object) -> RedisSettings:
    return resolved(RedisSettings(url=url, **keys))  # type: ignore[arg-type]


def test_url() -> None:
    found = of("redis://ann:s%40cret@cache.example:7000/3")
    assert address_of(found) == Address("cache.example", 7000)
    assert (found.username, found.password, found.db, found.tls.on, found.url) == ("ann", "s@cret", 3, False, "")


def test_what_a_url_leaves_out_is_as_in_single_keys() -> None:
    found = of("redis://127.0.0.1", db=5, password="x")
    assert (found.db, found.password, found.port) == (5, "x", 6379)


def test_tls_and_socket() -> None:
    assert of("rediss://localhost").tls.on
    found = of("unix:///run/redis.sock?db=2", host="elsewhere")
    assert (str(address_of(found)), found.db) == ("/run/redis.sock", 2)


def test_single_keys_stay_without_url() -> None:
    settings = RedisSettings(host="::1", port=7001)
    assert resolved(settings) is settings
    assert str(address_of(settings)) == "[::1]:7001"


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://localhost", "begins with none of"),
        ("redis://localhost:none", "its port is no number"),
        ("redis://localhost/zero", "zero is no number"),
        ("redis://localhost?timeout=3", "timeout cannot stand in it"),
    ],
)
def test_wrong_urls(url: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        of(url)


def test_errors_hide_the_password() -> None:
    with pytest.raises(ConfigError) as caught:
        of("redis://ann:secret@localhost/zero")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(of("redis://ann:secret@localhost"))


@pytest.mark.parametrize("password", ["a/secret", "1/secret", "a?secret", "a#secret", "1?secret", "1#secret"])
def test_a_password_that_is_not_escaped_is_told_but_not_shown(password: str) -> None:
    with pytest.raises(ConfigError, match="%2F") as caught:
        of(f"redis://ann:{password}@localhost/1")
    assert "secret" not in str(caught.value)


def test_addresses_of_nodes() -> None:
    assert parse_address("10.0.0.1:7000") == Address("10.0.0.1", 7000)
    assert parse_address("[::1]:7000") == Address("::1", 7000)
    assert parse_address("redis1") == Address("redis1", 6379)


@pytest.mark.parametrize("text", ["", ":7000", "host:none", "redis://host", "a@host", "host:99999"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a Redis"):
        parse_address(text)
