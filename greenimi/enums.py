"""An :class:`Enum` whose members carry a label for people and data for the program."""

from __future__ import annotations

import enum
from typing import Any, Self


class Enum(enum.Enum):
    """A member is its value, or ``(value, label)``, or ``(value, label, data)``; the label defaults to the member's name.

    ::

        class Colour(Enum):
            RED = 1, "Red", {"hex": "#f00"}
            GREEN = 2, "Green"

        Colour(1).label == "Red"
    """

    label: str
    data: Any

    def __new__(cls, value: Any, label: str = "", data: Any = None) -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.label = label
        member.data = data
        return member

    def __init__(self, *args: Any) -> None:
        self.label = self.label or self.name

    @classmethod
    def by_name(cls, name: str) -> Self:
        """The member called ``name``.  Raises ValueError naming those there are."""
        found = cls.__members__.get(name)
        if found is None:
            raise ValueError(f"{name!r} is no name of {cls.__name__}: {', '.join(cls.__members__)}")
        return found

    @classmethod
    def by_label(cls, label: str) -> Self:
        """The first member labelled ``label``.  Raises ValueError naming the labels there are."""
        for member in cls:
            if member.label == label:
                return member
        raise ValueError(f"{label!r} is no label of {cls.__name__}: {', '.join(member.label for member in cls)}")

    @classmethod
    def names(cls) -> list[str]:
        return [member.name for member in cls]

    @classmethod
    def values(cls) -> list[Any]:
        return [member.value for member in cls]

    @classmethod
    def validate(cls, value: object) -> bool:
        """Is there a member of this value?"""
        return any(_same(member.value, value) for member in cls)

    @classmethod
    def check(cls, value: object) -> Self:
        """The member of this value.  Raises ValueError naming the values there are."""
        for member in cls:
            if _same(member.value, value):
                return member
        raise ValueError(f"{value!r} is no value of {cls.__name__}: {', '.join(repr(member.value) for member in cls)}")


def _same(own: object, given: object) -> bool:
    """Equal and of one type: ``True`` is not 1."""
    return type(own) is type(given) and own == given
