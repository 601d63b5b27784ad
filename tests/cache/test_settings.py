"""``[cache.NAME]``: what cannot be is refused, naming place and key."""

from __future__ import annotations

from typing import Any

import pytest

from greenimi.cache.settings import CacheSettings, check_settings
from greenimi.config import Config
from greenimi.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"ttl": -1.0}, "cache.orders.ttl: -1.0 is not a number from 0 on"),
        ({"lease": float("nan")}, "cache.orders.lease: nan is not"),
        ({"negative": float("nan")}, "cache.orders.negative: nan is not"),
        ({"lease": 0.0}, "cache.orders.lease: it must be above 0"),
        ({"max_entries": 0}, "cache.orders.max_entries: it must be above 0"),
        ({"max_bytes": 0}, "cache.orders.max_bytes: it must be above 0"),
        ({"near_ttl": 0.0}, "cache.orders.near_ttl: it must be above 0"),
        ({"jitter": 1.0}, "cache.orders.jitter: 1.0 is not a share below 1"),
        ({"codec": "pickle"}, "cache.orders.codec: pickle is none of msgpack, json, raw"),
        ({"errors": "ignore"}, "cache.orders.errors: ignore is none of compute, raise"),
        ({"driver": "file"}, "cache.orders.folder: the file driver needs a folder"),
    ],
)
def test_what_cannot_be(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings("orders", CacheSettings(**settings), Config({}))
    assert problem in str(caught.value)


@pytest.mark.parametrize("name", ["a:b", "a/b", "", ".."])
def test_names_are_parts_of_keys_and_folders(name: str) -> None:
    with pytest.raises(ConfigError, match="part of keys"):
        check_settings(name, CacheSettings(), Config({}))


def test_the_place_is_named() -> None:
    config = Config({"cache": {"orders": {"ttl": -1}}})
    with pytest.raises(ConfigError, match=r"cache\.orders\.ttl"):
        check_settings("orders", config.settings("cache.orders", CacheSettings), config)


def test_the_defaults_are_good() -> None:
    check_settings("default", CacheSettings(), Config({}))
    check_settings("default", CacheSettings(negative=-1.0, driver="file", folder="run"), Config({}))
    assert CacheSettings().codec == "msgpack"
