"""Rules in annotations kept by plain code: ``@validated`` on functions, methods and classes, :func:`check` for single objects."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from greenimi.validate.checks import Check, check_of
from greenimi.validate.dotted import ABSENT
from greenimi.validate.problems import Problem, refusal

T = TypeVar("T", bound=Callable[..., Any])


def validated(target: T) -> T:
    """Check rules before a function runs, or after an object was made.

    On a function or method: the given arguments keep the rules of their annotations; defaults are not looked at.
    On a class: once ``__init__`` is done, the attributes keep the rules of the class's annotations.

    Values are checked, never converted.  Raises Invalid naming every bad one, or what a rule's ``error`` makes; TypeError at once for a
    ``msgspec.Struct``, which has no ``__init__`` to wait for.
    """
    if not isinstance(target, type):
        return cast("T", _function(target))
    if issubclass(target, msgspec.Struct):
        raise TypeError(
            f"{target.__qualname__} is a Struct: bound values are checked anyway, for others call check(value) in __post_init__"
        )
    _class(target)
    return target


def check(value: Any, annotation: Any = None) -> None:
    """Check one value by the rules of ``annotation``, by default those of its own class.  Raises as ``validated`` does."""
    found = check_of(type(value) if annotation is None else annotation)
    if found is not None:
        problems: list[Problem] = []
        found(value, "", problems, value)
        if problems:
            raise refusal(problems)


def _function(function: Any) -> Any:
    signature = inspect.signature(function)
    checks = functools.cache(lambda: _checks(function))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        arguments = signature.bind(*args, **kwargs).arguments
        _ask(checks(), lambda name: arguments.get(name, ABSENT), arguments)
        return function(*args, **kwargs)

    return call


def _class(target: Any) -> None:
    made = target.__init__
    checks = functools.cache(lambda: _checks(target))

    @functools.wraps(made)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        _ask(checks(), lambda name: getattr(self, name, ABSENT), self)

    target.__init__ = init


def _checks(target: Any) -> list[tuple[str, Check]]:
    """Asked for at the first use: annotations may name what is defined further down."""
    hints = typing.get_type_hints(target, include_extras=True)
    return [(name, found) for name, hint in hints.items() if name != "return" and (found := check_of(hint)) is not None]


def _ask(checks: list[tuple[str, Check]], look: Callable[[str], Any], data: Any) -> None:
    problems: list[Problem] = []
    for name, each in checks:
        value = look(name)
        if value is not ABSENT:
            each(value, name, problems, data)
    if problems:
        raise refusal(problems)
