from __future__ import annotations

from typing import Any

import pytest

from greenimi.config import Config
from greenimi.errors import ConfigError
from greenimi.pool.redis.settings import BlockingSettings, OwnSettings, RedisSettings, TlsSettings, check_settings


def test_defaults_are_fine() -> None:
    check_settings(RedisSettings(), Config({}), "redis.default")
    assert not TlsSettings().on


def test_a_table_of_a_pool_keeps_the_other_defaults() -> None:
    conf = Config({"redis": {"default": {"pool": {"wait": 1.0}, "blocking": {"wait": 1.0}}}})
    found = conf.settings("redis", dict[str, RedisSettings])["default"]
    assert (found.pool.min, found.pool.max, found.blocking.min, found.blocking.max, found.blocking.wait) == (0, 32, 0, 256, 1.0)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"port": 0}, "port: 0 is not a number from 1 to 65535"),
        ({"timeout": 0.0}, "timeout: it must be above 0"),
        ({"wait": -1.0}, "wait: -1 is below 0"),
        ({"protocol": 4}, "protocol: there is no version 4"),
        ({"read_from": "elsewhere"}, "read_from: elsewhere is none of"),
        ({"sentinels": ["a:1"]}, "service: the Sentinels must be told"),
        ({"sentinels": ["a:1"], "service": "shop", "cluster": ["b:1"]}, "cluster: a Cluster has no Sentinels"),
        ({"cluster": ["a:1"], "db": 1}, "db: a Cluster has database 0 only"),
        ({"pool": OwnSettings(max=0)}, "pool.max: it must be above 0"),
        ({"blocking": BlockingSettings(wait=-1.0)}, "blocking.wait: -1 is below 0"),
    ],
)
def test_what_cannot_be(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_settings(RedisSettings(**wrong), Config({}), "redis.default")
    assert f"redis.default.{text}" in str(caught.value)
