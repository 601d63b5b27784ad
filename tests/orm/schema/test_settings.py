from __future__ import annotations

from typing import Any

import pytest

from greenimi.config import Config
from greenimi.errors import ConfigError
from greenimi.orm.schema.settings import MigrationSettings, check_settings


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"folder": " "}, "migration.folder: it is empty"),
        ({"table": ""}, "migration.table: it is empty"),
        ({"wait": -1.0}, "migration.wait: -1 is below 0"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_settings(MigrationSettings(**changes), Config({}))


def test_what_it_is_without_conf() -> None:
    settings = MigrationSettings()
    check_settings(settings, Config({}))
    assert (settings.folder, settings.table, settings.wait) == ("migrations", "schema_migration", 60.0)
