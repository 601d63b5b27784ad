"""The databases of conf: their drivers, and each as a bean and a service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from greenimi.config.settings import did_you_mean
from greenimi.container.beans import BeanBinding, Definition
from greenimi.errors import ConfigError
from greenimi.event import Events
from greenimi.marks import health_check, here
from greenimi.pool.database.database import Database
from greenimi.pool.database.settings import DatabaseSettings, check_settings
from greenimi.pool.database.urls import driver_of
from greenimi.pool.errors import PoolTimeout
from greenimi.pool.pool import Pool
from greenimi.pool.pools import Pools

if TYPE_CHECKING:
    from greenimi.container.registry import Container
    from greenimi.container.setup import Setup

DRIVERS = {
    "mysql": "greenimi.pool.database.mysql:MySQL",
    "mysqlclient": "greenimi.pool.database.mysqlclient:MySQLClient",
    "sqlite": "greenimi.pool.database.sqlite:SQLite",
    "postgres": "greenimi.pool.database.postgres:PostgreSQL",
}
"""Ours, by name; another is a bean: ``@bean(driver="name", provides=Database)``, made with name, settings, events and make_pool."""

log = logging.getLogger("greenimi.pool")

MakePool = Callable[..., Pool[Any]]


def add_databases(setup: Setup, tables: Mapping[str, DatabaseSettings]) -> None:
    """Each under its name in conf, made when the application is committed, which is when the drivers of its own are known."""
    container = setup.container
    for driver, path in DRIVERS.items():
        container.bind(BeanBinding(container, Definition(_maker(path), provides=(Database,), driver=driver, where=here(1))))
    for name, settings in tables.items():
        check_settings(settings, setup.config, f"database.{name}")
        definition = Definition(_configured(container, name, settings), name=name, provides=(Database,), where=here(1))
        container.bind(BeanBinding(container, definition))
        setup.on_commit(partial(_begin, setup, name), order=90)
        if settings.ready:
            setup.include(health_check(f"database.{name}")(partial(_answers, container, name)))


def in_memory(container: Container) -> BeanBinding:
    """What stands in for ``[database.default]`` where conf has none: SQLite in memory."""

    def make() -> Iterator[Database]:
        log.warning("there is no [database.default] in conf: a SQLite database in memory stands in, which is gone when this process ends")
        settings = DatabaseSettings(driver="sqlite", database=":memory:")
        found = _maker(DRIVERS["sqlite"])("default", settings, container.get(Events), container.get(Pools).make)
        yield found
        found.stop()

    return BeanBinding(container, Definition(make, name="default", provides=(Database,), where=here(1)))


def _configured(container: Container, name: str, settings: DatabaseSettings) -> Callable[[], Database]:
    def make() -> Database:
        path = f"database.{name}"
        driver = driver_of(settings, path)
        known = container.drivers(Database)
        if driver not in known:
            raise ConfigError(f"{path}: there is no driver {driver}{did_you_mean(driver, known)}", hint=f"there are: {', '.join(known)}")
        make_pool = container.get(Pools).make
        found: Database = container.driver(Database, driver)(
            name=name, settings=settings, events=container.get(Events), make_pool=make_pool
        )
        return found

    return make


def _begin(setup: Setup, name: str) -> None:
    setup.add_service(setup.container.get(Database, name), f"database.{name}")


def _answers(container: Container, name: str) -> bool:
    return answers(container.get(Database, name))


def answers(database: Database) -> bool:
    """Whether the primary answers: a round trip on a connection of the pool.  When all of them are at work that is taken for a yes."""
    try:
        with database.primary.use() as session:
            return bool(database.resources.check(session))
    except PoolTimeout:
        return True


def make_database(name: str, settings: DatabaseSettings, events: Events | None = None) -> Database:
    """A database with a driver of ours, for scripts and tests: it is not started, and stopping it is the caller's affair."""
    return _maker(DRIVERS[driver_of(settings, f"database.{name}")])(name, settings, events)


def _maker(path: str) -> Callable[..., Database]:
    """Imports its driver only when one is made."""
    module, _, attribute = path.partition(":")

    def make(name: str, settings: DatabaseSettings, events: Events | None = None, make_pool: MakePool = Pool) -> Database:
        found: Database = getattr(import_module(module), attribute)(name, settings, events=events, make_pool=make_pool)
        return found

    return make
