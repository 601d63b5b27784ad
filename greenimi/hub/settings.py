"""``[hub]`` in conf: how pushes travel, what is remembered of clients that left, and what groups may be."""

from __future__ import annotations

from dataclasses import dataclass

from greenimi.config import option
from greenimi.errors import ConfigError
from greenimi.hub.ids import NODES
from greenimi.interfaces import IConfig


@dataclass(frozen=True)
class GroupSettings:
    """``[hub.groups.NAME]``: the group of that name, and all whose names begin with it and a colon (``room`` and ``room:42``)."""

    limit: int = option(0, "Connections that may be in one such group; 0 means any number.")
    presence: bool = option(False, "Keep who is in it, across all processes, and tell when users join and leave.")
    announce: bool = option(False, "Send its members $join and $leave events when users come and go; needs presence.")
    history: int = option(0, "Messages that are kept of each, so that clients who were away get what they missed; 0 means none.")
    history_age: float = option(300.0, "Seconds that they are kept.")


@dataclass(frozen=True)
class HubSettings:
    """``[hub]``"""

    node: int = option(0, "Number of this machine in a cluster, 0 to 4095; each has its own.")
    relay: str = option("auto", "How processes reach each other: auto, none, local, or a driver.  auto: local under a master, else none.")
    store: str = option(
        "auto", "Where is kept what they share: auto, memory, machine, or a driver.  auto: machine under a master, else memory."
    )
    folder: str = option("", "Folder of the sockets and files by which workers of this machine meet; by default one of the master's own.")
    wait: float = option(1.0, "Seconds at most that a caller waits for other processes.")
    queue: int = option(16 * 1024 * 1024, "Bytes that may wait for one slow process before packets for it are dropped.")
    keep: float = option(60.0, "Seconds that data, user and groups of a client that may come back are kept after its connection is lost.")
    kept: int = option(100_000, "Clients whose records are kept so, at most; the one that is kept longest is forgotten first.")
    histories: int = option(10_000, "Groups whose last messages are kept, at most; the one used least lately is forgotten first.")
    size: int = option(1024 * 1024 * 1024, "Bytes of what the store keeps, with machine of its file; beyond it nothing more is kept (503).")
    group_count: int = option(100_000, "Groups that have members in one process, at most.")
    groups_each: int = option(128, "Groups that one connection may be in.")
    user_connections: int = option(0, "Connections that one user may have in one process; 0 means any number.")
    groups: dict[str, GroupSettings] = option({}, "Kinds of groups, by the name before the first colon.")


def check_settings(settings: HubSettings, config: IConfig) -> None:
    """Raises ConfigError naming place and key of what cannot be."""
    numbers = {
        name: getattr(settings, name)
        for name in ("wait", "queue", "keep", "kept", "histories", "size", "group_count", "groups_each", "user_connections")
    }
    for name, found in settings.groups.items():
        numbers.update({f"groups.{name}.{key}": getattr(found, key) for key in ("limit", "history", "history_age")})
        if found.announce and not found.presence:
            raise _wrong(config, f"groups.{name}.announce", "nobody knows who comes and goes", f"set presence in [hub.groups.{name}]")
        if ":" in name:
            raise _wrong(config, f"groups.{name}", "rules go by the part of a group's name before the first colon", name.partition(":")[0])
    for name, number in numbers.items():
        if number < 0:
            raise _wrong(config, name, f"{number} is below 0")
    if not 0 <= settings.node < NODES:
        raise _wrong(config, "node", f"{settings.node} is not a number from 0 to {NODES - 1}")


def _wrong(config: IConfig, key: str, text: str, hint: str = "") -> ConfigError:
    place = config.place(f"hub.{key}")
    return ConfigError(f"{f'{place}: ' if place else ''}hub.{key}: {text}", hint=hint)
