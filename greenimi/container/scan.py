"""Reading the marks of modules, and the queries over what was read."""

from __future__ import annotations

import fnmatch
import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from functools import cached_property, partialmethod
from types import ModuleType
from typing import Any, NamedTuple

from greenimi.marks import ATTRIBUTE, Mark, marks_of


class Marked(NamedTuple):
    """One use of a mark.  ``owner`` is the class that holds a marked method or property, None for a class or function itself."""

    owner: type | None
    name: str
    target: Any
    mark: Mark


def modules(root: ModuleType, ignore: Sequence[str] = ()) -> Iterator[ModuleType]:
    """``root`` and, for a package, every module below it, imported, in alphabetical order.

    ``ignore`` holds patterns for full dotted names (``"shop.tests"``, ``"*.migrations"``); an ignored package is left out with all
    below it and not imported.  ``__main__`` modules are never imported.
    """
    if _ignored(root.__name__, ignore):
        return
    yield root
    for found in sorted(pkgutil.iter_modules(getattr(root, "__path__", ()), f"{root.__name__}."), key=lambda module: module.name):
        if not found.name.endswith(".__main__") and not _ignored(found.name, ignore):
            yield from modules(importlib.import_module(found.name), ignore)


def _ignored(name: str, ignore: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in ignore)


def marks_in(module: ModuleType) -> Iterator[Marked]:
    """Every mark on classes, functions, methods and properties that this very module defines; what it imported stays out."""
    seen: set[int] = set()
    for name, target in list(vars(module).items()):
        if id(target) not in seen and _defined_in(target, module.__name__):
            seen.add(id(target))
            yield from marks_on(name, target)


def _defined_in(target: object, module: str) -> bool:
    # by type(): an isinstance check would make a facade look for what it stands for
    return (issubclass(type(target), type) or bool(_own_marks(target))) and getattr(target, "__module__", None) == module


def _own_marks(target: object) -> list[Mark]:
    """The marks of anything but a class, read past ``__getattr__``: a facade must not be asked while scanning."""
    try:
        return list(object.__getattribute__(target, "__dict__").get(ATTRIBUTE, ()))
    except (AttributeError, TypeError):
        return []


def marks_on(name: str, target: Any) -> Iterator[Marked]:
    """The marks of one class (its members' and nested classes' included) or function."""
    for mark in marks_of(target) if isinstance(target, type) else _own_marks(target):
        if mark.kind != "inherit":
            yield Marked(None, name, target, mark)
    if isinstance(target, type):
        yield from _members(target)


def _members(cls: type) -> Iterator[Marked]:
    inherited = _inherited_kinds(marks_of(cls, "inherit"))
    for name in dict.fromkeys(name for base in cls.__mro__ for name in vars(base)):
        definitions = [(base, vars(base)[name]) for base in cls.__mro__ if name in vars(base)]
        owner, value = definitions[0]
        if isinstance(value, type):
            if owner is cls and value.__qualname__ == f"{cls.__qualname__}.{name}":
                yield from marks_on(name, value)
            continue
        functions = _functions(value)
        own = [mark for function in functions for mark in _own_marks(function)] if owner is cls else []
        kinds = _inherited_kinds([m for m in own if m.kind == "inherit"])
        if kinds is None:
            kinds = inherited
        found = {id(mark): mark for mark in own}
        if kinds is not None:
            above = definitions[1:] if owner is cls else definitions
            marks = [mark for _, old in above for function in _functions(old) for mark in _own_marks(function)]
            found |= {id(mark): mark for mark in marks if not kinds or mark.kind in kinds}
        for mark in found.values():
            if mark.kind != "inherit":
                yield Marked(cls, name, functions[-1], mark)


def _inherited_kinds(marks: list[Mark]) -> frozenset[str] | None:
    """Which kinds of marks to take over from base classes: None for none, the empty set for all."""
    if not marks:
        return None
    kinds = [mark.options["kinds"] for mark in marks]
    return frozenset().union(*kinds) if all(kinds) else frozenset()


def _functions(value: Any) -> list[Any]:
    """What carries the marks of a class attribute: the attribute itself and the functions inside it, the innermost last."""
    if isinstance(value, staticmethod | classmethod):  # either may carry marks: the wrapper, or what it wraps
        return [value, *_functions(value.__func__)]
    if isinstance(value, property):
        return [function for function in (value.fset, value.fdel, value.fget) if function is not None]
    if isinstance(value, cached_property | partialmethod):
        return [value.func]
    return [value]
