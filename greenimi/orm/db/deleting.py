"""Soft deletion: a field says when a row was deleted, and its default that it was not."""

from __future__ import annotations

from typing import Any, TypeVar

import peewee

from greenimi.orm.db import stamps

Q = TypeVar("Q")


def check(model: Any) -> None:
    """Raises TypeError for a field that cannot say it."""
    name = model._meta.soft_delete
    if not name:
        return
    field = model._meta.fields.get(name)
    if field is None:
        raise TypeError(f"{model.__name__}: Meta.soft_delete names {name}, which is no field of it")
    if field.default is None and not field.null:
        raise TypeError(f"{model.__name__}.{name}: a row that is not deleted needs a value: say null=True, or a default such as 0")
    if callable(field.default):
        raise TypeError(f"{model.__name__}.{name}: the default says that a row is not deleted, so it cannot be a function")


def field_or_none(model: Any) -> peewee.Field | None:
    """That of a model, None when it deletes its rows."""
    name = model._meta.soft_delete
    return model._meta.fields[name] if name else None


def field_of(model: Any) -> peewee.Field:
    """That of a model.  Raises TypeError when it has none."""
    found = field_or_none(model)
    if found is None:
        raise TypeError(f"{model.__name__} deletes its rows: it has no Meta.soft_delete")
    return found


def query(model: Any) -> Any:
    """One that deletes rows of a model: softly where it says so."""
    field = field_or_none(model)
    return peewee.ModelDelete(model) if field is None else model.update({field: stamps.moment(field)})


def living_or_none(source: Any) -> Any:
    """The condition for rows of a model, or of its alias, that are not deleted; None where there is none."""
    model = source.model if isinstance(source, peewee.ModelAlias) else source
    name = getattr(getattr(model, "_meta", None), "soft_delete", "")
    if not name:
        return None
    field = getattr(source, name)
    default = model._meta.fields[name].default
    return field.is_null() if default is None else field == default


def deleted(model: Any) -> Any:
    """The condition for rows that are deleted."""
    field = field_of(model)
    return field.is_null(False) if field.default is None else field != field.default


def only_living(query: Q, source: Any) -> Q:
    """The same query without rows of the source that are deleted."""
    living = living_or_none(source)
    return query if living is None else query.where(living)  # type: ignore[attr-defined]
