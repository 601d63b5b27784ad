"""The rules that a declared type carries, compiled into one function; a type without any costs nothing."""

from __future__ import annotations

import types
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from greenimi.validate.dotted import ABSENT
from greenimi.validate.problems import MOST_PROBLEMS, Problem
from greenimi.validate.shapes import Shape, belongs, look_in, reaches, shape_of

Check = Callable[[Any, str, list[Problem], Any], None]
"""``(value, path, problems, data)`` adds what is wrong to ``problems``; ``data`` is the record around the value, where rules may look."""


def check_of(annotation: Any) -> Check | None:
    """The check for values that are of this type already; None when it carries no rules.

    Raises TypeError for a rule that cannot stand there.
    """
    return _compile(annotation, {}) if _carries(annotation) else None


def join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _carries(annotation: Any) -> bool:
    """Is there a rule anywhere within?"""
    return reaches(annotation, lambda shape: bool(shape.rules) or shape.bare is Decimal)


def _compile(annotation: Any, made: dict[Any, Check]) -> Check:
    """``made`` holds the checks of records, also of those under way."""
    shape = shape_of(annotation)
    inner = _inside(shape, made)
    if not shape.rules:
        return inner
    may_be_none = shape.form == "union" and types.NoneType in shape.parts

    def check(value: Any, path: str, problems: list[Problem], data: Any) -> None:
        if value is None and may_be_none:
            return
        problems += [problem for rule in shape.rules if (problem := rule.problem(path, value, data)) is not None]
        inner(value, path, problems, data)

    return check


def _inside(shape: Shape, made: dict[Any, Check]) -> Check:
    if shape.form in ("record", "row"):
        return made.get(shape.bare) or _record(shape, made)
    if shape.form == "union":
        return _union(shape, made)
    if shape.form == "list" and _carries(shape.parts[0]):
        return _items(_compile(shape.parts[0], made))
    if shape.form == "map" and _carries(shape.parts[1]):
        return _values(_compile(shape.parts[1], made))
    return _finite if shape.bare is Decimal else _nothing


def _nothing(value: Any, path: str, problems: list[Problem], data: Any) -> None:
    pass


def _finite(value: Any, path: str, problems: list[Problem], data: Any) -> None:
    if isinstance(value, Decimal) and not value.is_finite():  # msgspec takes "NaN" as a Decimal
        problems.append(Problem(path, f"Expected a finite number, got {value}"))


def _record(shape: Shape, made: dict[Any, Check]) -> Check:
    fields: list[tuple[str, str, Check]] = []
    look = look_in(shape)

    def check(value: Any, path: str, problems: list[Problem], data: Any) -> None:
        for name, key, each in fields:
            found = look(value, name)
            if found is not ABSENT and found is not msgspec.UNSET:
                each(found, join(path, key), problems, value)

    made[shape.bare] = check
    fields += [(field.name, field.key, _compile(field.annotation, made)) for field in shape.fields if _carries(field.annotation)]
    return check


def _items(each: Check) -> Check:
    def check(value: Any, path: str, problems: list[Problem], data: Any) -> None:
        for number, item in enumerate(value):
            each(item, join(path, number), problems, data)
            if len(problems) >= MOST_PROBLEMS:
                return

    return check


def _values(each: Check) -> Check:
    def check(value: Any, path: str, problems: list[Problem], data: Any) -> None:
        for key, item in value.items():
            each(item, join(path, key), problems, data)
            if len(problems) >= MOST_PROBLEMS:
                return

    return check


def _union(shape: Shape, made: dict[Any, Check]) -> Check:
    members = [(shape_of(part), _compile(part, made)) for part in shape.parts if _carries(part)]

    def check(value: Any, path: str, problems: list[Problem], data: Any) -> None:
        for member, each in members:
            if belongs(value, member):
                each(value, path, problems, data)
                return

    return check
