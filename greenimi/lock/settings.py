"""``[lock.NAME]`` in conf: where locks are kept, and how long they are waited for and held."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from greenimi.config import option
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig

SHORTEST = 0.1
"""Seconds that a lease has at least: renewals must be faster than its third."""


VARIABLE = "GREENIMI_HUB"
"""Environment variable by which a master tells its workers which folder is theirs."""

_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class LockSettings:
    """``[lock.NAME]``"""

    driver: str = option("auto", "Where locks are kept: auto, memory, machine, redis, database, or another driver.  See docs/locks.md.")
    wait: float = option(3.0, "Seconds that somebody waits for a lock unless the call says otherwise; 0 means one try.")
    lease: float = option(10.0, "Seconds after which a lock ends whose holder is gone; while it works on, it is renewed in every third.")
    renew: bool = option(True, "Renew locks while they are held; false: a lock ends after one lease, whatever its holder does.")
    waiting: int = option(10_000, "Greenlets of one process that may wait for locks, at most; beyond it Overloaded (503).")
    held: int = option(100_000, "Locks that one process may hold, at most; beyond it Overloaded (503).")
    prefix: str = option("", "What the names of keys begin with, in Redis and databases; by default `lock:NAME:`.")
    folder: str = option("", "machine: folder of the file and sockets by which workers meet; by default one in the master's.")
    patience: float = option(1.0, "machine: seconds at most that a step waits for other processes in the middle of theirs.")
    size: int = option(64 * 1024 * 1024, "machine: bytes of the file; beyond it no more locks are given (503).")
    redis: str = option("default", "redis: the name of the [redis.NAME] to use.")
    database: str = option("default", "database: the name of the [database.NAME] to use.")
    connections: int = option(16, "database: connections at most for locks held and waited for; each takes one.")


def folder_of(settings: LockSettings) -> Path | None:
    """``folder`` of conf, else one in the master's; None when there is neither."""
    if settings.folder:
        return Path(settings.folder).absolute()
    masters = os.environ.get(VARIABLE, "")
    return Path(masters).absolute() / "locks" if masters else None


def check_settings(name: str, settings: LockSettings, config: IConfig) -> None:
    """Raises ConfigError naming place and key of what cannot be."""
    if not _NAME.fullmatch(name):
        raise _wrong(config, f"lock.{name}", "it is part of a file's name", "letters, digits, underscores and hyphens")
    for key in ("wait", "patience"):
        if getattr(settings, key) < 0:
            raise _wrong(config, f"lock.{name}.{key}", f"{getattr(settings, key)} is below 0")
    for key in ("waiting", "held", "connections", "size"):
        if getattr(settings, key) < 1:
            raise _wrong(config, f"lock.{name}.{key}", f"{getattr(settings, key)} is below 1")
    if settings.lease < SHORTEST:
        raise _wrong(config, f"lock.{name}.lease", f"{settings.lease} is below {SHORTEST} seconds, in which a renewal may not be done")
    if "{" in settings.prefix or "}" in settings.prefix:
        raise _wrong(config, f"lock.{name}.prefix", "braces are put around the part by which a cluster spreads keys", "leave them out")


def _wrong(config: IConfig, key: str, text: str, hint: str = "") -> ConfigError:
    place = config.place(key)
    return ConfigError(f"{f'{place}: ' if place else ''}{key}: {text}", hint=hint)
