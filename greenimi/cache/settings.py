"""``[cache.NAME]`` in conf: where values are kept, as what, and for how long."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields

from greenimi.cache.codecs import CODECS
from greenimi.config import option
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig

_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class CacheSettings:
    """``[cache.NAME]``"""

    driver: str = option("memory", "Where values are kept: memory, file, message, redis, redis_hash, two_level, or another driver.")
    codec: str = option("msgpack", "What values are kept as: msgpack, json, or raw, which takes text and bytes only.")
    ttl: float = option(0.0, "Seconds that a value is kept where nobody says how long; 0: it has no end.")
    jitter: float = option(0.05, "Share of its time, at most, by which a value ends sooner: those kept together do not end together.")
    early: float = option(1.0, "How eagerly a value is made anew before its end; 2.0: about twice as early, 0: never.")
    negative: float = option(-1.0, "Seconds that a None which was made is kept; 0: not at all, below 0: as long as other values.")
    tag_ttl: float = option(30 * 86400.0, "Seconds that values with tags live at most.")
    errors: str = option("compute", "What a failing store does to those who read: compute, as if there were no value, or raise.")
    pause: float = option(1.0, "Seconds that nobody reads from a store that has failed; with errors = compute.")
    lease: float = option(10.0, "Seconds that one process has to make a value, before another one tries.")
    wait: float = option(10.0, "Seconds that others wait for a value that is being made, before they make it themselves.")
    max_entries: int = option(10_000, "memory, message, file, two_level: values at most; about so many for files.")
    max_bytes: int = option(64 * 1024 * 1024, "memory, message, file, two_level: bytes at most; about so many for files.")
    prefix: str = option("", "redis, redis_hash, two_level: what keys begin with; by default cache:NAME:")
    folder: str = option("", "file: the folder, in which each cache has its own.")
    redis: str = option("default", "redis, redis_hash, two_level: the name of the [redis.NAME] to use.")
    near_ttl: float = option(30.0, "two_level: seconds that a value stays in memory at most.")


def check_settings(name: str, settings: CacheSettings, config: IConfig) -> None:
    """Raises ConfigError naming place and key of what cannot be."""
    if not _NAME.fullmatch(name):
        raise _wrong(config, f"cache.{name}", "it is part of keys and of a folder's name", "letters, digits, underscores and hyphens")
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, int | float) and (math.isnan(value) or (value < 0 and field.name != "negative")):
            raise _wrong(config, f"cache.{name}.{field.name}", f"{value} is not a number from 0 on")
    for key in ("tag_ttl", "lease", "max_entries", "max_bytes", "near_ttl"):
        if not getattr(settings, key):
            raise _wrong(config, f"cache.{name}.{key}", "it must be above 0")
    if settings.jitter >= 1:
        raise _wrong(config, f"cache.{name}.jitter", f"{settings.jitter} is not a share below 1", "0.05 for five in a hundred")
    for key, known in (("codec", tuple(CODECS)), ("errors", ("compute", "raise"))):
        if getattr(settings, key) not in known:
            raise _wrong(config, f"cache.{name}.{key}", f"{getattr(settings, key)} is none of {', '.join(known)}")
    if settings.driver == "file" and not settings.folder:
        raise _wrong(config, f"cache.{name}.folder", "the file driver needs a folder", 'folder = "run/cache"')


def _wrong(config: IConfig, key: str, text: str, hint: str = "") -> ConfigError:
    place = config.place(key)
    return ConfigError(f"{f'{place}: ' if place else ''}{key}: {text}", hint=hint)
