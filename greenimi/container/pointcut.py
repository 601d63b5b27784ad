"""Which methods of which classes an advice is for."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from types import FunctionType
from typing import Any

from greenimi.container.scan import marks_on

Matches = Callable[[type, str], bool]


class Pointcut:
    """One entry of an advice's ``where`` or ``deny``.

    a method            ``Shop.place``: this method of Shop and of the classes below it, overridden or not
    ``"shop:Shop.*"``   module, class and method with ``*`` wildcards; the module may be its last part only (``app.shop`` is also ``shop``).
                        A class's pattern holds for the classes below it, too.  Methods such as ``__init__`` must be spelled
                        with their underscores: ``*`` alone does not take them.
    ``"@cacheable"``    every method with a mark of that kind, an inherited one only as ``@inherit`` says

    TypeError for anything else.
    """

    __slots__ = ("matches", "text", "used")

    def __init__(self, what: Any) -> None:
        self.used = False
        """It matched a method of a bean."""
        function = getattr(what, "__func__", what)  # Shop.make, where make is a class method, comes bound
        if isinstance(what, str):
            self.text = repr(what)
            self.matches = _marked(what[1:]) if what.startswith("@") else _pattern(what)
        elif isinstance(function, FunctionType):
            self.text = f"{function.__module__}:{function.__qualname__}"
            self.matches = _method(function)
        else:
            raise TypeError(f"{what!r} is neither a method nor a text")

    def __str__(self) -> str:
        return self.text


def _method(function: FunctionType) -> Matches:
    def matches(cls: type, name: str) -> bool:
        for base in cls.__mro__:
            found = vars(base).get(name)
            if found is not None and (
                getattr(found, "__func__", found) is function
                or (base.__module__, f"{base.__qualname__}.{name}") == (function.__module__, function.__qualname__)
            ):
                return True
        return False

    return matches


def _pattern(text: str) -> Matches:
    module, colon, path = text.partition(":")
    owner, dot, method = path.rpartition(".")
    if not (module and colon and owner and dot and method):
        raise TypeError(f'{text!r} is not of the form "module:Class.method"')

    def matches(cls: type, name: str) -> bool:
        if not fnmatchcase(name, method) or (is_special(name) and not method.startswith("__")):
            return False
        return any(
            fnmatchcase(base.__qualname__, owner)
            and (fnmatchcase(base.__module__, module) or fnmatchcase(base.__module__.rpartition(".")[2], module))
            and any(name in vars(above) for above in base.__mro__)
            for base in cls.__mro__
        )

    return matches


def _marked(kind: str) -> Matches:
    marked: dict[type, frozenset[str]] = {}

    def matches(cls: type, name: str) -> bool:
        base = next(base for base in cls.__mro__ if name in vars(base))
        if base not in marked:
            found = marks_on(base.__name__, base)
            marked[base] = frozenset(each.name for each in found if each.owner is base and each.mark.kind == kind)
        return name in marked[base]

    return matches


def is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def methods_of(cls: type) -> dict[str, Any]:
    """Every method of ``cls`` as it stands in the class that defines it, inherited ones too: functions, static and class methods."""
    found: dict[str, Any] = {}
    for base in cls.__mro__[:-1]:
        for name, value in vars(base).items():
            found.setdefault(name, value)
    return {name: value for name, value in found.items() if isinstance(getattr(value, "__func__", value), FunctionType)}
