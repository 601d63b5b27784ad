"""Fields that say when a row was made, and when it was changed last."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, TypeVar

import peewee

F = TypeVar("F", bound=peewee.Field)

_ATTRIBUTE = "greenimi_stamp"
_KINDS = (peewee.DateTimeField, peewee.DateField, peewee.TimeField, peewee.TimestampField, peewee.IntegerField)


def created_at(field: F) -> F:
    """``created = created_at(DateTimeField())``: when the row was inserted.

    Dates and times of UTC without a zone; an IntegerField has seconds since 1970, a BigIntegerField milliseconds.
    """
    setattr(field, _ATTRIBUTE, "insert")
    return field


def updated_at(field: F) -> F:
    """``changed = updated_at(BigIntegerField())``: when the row was written last, by ``save`` or by ``Model.update``."""
    setattr(field, _ATTRIBUTE, "update")
    return field


def check(model: Any, field: peewee.Field) -> None:
    """Raises TypeError for a field that can hold no time."""
    if hasattr(field, _ATTRIBUTE) and not isinstance(field, _KINDS):
        raise TypeError(f"{model.__name__}: a {type(field).__name__} holds no time; take a DateTimeField, or a BigIntegerField")


def moment(field: peewee.Field) -> Any:
    """Now, as the field holds it."""
    if isinstance(field, peewee.TimestampField):
        return dt.datetime.now(dt.UTC).replace(tzinfo=None) if field.utc else dt.datetime.now()  # noqa: DTZ005 - its own way
    if isinstance(field, peewee.BigIntegerField):
        return time.time_ns() // 1_000_000
    if isinstance(field, peewee.IntegerField):
        return int(time.time())
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    if isinstance(field, peewee.DateField):
        return now.date()
    return now.time() if isinstance(field, peewee.TimeField) else now


def stamp(row: Any, *, inserting: bool, names: set[str] | None) -> None:
    """Set what is to be said at this moment; a time of creation that was set by hand stays.

    ``names``: of the fields that will be written, when not all are; the time of the change is one more.
    """
    for field in _stamped(type(row)):
        if getattr(field, _ATTRIBUTE) == "update":
            setattr(row, field.name, moment(field))
            if names is not None:
                names.add(field.name)
        elif inserting and row.__data__.get(field.name) is None:
            setattr(row, field.name, moment(field))


def of_update(model: Any) -> dict[peewee.Field, Any]:
    """What a query that changes rows writes beside."""
    return {field: moment(field) for field in _stamped(model) if getattr(field, _ATTRIBUTE) == "update"}


def _stamped(model: Any) -> list[peewee.Field]:
    return [field for field in model._meta.sorted_fields if hasattr(field, _ATTRIBUTE)]
