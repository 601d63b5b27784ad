"""``[table]`` in conf: where rows, counters and channels are that the workers of a machine share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from greenimi.config import option
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig
from greenimi.lock.settings import VARIABLE

SMALLEST = 1 << 20
"""Bytes that a file has at least."""


@dataclass(frozen=True)
class TableSettings:
    """``[table]``"""

    driver: str = option("sqlite", "What keeps rows and counters: sqlite, lmdb, or another driver.  See docs/shared-tables.md.")
    folder: str = option("", "Folder of the files by which workers meet; by default one in the master's, else one of this process alone.")
    patience: float = option(1.0, "Seconds at most that a step waits for other processes in the middle of theirs; then Overloaded (503).")
    size: int = option(64 * 1024 * 1024, "Bytes of the file of rows, and of that of channels; beyond them Overloaded (503).")
    counters: int = option(10_000, "Counters that there may be.")


def folder_of(settings: TableSettings) -> Path | None:
    """``folder`` of conf, else one in the master's; None when there is neither."""
    if settings.folder:
        return Path(settings.folder).absolute()
    masters = os.environ.get(VARIABLE, "")
    return Path(masters).absolute() / "tables" if masters else None


def check_settings(settings: TableSettings, config: IConfig) -> None:
    """Raises ConfigError naming place and key of what cannot be."""
    for key, least in (("patience", 0.0), ("size", SMALLEST), ("counters", 1)):
        value = getattr(settings, key)
        if value < least:
            place = config.place(f"table.{key}")
            raise ConfigError(f"{f'{place}: ' if place else ''}table.{key}: {value} is below {least}")
