"""What a column looks like as a field of a model, in Python."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from inspect import isclass
from typing import Any

import peewee
from playhouse.reflection import UnknownField

_KINDS = {
    "character varying": "peewee.CharField",
    "double": "peewee.DoubleField",
    "double precision": "peewee.DoubleField",
    "inet4": "peewee.CharField",
    "inet6": "peewee.CharField",
    "interval": "postgres_ext.IntervalField",
    "json": "orm.JSONField",
    "mediumint": "peewee.IntegerField",
    "nvarchar": "peewee.CharField",
    "set": "orm.SetField",
    "timestamp": "peewee.DateTimeField",
    "tinyint": "peewee.IntegerField",
    "uuid": "peewee.UUIDField",
}
"""Of types that peewee's reflection does not know."""

_TEXT = re.compile(r"'((?:[^'\\]|'')*)'(?:::[\w \"\[\]().]+)?")
_NUMBER = re.compile(r"\(?'?(-?\d{1,30}(?:\.\d{1,30})?)'?\)?(?:::[\w \"().,]+)?")
_DATES = ("peewee.DateField", "peewee.DateTimeField", "peewee.TimeField")
_PLAIN_ACTIONS = ("", "NO ACTION", "RESTRICT")


@dataclass(frozen=True, slots=True)
class Source:
    """``name = kind(arguments)  # remark``"""

    name: str
    kind: str
    arguments: tuple[str, ...]
    remark: str = ""


def quoted(text: str) -> str:
    """A text as a literal of Python, whatever is in it."""
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def source_of(
    column: Any,
    details: Any,
    *,
    target: str,
    target_field: str,
    backref: str,
    alone: bool,
    unique: bool,
    comment: str,
    literal: bool,
    holds_json: bool,
    remark: str,
    doubled: bool,
) -> Source:
    """Of a column as peewee's reflection (``column``) and the database (``details``) describe it.

    ``target``      class that a foreign key refers to; ``target_field`` and ``backref`` where they are not the usual ones
    ``alone``       the primary key, if it is part of it, has no other part
    ``literal``     the default is a value, without quotes
    ``holds_json``  it holds JSON, whatever its type
    ``doubled``     a ``%`` in a statement is written twice
    """
    kind, unknown = _kind(column, holds_json=holds_json)
    if target:
        arguments = _reference(column, target, target_field, backref)
    else:
        arguments = [f"{name}={_value(value)}" for name, value in _parameters(column, kind).items()]
    is_key = column.primary_key and alone
    if is_key and kind not in ("peewee.AutoField", "peewee.BigAutoField"):
        arguments.append("primary_key=True")
    if column.nullable and not column.primary_key:
        arguments.append("null=True")
    if not is_key:
        if unique:
            arguments.append("unique=True")
        elif bool(column.index) != bool(target):  # of a reference there is one unless it says otherwise
            arguments.append(f"index={column.index}")
    usual = column.name if not target or column.name.endswith("_id") else f"{column.name}_id"
    if column.column_name != usual:
        arguments.append(f"column_name={quoted(column.column_name)}")
    default = None if details.identity else _default(details.default, kind, literal=literal)
    if default is not None:
        value = _python(default, kind)
        if value is not None:
            arguments.append(f"default={value}")
        text = default.replace("%", "%%") if doubled else default
        arguments.append(f"constraints=[peewee.SQL({quoted(f'DEFAULT {text}')})]")
    if comment:
        arguments.append(f"help_text={quoted(comment)}")
    return Source(column.name, kind, tuple(arguments), ", ".join(filter(None, (unknown, remark))))


def _kind(column: Any, *, holds_json: bool) -> tuple[str, str]:
    """Its class, and of a type that nobody knows its name."""
    found = column.field_class
    raw = " ".join(str(column.raw_column_type or "").split())
    if holds_json or found.__name__ == "BinaryJSONField" or found is peewee.JSONField:
        return "orm.JSONField", ""
    if raw.lower() == "timestamp with time zone":
        return "postgres_ext.DateTimeTZField", ""
    if found is UnknownField:
        known = _KINDS.get(raw.lower().partition("(")[0].strip())
        return (known, "") if known else ("peewee.BareField", raw)
    return f"{found.__module__.rpartition('.')[2]}.{found.__name__}", ""


def _parameters(column: Any, kind: str) -> dict[str, Any]:
    """What its type says beside: a length, digits, what an array consists of."""
    return (column.extra_parameters or {}) if kind in ("peewee.CharField", "peewee.DecimalField", "postgres_ext.ArrayField") else {}


def _value(value: Any) -> str:
    return f"peewee.{value.__name__}" if isclass(value) else repr(value)


def _reference(column: Any, target: str, field: str, backref: str) -> list[str]:
    found = ['"self"' if target == "self" else target]
    found += [f"{name}={quoted(text)}" for name, text in (("field", field), ("backref", backref)) if text]
    for name in ("on_delete", "on_update"):
        action = getattr(column.foreign_key, name) or ""
        if action.upper() not in _PLAIN_ACTIONS:
            found.append(f"{name}={quoted(action)}")
    return found


def _default(default: str | None, kind: str, *, literal: bool) -> str | None:
    """As SQL."""
    if default is None or default.upper() == "NULL":
        return None
    if literal and (kind in _DATES or not _NUMBER.fullmatch(default) or kind in ("peewee.CharField", "peewee.TextField")):
        escaped = default.replace("\\", "\\\\").replace("'", "''")
        return default if default.upper().startswith("CURRENT_TIMESTAMP") else f"'{escaped}'"
    return default


def _python(default: str, kind: str) -> str | None:
    """The same as a value in Python, where that is a plain one; None where only the database can say it."""
    text, number = _TEXT.fullmatch(default), _NUMBER.fullmatch(default)
    if kind in ("peewee.CharField", "peewee.TextField"):
        return quoted(text[1].replace("''", "'")) if text else None
    if kind == "peewee.BooleanField":
        return {"0": "False", "1": "True", "false": "False", "true": "True"}.get(default.lower())
    if number is None:
        return None
    if kind in ("peewee.IntegerField", "peewee.BigIntegerField", "peewee.SmallIntegerField"):
        return None if "." in number[1] else str(int(number[1]))
    return str(float(number[1])) if kind in ("peewee.FloatField", "peewee.DoubleField") else None
