"""The defaults of decoded dataclasses, put where encoders look.

msgspec (0.22) leaves a default that was not sent on the class: the attribute is there, but an encoder, which looks at the object, leaves
the field out.  Structs and dataclasses with slots are complete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, get_origin

from greenimi.validate.dotted import ABSENT
from greenimi.validate.shapes import Shape, belongs, look_in, reaches, shape_of

Fill = Callable[[Any], None]


def filler_of(annotation: Any) -> Fill | None:
    """``fill(value)`` completes all dataclasses within a value that was just made; None when there can be nothing to do."""
    return _compile(annotation, {}) if _loses(annotation) else None


def _loses(annotation: Any) -> bool:
    return reaches(annotation, lambda shape: bool(_defaults(shape)))


def _defaults(shape: Shape) -> dict[str, Any]:
    """All fields of a dataclass with their defaults, ABSENT where there is none; empty when msgspec loses none."""
    kind: Any = get_origin(shape.bare) or shape.bare
    if shape.form != "record" or not dataclasses.is_dataclass(kind) or not getattr(kind, "__dictoffset__", 0):
        return {}
    found = {each.name: ABSENT if each.default is dataclasses.MISSING else each.default for each in dataclasses.fields(kind)}
    return found if any(default is not ABSENT for default in found.values()) else {}


def _compile(annotation: Any, made: dict[Any, Fill]) -> Fill:
    """``made`` holds those of records, also of those under way."""
    shape = shape_of(annotation)
    if shape.form in ("record", "row"):
        return made.get(shape.bare) or _record(shape, made)
    if shape.form == "union":
        return _union([(shape_of(part), _compile(part, made)) for part in shape.parts if _loses(part)])
    inner = _compile(shape.parts[-1], made)  # the items of a list, the values of a map
    return _values(inner) if shape.form == "map" else _items(inner)


def _record(shape: Shape, made: dict[Any, Fill]) -> Fill:
    defaults, look = _defaults(shape), look_in(shape)
    nested: list[tuple[str, Fill]] = []

    def fill(value: Any) -> None:
        if defaults and not defaults.keys() <= value.__dict__.keys():
            own = dict(value.__dict__)
            complete = {name: own.get(name, default) for name, default in defaults.items()}  # in the order of the class
            value.__dict__.clear()
            value.__dict__.update({name: found for name, found in complete.items() if found is not ABSENT}, **own)
        for name, inner in nested:
            found = look(value, name)
            if found is not ABSENT:
                inner(found)

    made[shape.bare] = fill
    nested += [(field.name, _compile(field.annotation, made)) for field in shape.fields if _loses(field.annotation)]
    return fill


def _union(members: list[tuple[Shape, Fill]]) -> Fill:
    def fill(value: Any) -> None:
        for member, inner in members:
            if belongs(value, member):
                inner(value)

    return fill


def _items(inner: Fill) -> Fill:
    def fill(value: Any) -> None:
        for item in value:
            inner(item)

    return fill


def _values(inner: Fill) -> Fill:
    return lambda value: _items(inner)(value.values())
