"""Names made from the arguments of a call: ``"stock:{sku}"``, for locks, caches and whatever else goes by a key.

A placeholder is a parameter, and what may be reached from it by attributes, keys and indexes: ``{sku}``, ``{order.customer.id}``,
``{data.name}``, ``{self.region}``.  ``{:args}`` is a hash of all arguments but ``self``.  Braces are doubled to stand for themselves.

Text, numbers, booleans, None, UUIDs, dates and members of enumerations stand as they are; everything else, ``bytes`` too, as a hash of its
content, the same in every process.  Two different calls never make the same name because of where one value ends: characters that
separate placeholders are escaped in values.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from string import Formatter
from typing import Any

MISSING: Any = object()
_PLAIN = (str, bool, int, float, decimal.Decimal, uuid.UUID, dt.date, dt.time, dt.timedelta, type(None))

Get = Callable[[Sequence[Any], Mapping[str, Any]], Any]


class KeyTemplate:
    """``template(args, kwargs)`` is the name for a call of ``function`` with these arguments.

    ValueError, when it is made, for a template that does not fit the function.
    """

    def __init__(self, template: str, function: Callable[..., Any]) -> None:
        self.template = template
        self._function = function
        self._label = getattr(function, "__qualname__", repr(function))
        self._signature = inspect.signature(function)
        self._literals = [""]  # before the first placeholder, between them, and behind the last
        self._gets: list[Get] = []
        try:
            for literal, field, spec, conversion in Formatter().parse(template):
                self._literals[-1] += literal
                if field is not None:
                    self._gets.append(self._getter(field, spec, conversion))
                    self._literals.append("")
        except ValueError as error:
            raise ValueError(f"the template {template!r} does not fit {self._label}: {error}") from None
        between = [{char for char in literal if not char.isalnum()} for literal in self._literals[1:-1]]
        if not all(between):
            raise ValueError(f"the template {template!r} needs something that is no letter and no digit between two placeholders")
        self._escapes = {ord(char): f"%{ord(char):02X}" for char in {"%"}.union(*between)} if between else {}

    def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        name = self._literals[0]
        for get, literal in zip(self._gets, self._literals[1:], strict=True):
            name += self._text(get(args, kwargs)) + literal
        return name

    def __repr__(self) -> str:
        return f"<KeyTemplate {self.template!r} of {self._label}>"

    # -- when it is made -----------------------------------------------------------------------------------------------
    def _getter(self, field: str, spec: str | None, conversion: str | None) -> Get:
        if conversion is not None or (spec and (field or spec != "args")):
            raise ValueError(f"{{{field}}} takes neither a conversion nor a format")
        if not field:
            if spec != "args":
                raise ValueError("a placeholder is empty")
            return self._all
        first, *path = field.split(".")
        return self._parameter(first) if not path else self._path(self._parameter(first), field, path)

    def _parameter(self, name: str) -> Get:
        parameters = self._signature.parameters
        if name not in parameters:
            raise ValueError(f"there is no parameter {name}, there are: {', '.join(parameters) or 'none'}")
        kind, default = parameters[name].kind, parameters[name].default
        if kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            return lambda args, kwargs: self._bound(args, kwargs)[name]
        index = len(parameters) if kind is inspect.Parameter.KEYWORD_ONLY else list(parameters).index(name)

        def get(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            if index < len(args):
                return args[index]
            value = kwargs.get(name, default)
            return self._bound(args, kwargs)[name] if value is inspect.Parameter.empty else value

        return get

    def _path(self, first: Get, field: str, path: Sequence[str]) -> Get:
        def get(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
            value = first(args, kwargs)
            for step in path:
                value = step_into(value, step)
                if value is MISSING:
                    raise ValueError(f"{self!r}: there is no {step} on the way to {{{field}}}")
            return value

        return get

    # -- for each call -------------------------------------------------------------------------------------------------
    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by their names.  TypeError for a call that the function would refuse."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _all(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        found = self._bound(args, kwargs)
        return self._hash({name: value for name, value in found.items() if name not in ("self", "cls")})

    def _text(self, value: Any) -> str:
        if type(value) is int:  # most keys are numbers
            return f"{value}".translate(self._escapes) if self._escapes else f"{value}"
        if isinstance(value, enum.Enum):
            value = value.value
        if isinstance(value, _PLAIN):
            text = str(value)
            return text.translate(self._escapes) if self._escapes else text
        return self._hash(value)

    def _hash(self, value: Any) -> str:
        try:
            return sha256(_encoder().encode(value)).hexdigest()[:32]
        except (TypeError, ValueError) as error:
            raise TypeError(f"{self!r}: no name can be made of a {type(value).__name__}: {error}") from None


def step_into(value: Any, step: str) -> Any:
    """A key of a mapping, an index of a sequence, an attribute of anything else."""
    if isinstance(value, Mapping):
        return value.get(step, MISSING)
    if step.isdigit() and isinstance(value, Sequence):
        return value[int(step)] if int(step) < len(value) else MISSING
    return getattr(value, step, MISSING)


@cache
def _encoder() -> Any:
    import msgspec

    return msgspec.msgpack.Encoder(order="deterministic")
