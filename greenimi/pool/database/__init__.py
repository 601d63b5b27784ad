"""Databases: see :class:`greenimi.pool.database.database.Database`.  Applications use ``greenimi.facades.DB``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from greenimi.pool.database.settings import DatabaseSettings

if TYPE_CHECKING:
    from greenimi.container.setup import Setup
    from greenimi.pool.database.database import Database
    from greenimi.pool.database.results import Result
    from greenimi.pool.database.statements import StatementError
    from greenimi.pool.database.telling import StatementExecuted

_LAZY = {
    "Database": "greenimi.pool.database.database",
    "Result": "greenimi.pool.database.results",
    "StatementError": "greenimi.pool.database.statements",
    "StatementExecuted": "greenimi.pool.database.telling",
}
"""Imported when asked for: an application without a database must not pay for peewee and drivers."""

__all__ = ["Database", "DatabaseSettings", "Result", "StatementError", "StatementExecuted", "includeme"]


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
