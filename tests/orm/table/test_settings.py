from __future__ import annotations

from pathlib import Path

import pytest

from greenimi.config import Config
from greenimi.errors import ConfigError
from greenimi.orm.table.settings import TableSettings, check_settings, folder_of


def test_the_folder_is_the_masters_where_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GREENIMI_HUB", raising=False)
    assert folder_of(TableSettings()) is None
    monkeypatch.setenv("GREENIMI_HUB", "/run/master")
    assert folder_of(TableSettings()) == Path("/run/master/tables")
    assert folder_of(TableSettings(folder="/run/other")) == Path("/run/other")


@pytest.mark.parametrize(("key", "value"), [("patience", -1.0), ("size", 1000), ("counters", 0)])
def test_what_cannot_be_is_refused(key: str, value: float) -> None:
    config = Config({"table": {key: value}})
    with pytest.raises(ConfigError, match=rf"table\.{key}: {value} is below"):
        check_settings(config.settings("table", TableSettings), config)
