"""What a query, a form or a header sends, made ready for its declared type: texts, of which there may be several under one name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from greenimi.validate.scalars import FALSE, TRUE
from greenimi.validate.shapes import Shape, shape_of

Sent = Callable[[Any], Any]


def sent_as(annotation: Any) -> Sent:
    """``ready(value)`` for a value of this type, or for the list of all that were sent in its place."""
    return _ready(shape_of(annotation), {})


def _ready(shape: Shape, made: dict[Any, Sent]) -> Sent:
    if shape.form == "union":
        named = [part for part in shape.parts if part is not type(None)]
        return _ready(shape_of(named[0]), made) if len(named) == 1 else _last
    if shape.form == "list":
        return _list_of(_ready(shape_of(shape.parts[0]), made))
    if shape.form == "record":
        return made.get(shape.bare) or _record(shape, made)
    return {bool: _truth, float: _finite}.get(shape.bare, _last)


def _last(value: Any) -> Any:
    return value[-1] if isinstance(value, list) and value else value


def _truth(value: Any) -> Any:
    """The words for yes and no that msgspec does not know, such as the ``on`` of a ticked box."""
    value = _last(value)
    word = value.lower() if isinstance(value, str) else ""
    return True if word in TRUE else False if word in FALSE else value


class NotFinite:
    """In the place of a text such as ``nan``, which is no value that anybody means; the error names this class."""


_NOT_FINITE = NotFinite()


def _finite(value: Any) -> Any:
    value = _last(value)
    try:
        return value if not isinstance(value, str) or isfinite(float(value)) else _NOT_FINITE
    except ValueError:  # no number at all: msgspec says so
        return value


def _list_of(item: Sent) -> Sent:
    return lambda value: [item(each) for each in (value if isinstance(value, list) else [value])]


def _record(shape: Shape, made: dict[Any, Sent]) -> Sent:
    fields: dict[str, Sent] = {}

    def ready(value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: fields[key](each) if key in fields else each for key, each in value.items()}

    made[shape.bare] = ready
    fields.update((field.key, _ready(shape_of(field.annotation), made)) for field in shape.fields)
    return ready
