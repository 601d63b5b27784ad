"""Databases by their names in conf: which object that is, is asked of the current container at every use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import peewee

from greenimi.container.registry import current_container
from greenimi.errors import MissingBean, NoScope
from greenimi.pool.database.database import Database


class NamedDatabase(peewee.DatabaseProxy):
    """Stands in for ``[database.NAME]`` of whatever application runs, so that importing a model touches nothing."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "name", name)

    def now(self) -> Any:
        """The database.  NoScope outside of an application, MissingBean when its conf has none of this name."""
        return current_container().get(Database, self.name)

    @property
    def obj(self) -> Any:
        """For peewee: what it is bound to at this moment, None outside of an application."""
        try:
            return self.now()
        except (NoScope, MissingBean):
            return None

    def initialize(self, obj: object) -> None:
        raise TypeError(f"{self!r} is found by its name; bind the model to another database instead")

    def attach_callback(self, callback: Callable[[Any], object]) -> Callable[[Any], object]:
        """Of a field whose values depend on the kind of database: it is told once that any may come."""
        callback(None)
        return callback

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.now(), attribute)

    def __enter__(self) -> Any:
        return self.now().__enter__()

    def __exit__(self, *details: object) -> Any:
        return self.now().__exit__(*details)

    def __repr__(self) -> str:
        return f"<the database {self.name} of the running application>"

    def atomic(self, *args: Any, **options: Any) -> Any:
        return self.now().atomic(*args, **options)

    def connection_context(self) -> Any:
        return self.now().connection_context()

    def manual_commit(self) -> Any:
        return self.now().manual_commit()

    def transaction(self, *args: Any, **options: Any) -> Any:
        return self.now().transaction(*args, **options)

    def savepoint(self) -> Any:
        return self.now().savepoint()


@cache
def named(name: str) -> NamedDatabase:
    """The stand-in for the database of that name."""
    return NamedDatabase(name)
