"""Databases: see :class:`greenimi.pool.database.database.Database`.  Applications use ``greenimi.facades.DB``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from greenimi.config.settings import did_you_mean
from greenimi.errors import ConfigError
from greenimi.pool.database.settings import DatabaseSettings

if TYPE_CHECKING:
    from greenimi.container.binding import Binding
    from greenimi.container.registry import Container
    from greenimi.container.setup import Setup
    from greenimi.marks import Mark
    from greenimi.pool.database.database import Database
    from greenimi.pool.database.levels import TransactionError, TransactionOver
    from greenimi.pool.database.results import Result
    from greenimi.pool.database.statements import StatementError
    from greenimi.pool.database.telling import StatementExecuted

_LAZY = {
    "Database": "greenimi.pool.database.database",
    "Result": "greenimi.pool.database.results",
    "StatementError": "greenimi.pool.database.statements",
    "StatementExecuted": "greenimi.pool.database.telling",
    "TransactionError": "greenimi.pool.database.levels",
    "TransactionOver": "greenimi.pool.database.levels",
}
"""Imported when asked for: an application without a database must not pay for peewee and drivers."""

__all__ = [
    "Database",
    "DatabaseSettings",
    "Result",
    "StatementError",
    "StatementExecuted",
    "TransactionError",
    "TransactionOver",
    "includeme",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)


def includeme(setup: Setup) -> None:
    """Bring the databases that conf names, each a bean of the class Database and a service."""
    settings = setup.settings("database", dict[str, DatabaseSettings])
    if settings:
        from greenimi.pool.database.databases import add_databases

        add_databases(setup, settings)
    setup.on_mark("transactional", partial(_check_database, settings))
    if "default" not in settings:
        setup.container.late["greenimi.pool.database.database:Database"] = lambda: _in_memory(setup.container)


def _check_database(settings: Mapping[str, DatabaseSettings], setup: Setup, owner: type | None, name: str, target: Any, mark: Mark) -> None:
    """``@transactional``: its database must be there."""
    wanted = mark.options["database"]
    if wanted != "default" and wanted not in settings:
        from greenimi.pool.database.database import Database

        if not setup.container.candidates(Database, wanted):
            raise ConfigError(f"{mark.where}: @transactional on {name}: there is no [database.{wanted}]{did_you_mean(wanted, settings)}")


def _in_memory(container: Container) -> Binding:
    from greenimi.pool.database.databases import in_memory

    return in_memory(container)
