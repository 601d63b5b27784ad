"""Where reading one row at a time is a mistake: ``with no_lazy_loading(): ...``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import peewee

from greenimi.errors import GreenimiError

_forbidden = ContextVar("no_lazy_loading", default=False)


class LazyLoading(GreenimiError):
    """A related row was asked for that was not loaded, where ``no_lazy_loading`` forbids to read it now."""


@contextmanager
def no_lazy_loading() -> Iterator[None]:
    """Within the block (of this greenlet) relations, foreign keys and backrefs that were not loaded raise LazyLoading.

    What would be one query for each row of a list is found at once; ``select().with_(...)`` and ``load`` are what to do instead.
    """
    token = _forbidden.set(True)
    try:
        yield
    finally:
        _forbidden.reset(token)


def check_allowed(row: Any, name: str) -> None:
    """Raises LazyLoading where it is forbidden."""
    if _forbidden.get():
        raise LazyLoading(
            f"{type(row).__name__}.{name} was not loaded, and to read it for one row is forbidden here",
            hint=f"select().with_({name!r}), or load(rows, {name!r})",
        )


class ForeignKeyAccessor(peewee.ForeignKeyAccessor):
    """peewee's, which asks first."""

    def get_rel_instance(self, instance: Any) -> Any:
        if self.field.lazy_load and self.name not in instance.__rel__ and instance.__data__.get(self.name) is not None:
            check_allowed(instance, self.name)
        return super().get_rel_instance(instance)  # type: ignore[no-untyped-call]


class BackrefAccessor(peewee.BackrefAccessor):
    """peewee's, which asks first."""

    def __get__(self, instance: Any, instance_type: Any = None) -> Any:
        if instance is not None:
            check_allowed(instance, self.field.backref)
        return super().__get__(instance, instance_type)  # type: ignore[no-untyped-call]


def watch(field: Any) -> None:
    """Have a foreign key ask before it reads a row."""
    if isinstance(field, peewee.ForeignKeyField) and type(field).accessor_class is peewee.ForeignKeyAccessor:
        found: Any = field
        found.accessor_class = ForeignKeyAccessor
        found.backref_accessor_class = BackrefAccessor
