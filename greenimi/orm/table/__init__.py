"""Rows, counters and channels that the workers of a machine share.  Their names are in :mod:`greenimi.orm`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenimi.interfaces import IRowTable
from greenimi.orm.table.settings import TableSettings, check_settings

if TYPE_CHECKING:
    from greenimi.container import Container
    from greenimi.container.setup import Setup

__all__ = ["includeme"]


def includeme(setup: Setup) -> None:
    """Bring the tables, which cost nothing before they are used, and their drivers."""
    from greenimi.container.beans import BeanBinding, Definition
    from greenimi.marks import here
    from greenimi.orm.table.tables import Tables

    container = setup.container
    for name, make in (("sqlite", _sqlite), ("lmdb", _lmdb)):
        container.bind(BeanBinding(container, Definition(make, provides=(IRowTable,), driver=name, where=here(1))))
    settings = setup.settings("table", TableSettings)
    check_settings(settings, setup.config)
    tables = Tables(settings, partial(_make_rows, container))
    container.add(Tables, tables)
    setup.add_service(tables, "tables")
    setup.on_commit(lambda: container.driver(IRowTable, settings.driver), order=90)


def _make_rows(container: Container, settings: TableSettings) -> IRowTable:
    made: Any = container.driver(IRowTable, settings.driver)(settings=settings)
    return made  # type: ignore[no-any-return]


def _sqlite(settings: TableSettings) -> IRowTable:
    from greenimi.orm.table.sqlite import SqliteRows

    return SqliteRows(Path(settings.folder), patience=settings.patience, size=settings.size)


def _lmdb(settings: TableSettings) -> IRowTable:
    from greenimi.orm.table.lmdb import LmdbRows

    return LmdbRows(Path(settings.folder), patience=settings.patience, size=settings.size)
