"""The parameters of a function as arguments of a command line."""

from __future__ import annotations

import argparse
import inspect
import types
import typing
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from collections.abc import Callable, Sequence
from enum import Enum
from inspect import Parameter
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from greenimi.errors import StartError
from greenimi.marks import Where
from greenimi.validate import BindError, binder, describe


class Parameters:
    """What a function takes, by its annotations and defaults.

    Without a default   an argument; a keyword-only parameter is an option that must be given.
    With a default      an option, ``--name VALUE``.
    ``bool``            ``--name`` and ``--no-name``.
    ``list[X]``         an argument of one or more values; as an option it is given once for each.  ``*names`` takes any number.
    Types               what ``greenimi.validate`` binds from text, paths, and enums by value or name.  ``Annotated[X, "help"]``, and
                        ``Annotated[X, "help", "-x"]`` for an option that has a short name as well.
    """

    def __init__(self, called: Callable[..., Any], function: Callable[..., Any], where: Where) -> None:
        """``called`` gives the signature, ``function`` (what it was made of) the annotations.  Raises StartError."""
        self._where = where
        self._signature = inspect.signature(called)
        try:
            self._hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
        except Exception as error:
            raise StartError(f"{where}: an annotation cannot be read: {error}") from error

    def add_to(self, parser: ArgumentParser) -> None:
        """Add an argument for each parameter.  Raises StartError for one that cannot be given on a command line."""
        for parameter in self._signature.parameters.values():
            try:
                self._add(parser, parameter)
            except (TypeError, argparse.ArgumentError) as error:
                raise StartError(
                    f"{self._where}: the parameter {parameter.name} cannot come from a command line: {error}",
                    hint="what is not typed by a person, a method of a bean gets through its constructor",
                ) from error

    def _add(self, parser: ArgumentParser, parameter: Parameter) -> None:
        if parameter.kind is Parameter.VAR_KEYWORD:
            raise TypeError(f"**{parameter.name} has no names")
        optional = parameter.default is not Parameter.empty
        kind, text = self._type(parameter)
        item = _item(kind)
        shown = _help(text, parameter.default)
        option = "--" + parameter.name.strip("_").replace("_", "-")
        named = optional or parameter.kind is Parameter.KEYWORD_ONLY
        if kind is bool:
            flag: dict[str, Any] = {"action": BooleanOptionalAction, "required": not optional, "default": SUPPRESS, "help": shown}
            parser.add_argument(option, dest=parameter.name, **flag)
            return
        one = item or kind
        settings: dict[str, Any] = {"type": _converter(one), "metavar": _metavar(one, parameter.name), "help": shown}
        if parameter.kind is Parameter.VAR_POSITIONAL:
            parser.add_argument(parameter.name, nargs="*", **settings)
        elif named:
            action = "append" if item else "store"
            names = (*_short(self._hints.get(parameter.name)), option)
            parser.add_argument(*names, dest=parameter.name, action=action, required=not optional, default=SUPPRESS, **settings)
        else:
            parser.add_argument(parameter.name, nargs="+" if item else None, **settings)

    def _type(self, parameter: Parameter) -> tuple[Any, str]:
        """What it is converted to, and its help.  ``X | None`` is an X; without an annotation the default's type counts, else str."""
        kind = self._hints.get(parameter.name)
        if kind is None:
            default = parameter.default
            return (type(default) if isinstance(default, bool | int | float | PurePath | Enum) else str), ""
        text = ""
        if get_origin(kind) is Annotated:
            kind, *extras = get_args(kind)
            text = next((extra for extra in extras if isinstance(extra, str) and not extra.startswith("-")), "")
        if get_origin(kind) in (Union, types.UnionType):
            named = [member for member in get_args(kind) if member is not type(None)]
            kind = named[0] if len(named) == 1 else kind
        return kind, text

    def bind(self, found: Namespace) -> inspect.BoundArguments:
        """The parsed values as the arguments of a call."""
        call = self._signature.bind_partial()
        for parameter in self._signature.parameters.values():
            if hasattr(found, parameter.name):
                value = getattr(found, parameter.name)
                many = parameter.kind is Parameter.VAR_POSITIONAL or get_origin(self._type(parameter)[0]) is tuple
                call.arguments[parameter.name] = tuple(value) if many else value
        call.apply_defaults()
        return call


def _short(hint: Any) -> list[str]:
    """The short names of an option, from its ``Annotated``."""
    return [extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, str) and extra.startswith("-")]


def _item(kind: Any) -> Any:
    """The type of the items when ``kind`` is an array, else None."""
    origin, args = get_origin(kind) or kind, get_args(kind)
    if origin in (list, Sequence) or (origin is tuple and (not args or args[-1] is Ellipsis)):
        return args[0] if args else str
    return None


def _converter(kind: Any) -> Callable[[str], Any]:
    """An argparse type.  Raises TypeError for what text cannot be converted to."""
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return kind
    reader = binder(kind)
    names = dict(kind.__members__) if isinstance(kind, type) and issubclass(kind, Enum) else {}

    def convert(text: str) -> Any:
        try:
            return reader(text, "", True)
        except BindError as error:
            if text in names:
                return names[text]
            raise ArgumentTypeError(str(error)) from None

    convert.__name__ = describe(kind)
    return convert


def _metavar(kind: Any, name: str) -> str:
    if get_origin(kind) is Literal:
        return "{" + ",".join(map(str, get_args(kind))) + "}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "{" + ",".join(str(member.value) for member in kind) + "}"
    return name.strip("_").upper()


def _help(text: str, default: Any) -> str | None:
    shown = default.value if isinstance(default, Enum) else default
    if default is not Parameter.empty and default not in (None, "", (), []):
        text = f"{text} (default: {shown})".lstrip()
    return text.replace("%", "%%") or None
