from __future__ import annotations

import pytest

from greenimi.config import Config
from greenimi.errors import ConfigError
from greenimi.log import HandlerSettings, LogSettings


def test_settings_bind_from_a_table_and_name_what_is_wrong() -> None:
    table = {"level": "debug", "levels": {"shop.orders": "error"}, "handlers": [{"kind": "file", "path": "a.log", "channels": ["shop"]}]}
    found = Config({"log": table}).settings("log", LogSettings)
    assert found == LogSettings(
        level="debug", levels={"shop.orders": "error"}, handlers=(HandlerSettings(kind="file", path="a.log", channels=("shop",)),)
    )
    assert Config().settings("log", LogSettings) == LogSettings()
    wrong = {"level": "loud", "capacity": 0, "handlers": [{"kind": "file"}, {"kind": "smoke"}, {"keep": -1}]}
    with pytest.raises(ConfigError) as caught:
        Config({"log": wrong}).settings("log", LogSettings)
    for said in (
        "log.level: expected one of 'debug', 'info', 'warning', 'error', 'critical', got str 'loud'",
        "log.handlers.0: a file handler needs a path",
        "log.handlers.1: kind 'smoke' is neither",
        "log.handlers.2: max_bytes and keep cannot be negative",
    ):
        assert said in str(caught.value)
    with pytest.raises(ConfigError, match="capacity must be at least 1"):
        Config({"log": {"capacity": 0}}).settings("log", LogSettings)
