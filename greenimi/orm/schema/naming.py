"""What tables and columns are called in Python."""

from __future__ import annotations

import re
from collections.abc import Collection
from keyword import iskeyword
from unicodedata import normalize

import peewee

from greenimi.orm.db.mixin import Fields
from greenimi.orm.db.model import Model

_IMPORTED = ("decimal", "orm", "peewee", "postgres_ext")
"""Modules that stand in the written files: fields of these names would hide them from the fields after."""

BASES = "base"
"""The package of the files that are written anew each time."""


def class_name(table: str, taken: Collection[str]) -> str:
    """``order_items``: OrderItems."""
    name = "".join(part[:1].upper() + part[1:].lower() for part in _identifier(table).split("_") if part)
    if not name[:1].isalpha():
        name = f"T{name}"
    return _free(f"{name}_" if iskeyword(name) else name, taken)


def module_name(table: str, taken: Collection[str]) -> str:
    """``OrderItems``: order_items."""
    name = _identifier(table).strip("_") or "table"
    if not name[0].isalpha():
        name = f"t_{name}"
    return _free(f"{name}_" if iskeyword(name) or name == BASES else name, taken)


def field_name(column: str, taken: Collection[str], *, refers: bool = False) -> str:
    """``customerName``: customer_name.  Of a column that ``refers`` to another table without the ``_id`` at its end.

    A name that Python, or a model, needs for itself gets a ``_`` at its end.
    """
    name = _identifier(column).strip("_") or "column"
    if refers:
        name = name.removesuffix("_id") or name
    if not name[0].isalpha():
        name = f"column_{name}"
    wanted = iskeyword(name) or name in _IMPORTED or (name != "id" and (hasattr(Model, name) or hasattr(Fields, name)))
    return _free(f"{name}_" if wanted else name, taken)


def _identifier(text: str) -> str:
    """In small letters, words with a ``_`` between them."""
    words = peewee.make_snake_case(normalize("NFKC", text.strip()))  # type: ignore[attr-defined]  # its type hints leave it out
    plain = normalize("NFKC", words.lower())
    return re.sub(r"__+", "_", "".join(letter if f"a{letter}".isidentifier() else "_" for letter in plain))


def _free(name: str, taken: Collection[str]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name.rstrip('_')}_{number}"
    return found
