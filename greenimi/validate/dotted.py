"""Dotted names into mappings, lists and objects: ``user.name``, ``lines.0.sku``, ``lines.*.sku``."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


class _Absent:
    """There is no such value; not the same as None."""

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False


ABSENT: Any = _Absent()


def dig(data: Any, name: str) -> Any:
    """The value at ``name``; ABSENT when there is none.  The empty name is ``data`` itself."""
    for part in name.split(".") if name else ():
        data = part_of(data, part)
        if data is ABSENT:
            return ABSENT
    return data


def part_of(data: Any, part: str) -> Any:
    """A key of a mapping, an item of a list by its number, a public attribute of an object; ABSENT when there is none."""
    if isinstance(data, Mapping):
        return data.get(part, ABSENT)
    if isinstance(data, list | tuple) and not hasattr(data, "_fields"):
        return data[int(part)] if part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(data) else ABSENT
    if part.startswith("_") or isinstance(data, str | bytes | int | float | None):
        return ABSENT
    found = getattr(data, part, ABSENT)
    return ABSENT if found is msgspec.UNSET else found


def places(data: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every place that ``name`` means, with its value: ``*`` is each item of a list, of which there may be none.

    Where the way ends early, its place comes with ABSENT.
    """
    yield from _walk(data, name.split("."), 0)


def _walk(data: Any, parts: list[str], at: int) -> Iterator[tuple[str, Any]]:
    while at < len(parts) and parts[at] != "*":
        data = part_of(data, parts[at])
        at += 1
        if data is ABSENT:
            rest = parts[at:]
            yield ".".join(parts[: at + (rest.index("*") if "*" in rest else len(rest))]), ABSENT
            return
    if at == len(parts):
        yield ".".join(parts), data
    elif isinstance(data, list | tuple):
        for number, _ in enumerate(data):
            yield from _walk(data, [*parts[:at], str(number), *parts[at + 1 :]], at)
    else:
        yield ".".join(parts[:at]), ABSENT


def put(data: Any, name: str, value: Any) -> Any:
    """``data`` with ``value`` at ``name``: in copies, so that the original stays as it is.  A mapping is made where nothing is."""
    part, _, rest = name.partition(".")
    inner = part_of(data, part)
    if rest:
        value = put({} if inner is ABSENT else inner, rest, value)
    if isinstance(data, Mapping):
        return {**data, part: value}
    if isinstance(data, list):
        return [value if str(number) == part else each for number, each in enumerate(data)]
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return dataclasses.replace(data, **{part: value})
    if isinstance(data, msgspec.Struct):
        return msgspec.structs.replace(data, **{part: value})
    made = copy.copy(data)
    setattr(made, part, value)
    return made
