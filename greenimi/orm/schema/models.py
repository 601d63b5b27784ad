"""Which models an application has."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenimi.container.setup import Setup
    from greenimi.orm.db.model import Model


class Models:
    """The models that the modules which conf includes define or import, also by importing their modules."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def of(self, database: str) -> list[type[Model]]:
        """Those of a database, by its name in conf; of several of one table the first.

        Classes that have nothing but the key that peewee gives to all are no tables: others are derived from them.
        """
        from greenimi.orm.db.named import NamedDatabase

        found: dict[str, type[Model]] = {}
        for model in self._all():
            meta = model._meta
            if isinstance(meta.database, NamedDatabase) and meta.database.name == database and not _is_bare(model):
                found.setdefault(meta.table_name, model)
        return list(found.values())

    def _all(self) -> Iterator[type[Model]]:
        for module in self._setup.introspect("module"):
            yield from _models_in(module)
            for value in list(vars(module).values()):
                if type(value) is ModuleType:
                    yield from _models_in(value)


def _models_in(module: ModuleType) -> Iterator[type[Model]]:
    from greenimi.orm.db.model import Model  # an application may have a database, and no models

    for value in list(vars(module).values()):
        # by type(): a facade would be asked what it stands for
        if issubclass(type(value), type) and issubclass(value, Model) and not value.__module__.startswith("greenimi."):
            yield value


def _is_bare(model: Any) -> bool:
    meta = model._meta
    return len(meta.sorted_fields) == 1 and meta.auto_increment and meta.sorted_fields[0].name == "id" and not meta.indexes
