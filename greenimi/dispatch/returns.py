"""What a handler returns, made what its return annotation declares: only the declared fields leave the server.

Decided once from the annotation.  Types that hold no records (``dict[str, int]``, ``str``, ``Any``, ...) need nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_origin, is_typeddict

import msgspec

from greenimi.errors import StartError
from greenimi.message import Reply, Response
from greenimi.validate import foreign
from greenimi.validate.defaults import filler_of
from greenimi.validate.dotted import ABSENT
from greenimi.validate.shapes import Field, Shape, belongs, reaches, shape_of

Answer = Callable[[Any], Any]
Exact = Callable[[Any], bool]
_AS_THEY_ARE = (Response, Reply, str, bytes, Iterator, type(None))
_SCALARS = (str, bytes, int, float, list, tuple, set, frozenset)


def answer_for(annotation: Any, place: str) -> Answer | None:
    """``answer(value)`` for what the handler at ``place`` returns; None where values can leave as they are.

    An object of exactly the declared class stays as it is; a mapping, an object with such attributes, or one of a subclass becomes one with
    the declared fields and no others.  Responses, texts, bytes, iterators and None are never touched.  Raises TypeError, which is the
    server's own fault, for a value that does not fit.  Raises StartError here and now for a type that nothing can be converted to.
    """
    answers = [_answer(part, place) for part in _members(annotation) if _has_records(part)]
    if not answers:
        return None

    def answer(value: Any) -> Any:
        for exact, _ in answers:
            if exact(value):
                return value
        if isinstance(value, _AS_THEY_ARE):
            return value
        wrong: Exception | None = None
        for _, convert in answers:
            try:
                return convert(value)
            except (ValueError, RecursionError) as error:
                wrong = wrong or error
        raise TypeError(f"{place} returned a {type(value).__qualname__} that is not what it declares: {wrong}") from wrong

    return answer


def _members(annotation: Any) -> tuple[Any, ...]:
    shape = shape_of(annotation)
    return shape.parts if shape.form == "union" else (annotation,)


def _has_records(annotation: Any) -> bool:
    return reaches(annotation, lambda shape: shape.form in ("record", "foreign", "row") and get_origin(shape.bare) is not tuple)


def _answer(wanted: Any, place: str) -> tuple[Exact, Answer]:
    """How to see that a value is exactly this, and how to make it so.  The latter raises ValueError."""
    if reaches(wanted, lambda shape: shape.form == "foreign"):  # models of pydantic, which JSON does not know: they are told field by field
        return (lambda value: False), (lambda value: _plain(value, wanted))
    try:
        msgspec.inspect.type_info(wanted)
    except TypeError as error:
        hint = "declare what JSON tells apart, or `object` where the handler itself sees to it"
        raise StartError(f"{place}: nothing can be converted to what it declares to return: {error}", hint=hint) from None
    fill = filler_of(wanted)

    def convert(value: Any) -> Any:
        found = msgspec.convert(_plain(value, wanted), wanted, str_keys=True)
        if fill is not None:
            fill(found)
        return found

    return _exact(wanted, {}), convert


# -- is it what was declared? -------------------------------------------------------------------------------------------


def _exact(annotation: Any, made: dict[Any, Exact]) -> Exact:
    """Whether a value, and all records within, are of the declared classes themselves.  ``made`` holds the tests of those under way."""
    shape = shape_of(annotation)
    if not _has_records(annotation):
        return lambda value: True
    if shape.form == "union":
        tests = [(shape_of(part), _exact(part, made)) for part in shape.parts]
        return lambda value: any(belongs(value, member) and test(value) for member, test in tests)
    if shape.form == "list":
        item = _exact(shape.parts[0], made)
        return lambda value: isinstance(value, list | tuple | set | frozenset) and all(map(item, value))
    if shape.form == "map":
        item = _exact(shape.parts[1], made)
        return lambda value: isinstance(value, dict) and all(map(item, value.values()))
    return made.get(shape.bare) or _exact_record(shape, made)


def _exact_record(shape: Shape, made: dict[Any, Exact]) -> Exact:
    kind = get_origin(shape.bare) or shape.bare
    if kind is tuple or is_typeddict(kind):  # their class says nothing about what is in them
        return lambda value: False
    inner: list[tuple[str, Exact]] = []

    def flat(value: Any) -> bool:
        return type(value) is kind

    def deep(value: Any) -> bool:
        return type(value) is kind and all(test(getattr(value, name)) for name, test in inner)

    nested = [field for field in shape.fields if _has_records(field.annotation)]
    made[shape.bare] = deep if nested else flat
    inner += [(field.name, _exact(field.annotation, made)) for field in nested]
    return made[shape.bare]


# -- make it so ---------------------------------------------------------------------------------------------------------


def _plain(value: Any, annotation: Any) -> Any:
    """``value`` as mappings and lists with the declared fields, whatever it is made of.  Raises ValueError for what is no such model."""
    shape = shape_of(annotation)
    if shape.form == "union":
        member = next((part for part in shape.parts if belongs(value, shape_of(part))), None)
        named = [part for part in shape.parts if part is not type(None)]
        return _plain(value, named[0] if member is None and len(named) == 1 else member)
    if shape.form == "foreign":
        return foreign.told(shape.bare, value)
    if shape.form == "record" and not isinstance(value, _SCALARS):
        return _fields(value, shape)
    if shape.form == "row":
        if not isinstance(value, Sequence):
            return list(_fields(value, shape).values())
        return [_plain(item, field.annotation) for item, field in zip(value, shape.fields, strict=len(value) > len(shape.fields))]
    if shape.form == "list" and isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return [_plain(item, shape.parts[0]) for item in value]
    if shape.form == "map" and isinstance(value, Mapping):
        return {key: _plain(item, shape.parts[1]) for key, item in value.items()}
    return value


def _fields(value: Any, shape: Shape) -> dict[str, Any]:
    found = {}
    for field in shape.fields:
        inner = _field(value, field)
        if inner is not ABSENT and inner is not msgspec.UNSET:
            found[field.key] = _plain(inner, field.annotation)
    return found


def _field(value: Any, field: Field) -> Any:
    if isinstance(value, Mapping):
        return value.get(field.key, value.get(field.name, ABSENT))
    return getattr(value, field.name, ABSENT)
