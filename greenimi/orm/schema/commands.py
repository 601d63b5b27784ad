"""``greenimi migrate ...`` and ``greenimi generate model``

What they need is imported by each when it runs: an application that serves has the commands, too, and must not pay for them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from greenimi.container.registry import current_container
from greenimi.marks import command
from greenimi.orm.schema.models import Models
from greenimi.orm.schema.settings import MigrationSettings

if TYPE_CHECKING:
    from greenimi.orm.schema.migrations import Migrations
    from greenimi.pool.database.database import Database

In = Annotated[str, "name of the database in conf", "-d"]
To = Annotated[str, "name of a migration, or its number"]


@contextmanager
def _opened(name: str) -> Iterator[Database]:
    """A database as conf has it, but with all the time that changing a big table takes."""
    from greenimi.pool.database.database import Database

    known = current_container().get(Database, name)
    database = type(known)(name, replace(known.settings, read_timeout=0.0, replicas=[]))
    try:
        yield database
    finally:
        database.stop()


@contextmanager
def _migrations(database: str) -> Iterator[Migrations]:
    from greenimi.orm.schema.migrations import Migrations

    logging.getLogger("peewee.migrations").setLevel(logging.WARNING)  # what it does is told by the commands
    with _opened(database) as found:
        yield Migrations(found, current_container().get(MigrationSettings))


def _models(database: str) -> list[type]:
    return [*current_container().get(Models).of(database)]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@command("migrate new", start=False)
def new(
    name: str,
    *,
    diff: Annotated[bool, "with what makes the tables what the models say"] = False,
    database: In = "default",
) -> None:
    """Write a migration, to be filled in."""
    with _migrations(database) as migrations:
        difference = migrations.difference(_models(database)) if diff else None
        if diff and not difference:
            _say("the tables are as the models say: nothing was written")
        else:
            _say(str(migrations.new(name, difference)))


@command("migrate up", start=False)
def up(*, to: To = "", fake: Annotated[bool, "only note that they were done"] = False, database: In = "default") -> None:
    """Do the migrations that were not done yet."""
    with _migrations(database) as migrations:
        if not migrations.up(to, fake=fake, tell=lambda name: _say(f"done: {name}")):
            _say("nothing to do")


@command("migrate down", start=False)
def down(*, to: To = "", database: In = "default") -> None:
    """Take back the last migration, or all from the last one back to another."""
    with _migrations(database) as migrations:
        if not migrations.down(to, tell=lambda name: _say(f"taken back: {name}")):
            _say("nothing to take back")


@command("migrate status", start=False)
def status(*, database: In = "default") -> int:
    """Show the migrations and when they were done.

    The exit status is 1 when there is something to do.
    """
    with _migrations(database) as migrations:
        rows = migrations.status()
    for name, when, has_file in rows:
        told = "to do" if when is None else f"{when:%Y-%m-%d %H:%M:%S}" + ("" if has_file else "  its file is gone")
        _say(f"{name}  {told}")
    return int(any(when is None for _, when, _ in rows))


@command("migrate diff", start=False)
def diff(*, database: In = "default") -> int:
    """Show in what the tables differ from the models.

    The exit status is 1 when they do.  Columns are compared by name; types, null and defaults are not.
    """
    with _migrations(database) as migrations:
        found = migrations.difference(_models(database))
    _say(str(found) or "the tables are as the models say")
    return int(bool(found))


@command("generate model", start=False)
def generate_model(
    *tables: Annotated[str, "tables, or patterns such as 'order*'; by default all"],
    package: Annotated[str, "where the models go, such as shop.models"],
    exclude: Annotated[list[str], "tables, or patterns, to leave out"] = [],  # noqa: B006 - never changed
    strip: Annotated[str, "what names in Python leave out at the beginning of a table's"] = "",
    base: Annotated[str, "class that the models are derived from"] = "greenimi.orm:Model",
    database: In = "default",
) -> None:
    """Write models from the tables of a database.

    Of each table a file in PACKAGE.base with its fields, which is written anew each time, and one in PACKAGE with the model, which is
    written once and yours from then on.  Tables that a wanted one refers to come along.
    """
    from greenimi.orm.schema.tables import read_tables
    from greenimi.orm.schema.writing import GenerateError, Options, write_models

    ours = current_container().get(MigrationSettings).table

    def wanted(name: str) -> bool:
        return not tables or any(fnmatchcase(name, pattern) for pattern in tables)

    def unwanted(name: str) -> bool:
        return name == ours or any(fnmatchcase(name, pattern) for pattern in exclude)

    with _opened(database) as opened:
        found = read_tables(opened, wanted, unwanted, strip)
    if not found:
        raise GenerateError(f"{opened!r} has no such tables")
    here = Path.cwd()
    for path, is_written in write_models(found, Options(package, database, base)):
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        _say(f"{'wrote' if is_written else 'kept'} {shown}")
