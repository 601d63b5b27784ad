"""The locks of conf: their drivers, and each as a bean and a service."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenimi.container.beans import BeanBinding, Definition
from greenimi.container.registry import Container
from greenimi.errors import ConfigError
from greenimi.interfaces import ILockStore
from greenimi.lock.front import Lock
from greenimi.lock.settings import VARIABLE, LockSettings, check_settings, folder_of
from greenimi.marks import here

if TYPE_CHECKING:
    from greenimi.container.setup import Setup


def add_locks(setup: Setup) -> None:
    """Each under its name in conf; ``default`` is the one without a name, and always there."""
    container = setup.container
    setup.on_mark("locked")
    for name, make in (("memory", _memory), ("machine", _machine), ("redis", _redis), ("database", _database)):
        container.bind(BeanBinding(container, Definition(make, provides=(ILockStore,), driver=name, where=here(1))))
    tables: dict[str, LockSettings] = {"default": LockSettings(), **setup.settings("lock", dict[str, LockSettings])}
    for name, settings in tables.items():
        check_settings(name, settings, setup.config)
        lock = Lock(settings, partial(_make_store, container, name, settings), name)
        container.add(Lock, lock, name)
        setup.add_service(lock, f"lock.{name}")
        setup.on_commit(partial(_check_driver, setup, name, settings), order=90)


def _check_driver(setup: Setup, name: str, settings: LockSettings) -> None:
    if settings.driver == "auto":
        return
    setup.container.driver(ILockStore, settings.driver)
    if settings.driver == "redis" and settings.redis not in setup.config.section("redis"):
        place = setup.config.place(f"lock.{name}.driver")
        text = f"lock.{name}.driver: redis needs the table [redis.{settings.redis}], which conf has not"
        raise ConfigError(f"{place}: {text}" if place else text)


def _make_store(container: Container, name: str, settings: LockSettings) -> ILockStore:
    """auto: where a master has made a folder for its workers, the locks are common to them."""
    folder = folder_of(settings)
    driver = ("memory" if folder is None else "machine") if settings.driver == "auto" else settings.driver
    own = replace(settings, prefix=settings.prefix or f"lock:{name}:", folder=str(folder / name) if folder is not None else "")
    made: ILockStore = container.driver(ILockStore, driver)(settings=own)
    return made


def _memory(settings: LockSettings) -> ILockStore:
    from greenimi.lock.memory import MemoryStore

    return MemoryStore()


def _machine(settings: LockSettings) -> ILockStore:
    from greenimi.lock.machine import MachineStore

    if not settings.folder:
        raise ConfigError(
            "the machine driver of locks needs a folder",
            hint=f"set folder in [lock.NAME], or start by greenimi serve, which sets {VARIABLE}",
        )
    return MachineStore(Path(settings.folder), patience=settings.patience, size=settings.size)


def _redis(settings: LockSettings, container: Container) -> ILockStore:
    from greenimi.lock.redis import RedisStore
    from greenimi.pool.redis import Redis

    client: Any = container.get(Redis, settings.redis)
    return RedisStore(client, client.subscribe, settings.prefix)


def _database(settings: LockSettings, container: Container) -> ILockStore:
    from greenimi.lock.database import DatabaseStore
    from greenimi.pool.database import Database

    return DatabaseStore(container.get(Database, settings.database), settings)
