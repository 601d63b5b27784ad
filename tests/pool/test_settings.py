"""Settings that cannot be are refused with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenimi.config import Config, read_conf
from greenimi.errors import ConfigError
from greenimi.pool import PoolSettings
from greenimi.pool.settings import check_settings, problem


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"max": 0}, ("max", "it must be above 0")),
        ({"wait": -1.0}, ("wait", "-1 is below 0")),
        ({"queue": 0}, ("queue", "it must be above 0")),
        ({"min": 5, "max": 4}, ("min", "5 is more than max, 4")),
        ({"connect_time": 0.0}, ("connect_time", "it must be above 0")),
        ({"eject": 0.0}, ("eject", "it must be above 0")),
        ({"eject": 90.0}, ("eject_limit", "60 is less than eject, 90")),
    ],
)
def test_what_cannot_be(changed: dict[str, Any], expected: tuple[str, str]) -> None:
    assert problem(PoolSettings(**changed)) == expected


def test_the_defaults_can_be() -> None:
    assert problem(PoolSettings()) is None
    check_settings(PoolSettings(), Config({}), "database.default.pool")


def test_the_place_is_named(tmp_path: Path) -> None:
    conf = tmp_path / "app.toml"
    conf.write_text("[database.default.pool]\nmax = 4\nmin = 5\n")
    config = read_conf(conf)
    with pytest.raises(ConfigError, match=r"app.toml:3: database.default.pool.min: 5 is more than max, 4"):
        check_settings(config.settings("database.default.pool", PoolSettings), config, "database.default.pool")
