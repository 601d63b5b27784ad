"""``[database.NAME]``"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from greenimi.config import Config
from greenimi.errors import ConfigError
from greenimi.pool.database.settings import DatabaseSettings, ReadSettings, TlsSettings, check_settings
from greenimi.pool.settings import PoolSettings

GOOD = DatabaseSettings(url="mysql://db1/shop")


def test_the_defaults_can_be() -> None:
    check_settings(GOOD, Config({}), "database.default")
    assert GOOD.read_timeout > 0


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"port": -1}, r"d\.port: -1 is below 0"),
        ({"read_timeout": -1.0}, r"d\.read_timeout"),
        ({"connect_timeout": 0.0}, r"d\.connect_timeout: it must be above 0"),
        ({"reads": ReadSettings(max_lag=-2.0)}, r"d\.reads\.max_lag: -2"),
        ({"reads": ReadSettings(pool=PoolSettings(wait=-1.0))}, r"d\.reads\.pool\.wait"),
        ({"pool": PoolSettings(min=9, max=2)}, r"d\.pool\.min"),
        ({"tls": TlsSettings(mode="maybe")}, r"d\.tls\.mode: there is no mode maybe"),
        ({"tls": TlsSettings(key="x.key")}, r"d\.tls\.key: there is no certificate"),
        ({"urls": ["mysql://db2"]}, r"d\.urls: there is a url, too"),
    ],
)
def test_what_cannot_be(changed: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        check_settings(replace(GOOD, **changed), Config({}), "d")


def test_passwords_of_conf_do_not_show() -> None:
    config = Config({"database": {"default": {"url": "mysql://me:hidden1@db1", "password": "hidden2"}}})
    assert "hidden" not in repr(config.settings("database.default", DatabaseSettings))
