"""Rules that a value keeps or breaks: within ``Annotated`` on fields and parameters, or by dotted names in a :class:`Validator`.

::

    from greenimi.validate import rules

    @dataclass
    class Order:
        sku: Annotated[str, rules.Text(min=1, max=20)]
        price: Annotated[Decimal, rules.Number(min=0, accuracy=2)]

Every rule takes, by keyword:

``optional``  in a Validator: the field may be absent
``default``   in a Validator: takes the place of a value that is absent or breaks the rule
``inverse``   the value has to break the rule
``message``   the text for people.  ``{name}`` is the field, ``{min}`` an attribute of the rule, ``{:value}`` the value, ``{:data.x.y}``
              another value of the data
``code``      the kind of mistake for programs; the rule's name in lower case where it is not given
``error``     makes the exception to raise instead of Invalid: ``error=SoldOut``, called with the text

An attribute may be :class:`ValueOf`: the value of another field, looked up when the rule is asked.
"""

from __future__ import annotations

import decimal
import enum
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar

from greenimi.validate.dotted import ABSENT, dig
from greenimi.validate.problems import Problem

_VARIABLE = re.compile(r"\{(:?)([A-Za-z_][\w.]*)\}")
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_LONGEST_NUMBER = 400  # characters: more are no number anybody means, and slow to read
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ValueOf:
    """The value at a dotted name of the data that is checked: ``Compare(">", ValueOf("begin"))``.  The empty name is all of the data.

    Within a record (a dataclass, a Struct, the arguments of a function) it is a name of that record.  Where there is no such value the rule
    is not asked: that is for the rules of the missing one to say.
    """

    name: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Rule:
    """Base of the rules.  A rule of your own: subclass it, give it ``says`` and ``holds``."""

    says: ClassVar[str] = "must be valid"

    optional: bool = False
    default: Any = ABSENT
    inverse: bool = False
    message: str = ""
    code: str = ""
    error: Callable[[str], Exception] | None = None

    def holds(self, value: Any, data: Any) -> bool:
        """Does ``value``, a part of ``data``, keep the rule?  A value of another type does not; nothing is raised for it."""
        raise NotImplementedError

    def sentence(self) -> str:
        """The text where no ``message`` is given; begins with "must", so that ``inverse`` can turn it round."""
        return self.says

    def problem(self, path: str, value: Any, data: Any) -> Problem | None:
        """What is wrong with the value at ``path``; None when nothing is."""
        rule = self._with_values(data) if self._looks_up else self
        if rule is None:
            return None
        if rule.holds(value, data) is not rule.inverse:
            return None
        return rule.complaint(path, value, data)

    def complaint(self, path: str, value: Any, data: Any, text: str = "", code: str = "") -> Problem:
        """The problem to tell; ``text`` and ``code`` where the rule's own do not say it."""
        says = self.sentence()
        says = says.replace("must", "must not", 1) if self.inverse else says
        told = _VARIABLE.sub(lambda found: self._variable(found, path, value, data), self.message or text or says)
        return Problem(path, told, code=self.code or code or type(self).__name__.lower(), error=self.error)

    def _variable(self, found: re.Match[str], path: str, value: Any, data: Any) -> str:
        of_data, name = found.groups()
        if not of_data:
            return path if name == "name" else _shown(getattr(self, name, found[0]))
        if name == "value":
            return _shown(value)
        head, _, rest = name.partition(".")
        return _shown(dig(data, rest)) if head == "data" else found[0]

    @cached_property
    def _looks_up(self) -> bool:
        return any(
            isinstance(each, ValueOf) for value in self._attributes().values() for each in (value if type(value) is tuple else (value,))
        )

    def _attributes(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def _with_values(self, data: Any) -> Rule | None:
        """This rule with the values that it looks up; None when one of them is not there, so that nothing can be said."""
        found = {name: _looked_up(value, data) for name, value in self._attributes().items()}
        missing = any(value is ABSENT or (type(value) is tuple and ABSENT in value) for name, value in found.items() if name != "default")
        return None if missing else replace(self, **found)


def _looked_up(value: Any, data: Any) -> Any:
    if type(value) is tuple:
        return tuple(_looked_up(each, data) for each in value)
    return dig(data, value.name) if isinstance(value, ValueOf) else value


def _shown(value: Any) -> str:
    if value is ABSENT:
        return ""
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(_shown(each) for each in list(value)[:20])[:_SHOWN]
    return str(value.value if isinstance(value, enum.Enum) else value)[:_SHOWN]


@dataclass(frozen=True, eq=False)
class Required(Rule):
    """The field is there, and not None."""

    says: ClassVar[str] = "must be given"

    def holds(self, value: Any, data: Any) -> bool:
        return value is not ABSENT and value is not None


@dataclass(frozen=True, eq=False)
class Text(Rule):
    """A str of ``min`` to ``max`` characters; with ``char=False`` so many bytes of UTF-8."""

    min: Any = 0
    max: Any = None
    char: bool = True

    def holds(self, value: Any, data: Any) -> bool:
        if not isinstance(value, str):
            return False
        return _within(len(value) if self.char else len(value.encode("utf-8", "surrogatepass")), self.min, self.max)

    def sentence(self) -> str:
        unit = "characters" if self.char else "bytes"
        return f"must be text of {_range(self.min, self.max)} {unit}" if self.max is not None or self.min else "must be text"


@dataclass(frozen=True, eq=False)
class Integer(Rule):
    """A whole number from ``min`` to ``max``: an int, or its text as Python would write it (``"7"``, but not ``"07"`` or ``"+7"``)."""

    min: Any = None
    max: Any = None

    def holds(self, value: Any, data: Any) -> bool:
        number = _number(value)
        return (
            number is not None and not isinstance(value, float | decimal.Decimal) and _whole(value) and _within(number, self.min, self.max)
        )

    def sentence(self) -> str:
        return f"must be a whole number{_of_range(self.min, self.max)}"


@dataclass(frozen=True, eq=False)
class Number(Rule):
    """A number from ``min`` to ``max`` with at most ``accuracy`` digits after the point: int, float, Decimal, or their text."""

    min: Any = None
    max: Any = None
    accuracy: Any = None

    def holds(self, value: Any, data: Any) -> bool:
        number = _number(value)
        if number is None or not _within(number, self.min, self.max):
            return False
        return self.accuracy is None or _decimals(number) <= self.accuracy

    def sentence(self) -> str:
        digits = "" if self.accuracy is None else f" with at most {self.accuracy} digits after the point"
        return f"must be a number{_of_range(self.min, self.max)}{digits}"


@dataclass(frozen=True, eq=False)
class Decimal(Number):
    """A number that has a fraction, be it zero: ``1.0`` or ``"1.50"``, but not ``1`` or ``"1"``."""

    def holds(self, value: Any, data: Any) -> bool:
        number = _number(value)
        return number is not None and (isinstance(value, float) or _decimals(number) > 0) and super().holds(value, data)

    def sentence(self) -> str:
        return super().sentence().replace("a number", "a number with a fraction", 1)


@dataclass(frozen=True, eq=False)
class InList(Rule):
    """One of ``values``."""

    says: ClassVar[str] = "must be one of {values}"

    values: Any

    def holds(self, value: Any, data: Any) -> bool:
        return isinstance(self.values, Iterable) and any(_same(value, each) for each in self.values)


@dataclass(frozen=True, eq=False)
class InEnum(Rule):
    """A member of ``enum``, or the value of one."""

    enum: type[enum.Enum]

    def holds(self, value: Any, data: Any) -> bool:
        return isinstance(value, self.enum) or any(type(value) is type(each.value) and value == each.value for each in self.enum)

    def sentence(self) -> str:
        return f"must be one of {_shown([each.value for each in self.enum])}"


_OPERATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    "===": lambda one, other: type(one) is type(other) and one == other,
    "!==": lambda one, other: type(one) is not type(other) or one != other,
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


@dataclass(frozen=True, eq=False)
class Compare(Rule):
    """``value OPERATION other`` is true: one of ``== != === !== < <= > >=``, where ``===`` means equal and of one type."""

    says: ClassVar[str] = "must be {operation} {other}"

    operation: str
    other: Any

    def __post_init__(self) -> None:
        if self.operation not in _OPERATIONS:
            raise ValueError(f"{self.operation!r} is no comparison: {' '.join(_OPERATIONS)}")

    def holds(self, value: Any, data: Any) -> bool:
        try:
            return bool(_OPERATIONS[self.operation](value, self.other))
        except (TypeError, decimal.InvalidOperation):  # 1 < "a", and comparisons with a Decimal that is no number
            return False


@dataclass(frozen=True, eq=False)
class Regex(Rule):
    """A str that ``pattern`` matches from its beginning to its end."""

    says: ClassVar[str] = "must look like {pattern}"

    pattern: str
    flags: int = 0

    def __post_init__(self) -> None:
        _ = self._compiled  # a bad pattern is found where it is written

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, self.flags)

    def holds(self, value: Any, data: Any) -> bool:
        return isinstance(value, str) and self._compiled.fullmatch(value) is not None


@dataclass(frozen=True, eq=False)
class Condition(Rule):
    """``function(value, *args)`` says so; ``args`` may have :class:`ValueOf` among them."""

    function: Callable[..., object]
    args: tuple[Any, ...] = ()

    def holds(self, value: Any, data: Any) -> bool:
        return bool(self.function(value, *self.args))


# -- what values are ----------------------------------------------------------------------------------------------------


def _same(one: Any, other: Any) -> bool:
    """Equal, and ``True`` is not 1."""
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _number(value: Any) -> decimal.Decimal | None:
    """None for what is no finite number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return decimal.Decimal(value) if len(value) <= _LONGEST_NUMBER and _NUMBER.fullmatch(value) else None
    if isinstance(value, int):
        return decimal.Decimal(value)
    if isinstance(value, float):
        return decimal.Decimal(repr(value)) if math.isfinite(value) else None
    return value if isinstance(value, decimal.Decimal) and value.is_finite() else None


def _whole(value: Any) -> bool:
    return isinstance(value, int) or bool(_INTEGER.fullmatch(value))


def _decimals(number: decimal.Decimal) -> int:
    """Digits after the point, as written."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _within(value: Any, least: Any, most: Any) -> bool:
    try:
        return (least is None or value >= _exact(least)) and (most is None or value <= _exact(most))
    except TypeError:  # a bound that was looked up, and is no number
        return False


def _exact(bound: Any) -> Any:
    """A float as people write it: 0.1 is a tenth."""
    return decimal.Decimal(repr(bound)) if isinstance(bound, float) else bound


def _range(least: Any, most: Any) -> str:
    if most is None:
        return f"at least {least}"
    return f"{least} to {most}" if least else f"at most {most}"


def _of_range(least: Any, most: Any) -> str:
    if least is None and most is None:
        return ""
    return f" of at least {least}" if most is None else f" of at most {most}" if least is None else f" from {least} to {most}"


def declared(metadata: Iterable[Any]) -> tuple[Rule, ...]:
    """The rules within an ``Annotated``.  Raises TypeError for one with what only a Validator can do."""
    found = tuple(each for each in metadata if isinstance(each, Rule))
    for rule in found:
        if rule.default is not ABSENT or rule.optional:
            raise TypeError(f"{type(rule).__name__}: optional and default are said by the field's own default")
    return found
