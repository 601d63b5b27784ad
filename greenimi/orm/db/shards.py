"""The same model on another table: of an archive, of a month, or of the shard that a key belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

M = TypeVar("M")

MOST = 10_000
"""Forks of one model: each is a class, which stays."""


def fork(model: type[M], table: str, database: str | None = None) -> type[M]:
    """The model on another table, and in another database of conf perhaps; the same class each time.  ValueError beyond 10 000."""
    known: dict[tuple[str, str | None], type[M]] | None = model.__dict__.get("_forks")
    if known is None:
        known = {}
        model._forks = known  # type: ignore[attr-defined]
    found = known.get((table, database))
    if found is None:
        if len(known) >= MOST:
            raise ValueError(f"{model.__name__} has {MOST} forks already; is {table[:100]!r} one of finitely many?")
        meta: dict[str, Any] = {"table_name": table}
        if database is not None:
            meta["database"] = database
        name = f"{model.__name__}_{table}" if database is None else f"{model.__name__}_{database}_{table}"
        make: Any = type(model)
        found = known[table, database] = make(
            name, (model,), {"Meta": type("Meta", (), meta), "__module__": model.__module__, "__doc__": model.__doc__}
        )
    return found


def shard(model: type[M], key: Any) -> type[M]:
    """The model on the table that ``Meta.shard`` names for a key: a text, or a pair of database and table.

    TypeError for a model without that rule.
    """
    rule: Callable[[Any], str | tuple[str, str]] | None = model._meta.shard  # type: ignore[attr-defined]
    if rule is None:
        raise TypeError(f"{model.__name__} has no Meta.shard, which would say where a key belongs")
    found = rule(key)
    return fork(model, found) if isinstance(found, str) else fork(model, found[1], found[0])
