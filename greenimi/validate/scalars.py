"""Single values: what counts as a str, an int, a date, and what text may be turned into one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any
from uuid import UUID

from greenimi.validate.problems import misfit

Binder = Callable[[Any, str, bool], Any]
"""``(value, path, text) -> bound value``; raises BindError."""

TRUE = {"true", "1", "yes", "on"}
FALSE = {"false", "0", "no", "off"}


class Text(str):
    """Text of a source that knows only text (an environment variable, ``.env``, the command line): ``bind`` may convert it."""

    __slots__ = ()


def is_text(value: Any, text: bool) -> bool:
    """May ``value`` be converted from text?"""
    return isinstance(value, str) and (text or isinstance(value, Text))


def anything(value: Any, path: str, text: bool) -> Any:
    return value


def _none(value: Any, path: str, text: bool) -> None:
    if value is not None and not (isinstance(value, Text) and value == "null"):
        raise misfit(path, None, value)


def _str(value: Any, path: str, text: bool) -> str:
    if not isinstance(value, str):
        raise misfit(path, str, value)
    return str(value) if type(value) is Text else value


def _int(value: Any, path: str, text: bool) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if is_text(value, text) and value.isascii() and value.lstrip("+-").isdigit():
        try:
            return int(value)
        except ValueError:  # two signs, or more digits than Python converts
            pass
    raise misfit(path, int, value)


def _float(value: Any, path: str, text: bool) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if is_text(value, text) and "_" not in value and isfinite(number := float(value)):
            return number
    except (ValueError, OverflowError):
        pass
    raise misfit(path, float, value)


def _bool(value: Any, path: str, text: bool) -> bool:
    if isinstance(value, bool):
        return value
    if is_text(value, text):
        if value.lower() in TRUE:
            return True
        if value.lower() in FALSE:
            return False
    raise misfit(path, bool, value)


def _decimal(value: Any, path: str, text: bool) -> Decimal:
    """From a number or its text in every mode: JSON and TOML have no decimals of their own."""
    if isinstance(value, int | float | str | Decimal) and not isinstance(value, bool):
        try:
            number = value if isinstance(value, Decimal) else Decimal(str(value))
        except (InvalidOperation, ValueError):
            raise misfit(path, Decimal, value) from None
        if number.is_finite():
            return number
    raise misfit(path, Decimal, value)


def _datetime(value: Any, path: str, text: bool) -> datetime:
    """ISO 8601 text in every mode: JSON has no dates."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    raise misfit(path, datetime, value)


def _date(value: Any, path: str, text: bool) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise misfit(path, date, value)


def _uuid(value: Any, path: str, text: bool) -> UUID:
    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise misfit(path, UUID, value)


SCALARS: dict[Any, Binder] = {
    type(None): _none,
    str: _str,
    int: _int,
    float: _float,
    bool: _bool,
    Decimal: _decimal,
    datetime: _datetime,
    date: _date,
    UUID: _uuid,
}
