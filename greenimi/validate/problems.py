"""What is wrong with a value, in words that name the field, the type and what came instead."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from greenimi.errors import Invalid

MOST_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: the dotted ``path`` of the field and what is the matter.

    ``code``    the kind of mistake, for programs: ``type``, ``missing``, ``unknown``, or the name of the broken rule
    ``source``  the part of a request that the value came from: query, header, body, ...
    ``error``   makes the exception that a rule wants raised instead of BindError
    An ``unknown`` key comes with those ``known`` there.
    """

    path: str
    text: str
    unknown: str = ""
    known: tuple[str, ...] = ()
    code: str = "type"
    source: str = ""
    error: Callable[[str], Exception] | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text

    def as_detail(self) -> dict[str, str]:
        """For a client: one of ``details["errors"]``."""
        source = {"source": self.source} if self.source else {}
        return {"field": self.path, **source, "text": self.text, "code": self.code}


class BindError(Invalid):
    """A value does not fit its type, or breaks a rule.

    ``problems`` lists every bad field (at most 50), ``details["errors"]`` the same for the client.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems[:MOST_PROBLEMS])
        errors = [problem.as_detail() for problem in self.problems]
        super().__init__("; ".join(map(str, self.problems)), details={"errors": errors})


def refusal(problems: Sequence[Problem]) -> Exception:
    """What to raise for these problems: what the first rule with an error of its own asks for, else a BindError of all."""
    for problem in problems:
        if problem.error is not None:
            return problem.error(problem.text)
    return BindError(problems)


def describe(kind: Any) -> str:
    """The type as an error message names it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return describe(args[0])
    if origin in (Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args)
    if origin is Literal:
        return "one of " + ", ".join(repr(arg) for arg in args)
    if kind in (None, type(None)):
        return "null"
    if isinstance(kind, type) and issubclass(kind, Enum) and origin is None:
        return "one of " + ", ".join(repr(member.value) for member in kind)
    if args:
        return f"{describe(origin)}[{', '.join('...' if arg is Ellipsis else describe(arg) for arg in args)}]"
    return getattr(kind, "__name__", str(kind))


def misfit(path: str, kind: Any, value: Any) -> BindError:
    """The error to raise: ``value`` is no ``kind``."""
    return BindError([Problem(path, f"expected {describe(kind)}, got {shown(value)}")])


def shown(value: Any) -> str:
    """A value as an error message tells it: short, and never the inside of a table."""
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    if isinstance(value, bool | int | float | str):
        return f"{'str' if isinstance(value, str) else type(value).__name__} {_short(value)}"
    return type(value).__name__


def _short(value: object) -> str:
    """At most about 40 characters, made without first making a long text."""
    if isinstance(value, str):
        value = value[:41] if type(value) is str else value
    elif isinstance(value, int) and value.bit_length() > 128:
        return "(a long number)"
    shown = repr(value)
    return shown if len(shown) <= 42 else shown[:40] + "..."
