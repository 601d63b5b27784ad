"""What finds what: a class by its bases, a zope interface by what implements it, a ``typing.Protocol`` by its shape.

The registry underneath speaks zope interfaces only.  Every class is therefore mirrored by one interface with the same bases, so that zope's
own lookup finds a subclass when its base is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from zope.interface import Interface, implementedBy
from zope.interface.interface import InterfaceClass

from greenimi.marks import ATTRIBUTE

_mirrors: WeakKeyDictionary[type, Any] = WeakKeyDictionary()  # weak: the classes of an old generation must be able to go
_numbers = count()


def is_key(key: object) -> bool:
    """May the container be asked for ``key``?"""
    return isinstance(key, type | InterfaceClass)


def name_of(key: Any) -> str:
    """A short name for messages."""
    return str(getattr(key, "__name__", key))


def interface_of(key: Any) -> Any:
    """The zope interface that stands for ``key`` in the registry.  TypeError for anything but a class or an interface."""
    if isinstance(key, InterfaceClass):
        return key
    if not isinstance(key, type):
        raise TypeError(f"a container is asked for classes, protocols and zope interfaces, not for {key!r}")
    found = _mirrors.get(key)
    if found is None:
        bases = tuple(interface_of(base) for base in key.__bases__ if base is not object)
        # zope compares interfaces by name and module, and two classes may share both: the number keeps them apart
        mirror = InterfaceClass(f"{key.__qualname__}#{next(_numbers)}", bases or (Interface,), __module__=key.__module__)
        found = _mirrors.setdefault(key, mirror)
    return found


def interfaces_of(keys: tuple[Any, ...]) -> list[Any]:
    """Every interface to register a bean under that is found by ``keys``: the mirrors, and what the classes implement."""
    found: dict[Any, None] = {}
    for key in keys:
        found[interface_of(key)] = None
        if isinstance(key, type):
            found.update(dict.fromkeys(implementedBy(key)))
    return list(found)


# -- protocols -----------------------------------------------------------------------------------------------------


def is_protocol(key: Any) -> bool:
    return isinstance(key, type) and bool(getattr(key, "_is_protocol", False))


class _Empty(Protocol):
    """What Python itself puts into a protocol's namespace."""

    _: int


_MACHINERY = (
    vars(_Empty).keys()
    | {"__annotations__", "__orig_bases__", "__parameters__", "__type_params__", "__slots__", "_is_runtime_protocol"}
    | {"__implemented__", "__providedBy__", "__provides__", ATTRIBUTE}
)


def members_of(protocol: type) -> frozenset[str]:
    """The names a class must have to be taken for ``protocol``."""
    found: set[str] = set()
    for base in protocol.__mro__:
        if is_protocol(base) and base is not Protocol:
            found |= vars(base).keys() | vars(base).get("__annotations__", {}).keys()
    return frozenset(found - _MACHINERY)


def matches(protocol: type, candidate: type) -> bool:
    """Has ``candidate`` every member of ``protocol``, its methods callable with as many arguments?

    Attributes count when the class annotates or defines them; one that only a constructor assigns is not seen.  A protocol without
    members matches nothing by shape.
    """
    members = members_of(protocol)
    return bool(members) and all(_has(candidate, name, inspect.getattr_static(protocol, name, None)) for name in members)


def _has(candidate: type, name: str, wanted: object) -> bool:
    try:
        found = inspect.getattr_static(candidate, name)
    except AttributeError:
        return any(name in vars(base).get("__annotations__", {}) for base in candidate.__mro__) and not inspect.isfunction(wanted)
    if not inspect.isfunction(wanted):
        return True
    if isinstance(found, staticmethod):
        return _accepts(found.__func__, wanted, own=0)
    if isinstance(found, classmethod):
        return _accepts(found.__func__, wanted, own=1)
    return callable(found) and _accepts(found, wanted, own=1)


def _accepts(found: Callable[..., Any], wanted: Callable[..., Any], own: int) -> bool:
    """Can ``found`` be called the way ``wanted`` is?  ``own``: how many leading parameters (self, cls) the caller does not pass."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # built-in methods do not tell; their name has to do
        return True
    parameters = list(inspect.signature(wanted).parameters.values())[1:]
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    try:
        signature.bind(*[None] * (own + len(places)), **names)
    except TypeError:
        return False
    return True
