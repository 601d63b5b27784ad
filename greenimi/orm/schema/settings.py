"""The settings of migrations, the table ``[migration]`` in conf."""

from __future__ import annotations

from dataclasses import dataclass

from greenimi.config import option
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig


@dataclass(frozen=True)
class MigrationSettings:
    """``[migration]``"""

    folder: str = option("migrations", "Folder of the default database's migrations; those of another are in a folder of its name there.")
    table: str = option("schema_migration", "Table that holds which ones were done; its name begins with the prefix of the database.")
    wait: float = option(60.0, "Seconds that a command waits while another one migrates the same database; 0: it does not wait.")


def check_settings(settings: MigrationSettings, config: IConfig) -> None:
    """Raises ConfigError naming place and key of what cannot be."""
    wrong = {key: "it is empty" for key in ("folder", "table") if not getattr(settings, key).strip()}
    if settings.wait < 0:
        wrong["wait"] = f"{settings.wait:g} is below 0"
    for key, text in wrong.items():
        place = config.place(f"migration.{key}")
        raise ConfigError(f"{f'{place}: ' if place else ''}migration.{key}: {text}")
