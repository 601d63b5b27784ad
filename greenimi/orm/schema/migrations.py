"""Changes of tables that are done once, in order: files in a folder, and a table that holds which of them were done."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from playhouse.migrations import Migration, Runner, template
from playhouse.schema_diff import SchemaDiff, diff_models

from greenimi.errors import GreenimiError
from greenimi.orm.schema.settings import MigrationSettings
from greenimi.orm.schema.turns import turn
from greenimi.pool.database.database import Database

_NAME = re.compile(r"[\w -]{1,100}")


class MigrationError(GreenimiError):
    """A migration cannot be done, or failed."""


def _quiet(name: str) -> None:
    """Tells nobody."""


class Migrations:
    """Those of one database.  Each method runs on one connection to the primary, so a transaction of the caller's may not be open."""

    def __init__(self, database: Database, settings: MigrationSettings) -> None:
        folder = Path(settings.folder)
        self._database: Any = database
        self._wait = settings.wait
        self.folder = folder if database.name == "default" else folder / database.name
        self.table = database.settings.prefix + settings.table

    def _runner(self) -> Runner:
        return Runner(self._database, str(self.folder), self.table)

    def _turn(self) -> AbstractContextManager[None]:
        return turn(self._database, self.table, self._wait)

    def status(self) -> list[tuple[str, datetime | None, bool]]:
        """Name, when it was done, and whether its file is there; in order.  A name whose file is gone was done once."""
        with self._database.hold():
            return [(found.name, found.applied, found.path is not None) for found in self._runner().status()]

    def up(self, to: str = "", *, fake: bool = False, tell: Callable[[str], object] = _quiet) -> list[str]:
        """Do what was not done yet, or only as far as ``to`` (a name, or its number); the names.

        ``fake``: only note that it was done.  ``tell`` is called with each name as soon as that is done.  Raises MigrationError naming what
        failed; what was done before it stays done.
        """
        with self._turn():
            runner = self._runner()
            known = [found for found in runner.status() if found.path is not None]
            last = _index(known, to) if to else len(known) - 1
            return self._run("up", [found for found in known[: last + 1] if not found.applied], runner, tell, fake=fake)

    def down(self, to: str = "", *, tell: Callable[[str], object] = _quiet) -> list[str]:
        """Take back the last one that was done, or all from there back to ``to``, which is taken back too; the names."""
        with self._turn():
            runner = self._runner()
            known = [found for found in runner.status() if found.applied]
            first = _index(known, to) if to else max(len(known) - 1, 0)
            return self._run("down", known[first:][::-1], runner, tell)

    def _run(
        self, direction: str, plan: Sequence[Migration], runner: Runner, tell: Callable[[str], object], *, fake: bool = False
    ) -> list[str]:
        for found in plan:
            _check(found, direction)  # before the first is done
        for found in plan:
            try:
                getattr(runner, "fake" if fake else direction)(found.name)
            except Exception as error:
                whole = runner.migrator.transactional_ddl
                hint = "" if whole else "this server takes nothing back: see which of its changes were made"
                raise MigrationError(f"{found.name} failed: {type(error).__name__}: {error}", hint=hint) from error
            tell(found.name)
        return [found.name for found in plan]

    def difference(self, models: Sequence[type]) -> SchemaDiff:
        """What the tables lack, or have more than the models say.  Its text has a line for each."""
        with self._database.hold():
            return diff_models(self._database, models)

    def new(self, name: str, difference: SchemaDiff | None = None) -> Path:
        """Write a migration with the next number, empty or with what makes the difference; its file."""
        if not _NAME.fullmatch(name):
            raise MigrationError(f"{name[:100]!r} cannot be the name of a migration", hint="letters, digits, spaces, - and _")
        body = None if difference is None else _public(template(difference))
        return Path(self._runner().create(name, body))


def _public(text: str) -> str:
    """Fields of ours are imported from where they may be relied upon."""
    return text.replace("from greenimi.orm.db.fields import", "from greenimi.orm import")


def _index(known: Sequence[Migration], name: str) -> int:
    places = [place for place, found in enumerate(known) if name in (found.name, found.name.partition("_")[0])]
    if len(places) != 1:
        text = f"there are several migrations {name}" if places else f"there is no migration {name}"
        raise MigrationError(text, hint=f"one of: {', '.join(found.name for found in known) or 'none'}")
    return places[0]


def _check(found: Migration, direction: str) -> None:
    if found.path is None:
        raise MigrationError(f"{found.name} cannot be taken back: its file is gone")
    try:
        module = found.load()
    except Exception as error:
        raise MigrationError(f"{found.path} cannot be read: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, direction, None)):
        raise MigrationError(f"{found.path} has no function {direction}(migrator, db)")
