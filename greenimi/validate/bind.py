"""Bind plain values (of JSON, TOML, a query string) to declared types, strictly: nothing is guessed, the bad field is named.

``binder(kind)`` compiles a type once, ``bind(kind, value)`` is for one use.  Nothing is cached here, so no class is kept alive.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from greenimi.validate.problems import MOST_PROBLEMS, BindError, Problem, describe, misfit, shown
from greenimi.validate.scalars import SCALARS, Binder, Text, anything, is_text

T = TypeVar("T")


def bind(kind: type[T], value: Any, path: str = "", *, text: bool = False) -> T:
    """``value`` as a ``kind``: a dataclass from a mapping, or any declared type from a plain value.

    ``text=True`` lets every str be converted (path, query, environment); otherwise only :class:`Text` is.
    Raises BindError naming each bad field below ``path``; TypeError when ``kind`` itself cannot be bound to.
    """
    return binder(kind)(value, path, text)  # type: ignore[no-any-return]


def binder(kind: Any) -> Binder:
    """Compile ``kind`` once, for binding many values.  Raises TypeError for a type that cannot be bound to."""
    return _make(kind, {})


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


# -- compile a type ------------------------------------------------------------------------------------------------


def _make(kind: Any, made: dict[Any, Binder]) -> Binder:
    """``made`` holds the dataclasses under way, so that a type may contain itself."""
    if kind is Any or kind is object:
        return anything
    if kind is None:
        kind = type(None)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:  # before any lookup: what it carries may have no hash
        return _make(args[0], made)
    if kind in SCALARS:
        return SCALARS[kind]
    if origin in (Union, types.UnionType):
        return _union(kind, args, made)
    if origin is Literal:
        return _literal(kind, args)
    base = origin or kind
    if base is tuple and args and args[-1] is not Ellipsis:
        return _fixed_tuple(kind, args, made)
    if base in _COLLECTIONS:
        return _collection(kind, _COLLECTIONS[base], args[0] if args else Any, made)
    if base in _MAPPINGS:
        key, item = args or (Any, Any)
        return _mapping(kind, key, item, made)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return made.get(kind) or _dataclass(kind, made)
    if hasattr(kind, "__supertype__"):  # typing.NewType
        return _make(kind.__supertype__, made)
    raise TypeError(f"cannot bind a value to {describe(kind)}")


def _union(kind: Any, members: tuple[Any, ...], made: dict[Any, Binder]) -> Binder:
    readers = [(member, _make(member, made)) for member in members]
    readers.sort(key=lambda pair: pair[0] is not type(None))  # "null" of a textual source before anything takes it as text
    named = [reader for member, reader in readers if member is not type(None)]
    only = named[0] if len(named) == 1 else None

    def bound(value: Any, path: str, text: bool) -> Any:
        for member, reader in readers:
            if type(value) is member and not is_text(value, text):
                return reader(value, path, text)
        for _, reader in readers:
            try:
                return reader(value, path, text)
            except BindError:
                if reader is only and isinstance(value, Mapping | list):
                    raise  # "X or null": X names the part that is wrong
        raise misfit(path, kind, value)

    return bound


def _literal(kind: Any, allowed: tuple[Any, ...]) -> Binder:
    def bound(value: Any, path: str, text: bool) -> Any:
        for one in allowed:
            if type(value) is type(one) and value == one:
                return one
        if is_text(value, text):
            for one in allowed:
                if _spelled(one) == value:
                    return one
        raise misfit(path, kind, value)

    return bound


def _enum(kind: type[Enum]) -> Binder:
    members = list(kind)

    def bound(value: Any, path: str, text: bool) -> Any:
        if isinstance(value, kind):
            return value
        for member in members:
            if type(value) is type(member.value) and value == member.value:
                return member
        if is_text(value, text):
            for member in members:
                if _spelled(member.value) == value:
                    return member
        raise misfit(path, kind, value)

    return bound


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _gather(items: Iterable[tuple[str, Any, Binder]], text: bool) -> list[Any]:
    """Bind each ``(path, value, reader)``; the problems of all of them in one error."""
    found = []
    problems: list[Problem] = []
    for path, value, reader in items:
        try:
            found.append(reader(value, path, text))
        except BindError as error:
            problems += error.problems
            if len(problems) >= MOST_PROBLEMS:
                break
    if problems:
        raise BindError(problems)
    return found


def _collection(kind: Any, make: Callable[[list[Any]], Any], item: Any, made: dict[Any, Binder]) -> Binder:
    reader = _make(item, made)

    def bound(value: Any, path: str, text: bool) -> Any:
        if is_text(value, text):
            value, text = _listed(value, path, kind)
        if not isinstance(value, list | tuple | AbstractSet):
            raise misfit(path, kind, value)
        found = _gather(((_join(path, index), one, reader) for index, one in enumerate(value)), text)
        try:
            return make(found)
        except TypeError:  # a set of what cannot be hashed
            raise misfit(path, kind, value) from None

    return bound


def _fixed_tuple(kind: Any, items: tuple[Any, ...], made: dict[Any, Binder]) -> Binder:
    readers = [_make(item, made) for item in items]

    def bound(value: Any, path: str, text: bool) -> Any:
        if is_text(value, text):
            value, text = _listed(value, path, kind)
        if not isinstance(value, list | tuple):
            raise misfit(path, kind, value)
        if len(value) != len(readers):
            raise BindError([Problem(path, f"expected {len(readers)} values, got {len(value)}")])
        return tuple(_gather(((_join(path, i), one, readers[i]) for i, one in enumerate(value)), text))

    return bound


def _mapping(kind: Any, key: Any, item: Any, made: dict[Any, Binder]) -> Binder:
    read_key, read_item = _make(key, made), _make(item, made)

    def bound(value: Any, path: str, text: bool) -> Any:
        if is_text(value, text):
            value, text = _from_json(value, path, kind), False
        if not isinstance(value, Mapping):
            raise misfit(path, kind, value)
        keys = _gather(((_join(path, name), name, read_key) for name in value), True)  # keys are text in every source
        return dict(zip(keys, _gather(((_join(path, name), one, read_item) for name, one in value.items()), text), strict=True))

    return bound


def _dataclass(kind: Any, made: dict[Any, Binder]) -> Binder:
    plan: dict[str, tuple[Binder, bool]] = {}

    def bound(value: Any, path: str, text: bool) -> Any:
        if isinstance(value, kind):
            return value
        if is_text(value, text):
            value, text = _from_json(value, path, kind), False
        if not isinstance(value, Mapping):
            raise BindError([Problem(path, f"expected a table, got {shown(value)}")])
        arguments = {}
        problems: list[Problem] = []
        for name, (reader, required) in plan.items():
            if name in value:
                try:
                    arguments[name] = reader(value[name], _join(path, name), text)
                except BindError as error:
                    problems += error.problems
            elif required:
                problems.append(Problem(_join(path, name), "is missing", code="missing"))
        problems += _unknown(value, plan, path)
        if problems:
            raise BindError(problems)
        try:
            return kind(**arguments)
        except ValueError as error:  # the class's own __post_init__ refused
            raise BindError([Problem(path, str(error))]) from error

    made[kind] = bound
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        if field.init:
            required = field.default is MISSING and field.default_factory is MISSING
            plan[field.name] = (_make(hints[field.name], made), required)
    return bound


def _unknown(value: Mapping[Any, Any], known: Collection[str], path: str) -> list[Problem]:
    problems = []
    for key in value:
        if key not in known:
            name = str(key)[:100]
            problems.append(Problem(_join(path, name), "unknown key", unknown=name, known=tuple(known), code="unknown"))
            if len(problems) >= MOST_PROBLEMS:
                break
    return problems


def _listed(value: str, path: str, kind: Any) -> tuple[Any, bool]:
    """A list written as text: a JSON array, or items between commas (those are still text).  Empty text is the empty list."""
    if value.lstrip().startswith("["):
        return _from_json(value, path, kind), False
    return [Text(part.strip()) for part in value.split(",")] if value.strip() else [], True


def _from_json(value: str, path: str, kind: Any) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise misfit(path, kind, value) from None


_COLLECTIONS: dict[Any, Callable[[list[Any]], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    AbstractSet: frozenset,
}
_MAPPINGS = (dict, Mapping)
