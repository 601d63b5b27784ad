"""What a declared type is made of: the one place that takes annotations apart for converting, checking and filtering."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Collection, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, dataclass, is_dataclass
from dataclasses import fields as dataclass_fields
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

import msgspec

from greenimi.validate.dotted import ABSENT
from greenimi.validate.rules import Rule, declared

_LISTS = (list, set, frozenset, tuple, Collection, Sequence, MutableSequence, AbstractSet, MutableSet)
_MAPS = (dict, Mapping, MutableMapping)
_FIELDS = "__greenimi_fields__"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: the attribute ``name``, its ``key`` on the wire, what it is declared as, and whether it must be sent."""

    name: str
    key: str
    annotation: Any
    required: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A type, one level deep.

    ``form``   ``record`` (dataclass, Struct, TypedDict), ``row`` (a record sent as an array, a tuple of fixed length), ``list`` (also
               sets), ``map``, ``union``, ``foreign`` (a pydantic model), or ``value``
    ``bare``   the type without ``Annotated`` and new names
    ``rules``  those within its ``Annotated``
    ``fields`` of a record or row
    ``parts``  the types within: of a list its items, of a map keys and values, of a union its members
    """

    form: Literal["record", "row", "list", "map", "union", "foreign", "value"]
    bare: Any
    rules: tuple[Rule, ...] = ()
    metadata: tuple[Any, ...] = ()
    fields: tuple[Field, ...] = ()
    parts: tuple[Any, ...] = ()


def shape_of(annotation: Any) -> Shape:
    """Take ``annotation`` apart.  Raises TypeError for a rule that cannot stand there."""
    bare = annotation
    metadata: tuple[Any, ...] = ()
    while True:
        if get_origin(bare) is Annotated:
            metadata = (*bare.__metadata__, *metadata)
            bare = bare.__origin__
        elif hasattr(bare, "__supertype__"):  # typing.NewType
            bare = bare.__supertype__
        elif isinstance(bare, _ALIAS):
            bare = bare.__value__
        else:
            break
    form, fields, parts = _taken_apart(bare)
    return Shape(form, bare, declared(metadata), metadata, fields, parts)


_ALIAS: Any = getattr(typing, "TypeAliasType", ())  # `type X = ...` of Python 3.12


def _taken_apart(bare: Any) -> tuple[Any, tuple[Field, ...], tuple[Any, ...]]:
    origin, args = get_origin(bare), get_args(bare)
    if origin in (Union, types.UnionType):
        return "union", (), args
    base = origin or bare
    if base is tuple and args and args[-1] is not Ellipsis:
        return "row", tuple(Field(str(number), str(number), part, True) for number, part in enumerate(args)), ()
    if base in _LISTS:
        return "list", (), args[:1] or (Any,)
    if base in _MAPS:
        return "map", (), args or (Any, Any)
    if not isinstance(base, type):
        return "value", (), ()
    if is_foreign(base):
        return "foreign", (), ()
    if issubclass(base, msgspec.Struct):
        return "row" if base.__struct_config__.array_like else "record", _kept(bare, _struct_fields), ()
    if is_dataclass(base):
        return "record", _kept(bare, _dataclass_fields), ()
    if typing.is_typeddict(base):
        return "record", _kept(bare, _dict_fields), ()
    if issubclass(base, tuple) and hasattr(base, "_fields"):
        return "row", _kept(bare, _named_tuple_fields), ()
    return "value", (), ()


def _kept(kind: Any, make: Callable[[Any], tuple[Field, ...]]) -> tuple[Field, ...]:
    """The fields of a record, which are costly to find out.  Kept by the class itself, so that they live no longer than it."""
    if not isinstance(kind, type):  # a generic class with its types filled in
        return make(kind)
    found = kind.__dict__.get(_FIELDS)
    if found is None:
        found = make(kind)
        setattr(kind, _FIELDS, found)
    return found


def is_foreign(kind: Any) -> bool:
    """A pydantic model: known by its face, so that pydantic need not be installed."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "__pydantic_validator__")


def _struct_fields(kind: Any) -> tuple[Field, ...]:
    return tuple(Field(each.name, each.encode_name, each.type, each.required) for each in msgspec.structs.fields(kind))


def _dataclass_fields(kind: Any) -> tuple[Field, ...]:
    base = get_origin(kind) or kind
    hints = typing.get_type_hints(base, include_extras=True)
    known = dict(zip(getattr(base, "__parameters__", ()), get_args(kind), strict=False))
    return tuple(
        Field(each.name, each.name, _filled(hints[each.name], known), each.default is MISSING and each.default_factory is MISSING)
        for each in dataclass_fields(base)
        if each.init
    )


def _filled(annotation: Any, known: Mapping[Any, Any]) -> Any:
    """``annotation`` with the type variables of a generic class filled in."""
    if not known:
        return annotation
    if annotation in known:
        return known[annotation]
    free = getattr(annotation, "__parameters__", ())
    return annotation[tuple(known.get(each, each) for each in free)] if free and get_origin(annotation) is not None else annotation


def _dict_fields(kind: Any) -> tuple[Field, ...]:
    fields = []
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        said = get_origin(hint)
        if said in (NotRequired, typing.Required):  # which a class with postponed annotations does not know itself
            fields.append(Field(name, name, get_args(hint)[0], said is typing.Required))
        else:
            fields.append(Field(name, name, hint, name in kind.__required_keys__))
    return tuple(fields)


def _named_tuple_fields(kind: Any) -> tuple[Field, ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple(Field(name, name, hints.get(name, Any), name not in kind._field_defaults) for name in kind._fields)


def reaches(annotation: Any, test: Callable[[Shape], bool], seen: frozenset[Any] = frozenset()) -> bool:
    """Is there a type anywhere within for which ``test`` holds?  ``seen``: the records around it, which may hold their own kind."""
    shape = shape_of(annotation)
    if test(shape):
        return True
    if shape.form in ("record", "row"):
        if shape.bare in seen:
            return False
        seen |= {shape.bare}
    return any(reaches(part, test, seen) for part in (*shape.parts, *(field.annotation for field in shape.fields)))


def belongs(value: Any, shape: Shape) -> bool:
    """Is ``value`` of this type, as far as one can tell from the outside?"""
    bare = get_origin(shape.bare) or shape.bare
    if shape.form == "union":
        return any(belongs(value, shape_of(part)) for part in shape.parts)
    if bare is Literal:
        return value in get_args(shape.bare)
    if bare in (Any, object):
        return True
    if bare is None:
        return value is None
    return isinstance(value, dict if typing.is_typeddict(bare) else bare)


def look_in(shape: Shape) -> Callable[[Any, str], Any]:
    """How to find a field in a record or row: ``look(value, name)``, ABSENT when there is none."""
    if typing.is_typeddict(shape.bare):
        return lambda value, name: value.get(name, ABSENT)
    if get_origin(shape.bare) is tuple:
        return lambda value, name: value[int(name)]
    return lambda value, name: getattr(value, name, ABSENT)
