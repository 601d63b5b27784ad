"""The drivers, and an application that uses them, on a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from greenimi.container.registry import Container
from greenimi.interfaces import IRowTable
from greenimi.lock import Lock, LockSettings
from greenimi.lock.machine import MachineStore
from greenimi.orm.table.lmdb import LmdbRows
from greenimi.orm.table.settings import TableSettings
from greenimi.orm.table.sqlite import SqliteRows
from greenimi.orm.table.tables import Tables

DRIVERS: dict[str, Callable[..., IRowTable]] = {"sqlite": SqliteRows, "lmdb": LmdbRows}
FILES = {"sqlite": "rows-1*.sqlite3", "lmdb": "rows-1*.lmdb"}


def one_file(folder: Path, driver: str) -> Path:
    [found] = folder.glob(FILES[driver])
    return found


@contextmanager
def application(driver: str, folder: Path) -> Iterator[Container]:
    """A container with tables and locks of a folder."""
    container = Container("app")
    tables = Tables(TableSettings(folder=str(folder), counters=3), lambda settings: DRIVERS[driver](Path(settings.folder)))
    lock = Lock(LockSettings(), lambda: MachineStore(folder.with_name("locks")))
    container.add(Tables, tables)
    container.add(Lock, lock, "default")
    yield container
    lock.stop()
    tables.stop()
