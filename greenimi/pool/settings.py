"""The settings of a pool: the table ``pool`` of what the pool is for, such as ``[database.default.pool]``; and ``[pool]``, for all."""

from __future__ import annotations

from dataclasses import dataclass, fields

from greenimi.config import option
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig


@dataclass(frozen=True)
class PoolSettings:
    """``pool`` in the table of a database, a Redis and so on."""

    max: int = option(32, "Resources at most, those that are being connected included.")
    min: int = option(1, "Resources that are kept connected, used or not.")
    wait: float = option(3.0, "Seconds at most that a taker waits for one (503).")
    queue: int = option(1000, "Takers that may wait; further ones are refused at once (503).")
    idle: float = option(300.0, "Seconds unused after which one is closed while there are more than min; 0 means never.")
    life: float = option(0.0, "Seconds after which one is closed as soon as it is free, give or take a tenth; 0 means never.")
    uses: int = option(0, "Uses after which one is closed; 0 means any number.")
    idle_check: float = option(30.0, "Seconds unused after which one is checked before it is given out; 0: each time.")
    heartbeat: float = option(0.0, "Seconds unused after which one is checked in the background; 0 means never.")
    report_after: float = option(60.0, "Seconds after which one that is still held is reported with the line that took it; 0 means never.")
    close_after: float = option(0.0, "Seconds after which one that is still held is closed; 0 means never.")
    connect_time: float = option(5.0, "Seconds at most that connecting takes.")
    check_time: float = option(2.0, "Seconds at most that a check takes.")
    balance: str = option("random", "Which node is connected to: random, round_robin, weighted, least_busy, or a driver.")
    eject: float = option(1.0, "Seconds that a node is left alone after it failed; doubled each time it fails again.")
    eject_limit: float = option(60.0, "Seconds at most that it is left alone.")


@dataclass(frozen=True)
class PoolsSettings:
    """``[pool]``"""

    check: bool = option(False, "Do not start when a pool cannot connect.")


_ABOVE_ZERO = ("max", "queue", "connect_time", "check_time", "eject")


def problem(settings: PoolSettings) -> tuple[str, str] | None:
    """The key that cannot be, and why; None when all is well."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if not isinstance(value, str) and value < 0:
            return field.name, f"{value:g} is below 0"
    for key in _ABOVE_ZERO:
        if not getattr(settings, key):
            return key, "it must be above 0"
    if settings.min > settings.max:
        return "min", f"{settings.min} is more than max, {settings.max}"
    if settings.eject_limit < settings.eject:
        return "eject_limit", f"{settings.eject_limit:g} is less than eject, {settings.eject:g}"
    return None


def check_settings(settings: PoolSettings, config: IConfig, path: str) -> None:
    """``path``: where they stand, ``database.default.pool``.  Raises ConfigError naming place and key of what cannot be."""
    found = problem(settings)
    if found is not None:
        key, text = found
        place = config.place(f"{path}.{key}")
        raise ConfigError(f"{f'{place}: ' if place else ''}{path}.{key}: {text}")
