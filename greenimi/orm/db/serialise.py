"""Rows as plain dicts for clients: which fields, under which names, and how their values look.

::

    class User(Model):
        name = CharField()
        password = CharField()
        address = JSONField()

        class Meta:
            serialise = Serialise(deny=["password"], camel=True, extract={"city": "address.city"})

    to_dict(user)                     # {"id": 1, "name": "Ann", "address": {...}, "city": "Rome"}
    to_dicts(users, fields=["name"])  # [{"name": "Ann"}, ...]
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import peewee


@dataclass(frozen=True)
class Serialise:
    """The rules of a model.

    allow    only these fields; empty: all
    deny     never these
    camel    ``shopId`` instead of ``shop_id``
    nulls    also fields without a value
    extract  more names, each with a dotted path into what the row has: ``{"city": "address.city"}``
    """

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    camel: bool = False
    nulls: bool = True
    extract: Mapping[str, str] = field(default_factory=dict)


PLAIN = Serialise()


def check(model: Any) -> None:
    """Raises TypeError for rules that name what the model has not."""
    rules = rules_of(model)
    known = {*model._meta.combined, *model._meta.virtuals, *(name for name in dir(model) if not name.startswith("_"))}
    paths = (path.partition(".")[0] for path in rules.extract.values())
    for name in (*rules.allow, *rules.deny, *paths):
        if name not in known:
            raise TypeError(f"{model.__name__}: Meta.serialise names {name}, which it has not")


def rules_of(model: Any) -> Serialise:
    """Those of a model."""
    found: Serialise = getattr(model._meta, "serialise", PLAIN)
    return found


def to_dict(row: Any, fields: Iterable[str] | None = None, *, depth: int = 1) -> dict[str, Any]:
    """A row by the rules of its model.

    ``fields``: these instead of those that the rules allow; what they deny stays out.  ``depth``: how deep rows that are loaded with it
    (foreign keys, relations) are told as dicts; beyond that by their keys, and relations only when they are named.  Nothing is read
    from the database: a relation that is not loaded stays out.  TypeError for ``fields`` that the row has not.
    """
    rules = rules_of(type(row))
    names = list(rules.allow or _names_of(row, depth)) if fields is None else _asked(row, rules, fields)
    told: dict[str, Any] = {}
    for name in names:
        if name in rules.deny or (name in row._meta.relations and name not in row.__dict__):
            continue
        value = plain(_value_of(row, name, depth), depth - 1)
        if value is not None or rules.nulls:
            told[camel(name) if rules.camel else name] = value
    for name, path in rules.extract.items():
        if fields is None or name in names:
            told[camel(name) if rules.camel else name] = plain(_at(row, path), depth - 1)
    return told


def to_dicts(rows: Iterable[Any], fields: Iterable[str] | None = None, *, depth: int = 1) -> list[dict[str, Any]]:
    """Several rows."""
    names = None if fields is None else list(fields)
    return [to_dict(row, names, depth=depth) for row in rows]


def _asked(row: Any, rules: Serialise, fields: Iterable[str]) -> list[str]:
    names = list(fields)
    for name in names:
        if name not in rules.extract and name not in row._meta.relations and not hasattr(type(row), name) and name not in row.__dict__:
            raise TypeError(f"{type(row).__name__} has no field or property {name}")
    return names


def _names_of(row: Any, depth: int) -> list[str]:
    meta = row._meta
    return [*meta.fields, *meta.virtuals, *(name for name in meta.relations if depth > 1 and name in row.__dict__)]


def _value_of(row: Any, name: str, depth: int) -> Any:
    found = row._meta.fields.get(name)
    if isinstance(found, peewee.ForeignKeyField):
        related = row.__rel__.get(name)
        return related if related is not None and depth > 0 else row.__data__.get(name)
    if name in row._meta.relations:
        return row.__dict__.get(name)
    return row.__data__.get(name) if found is not None else getattr(row, name, None)


def _at(row: Any, path: str) -> Any:
    name, *rest = path.split(".")
    value = _value_of(row, name, 1)
    for part in rest:
        if isinstance(value, Mapping):
            value = value.get(part)
        else:
            value = _value_of(value, part, 1) if isinstance(value, peewee.Model) else getattr(value, part, None)
    return value


def plain(value: Any, depth: int = 0) -> Any:
    """What JSON can tell of it: dates in ISO 8601, members of enums by their values, bytes as text where they are that."""
    if isinstance(value, enum.Enum):
        return plain(value.value, depth)
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, peewee.Model):
        return to_dict(value, depth=depth) if depth > 0 else value.get_id()  # type: ignore[no-untyped-call]
    if isinstance(value, Mapping):
        return {str(key): plain(each, depth) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(each, depth) for each in value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


def camel(name: str) -> str:
    """``shop_id`` as ``shopId``"""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
