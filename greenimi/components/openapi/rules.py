"""The rules of ``greenimi.validate`` as keywords of JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from greenimi.validate.rules import Compare, InEnum, InList, Integer, Number, Regex, Rule, Text, ValueOf

_FOREIGN = re.compile(r"\(\?P|\(\?[aiLmsux]|\(\?#|\\[AZ]|\(\?<?[=!]")
"""What patterns of Python have and those of JSON Schema lack, or do not all have."""


def keywords(rule: Rule) -> dict[str, Any]:
    """What a rule means in JSON Schema; nothing for what only a program can check, such as a comparison with another field."""
    make = next((_KEYWORDS[kind] for kind in type(rule).__mro__ if kind in _KEYWORDS), None)
    found = make(rule) if make is not None else {}
    found = {key: value for key, value in found.items() if value is not None and not isinstance(value, ValueOf)}
    return {"not": found} if rule.inverse and found else found


def pattern_of(expression: str) -> str | None:
    """A regular expression for the whole text, as JSON Schema has it; None for one that only Python understands."""
    return None if _FOREIGN.search(expression) else f"^(?:{expression})$"


def _text(rule: Any) -> dict[str, Any]:
    return {"minLength": rule.min or None, "maxLength": rule.max} if rule.char else {}


def _range(rule: Any) -> dict[str, Any]:
    return {"minimum": rule.min, "maximum": rule.max}


def _listed(rule: Any) -> dict[str, Any]:
    values = rule.values
    if not isinstance(values, list | tuple | set | frozenset):
        return {}
    return {"enum": [each.value if isinstance(each, Enum) else each for each in values]}


def _compared(rule: Any) -> dict[str, Any]:
    keyword = _COMPARISONS.get(rule.operation)
    if keyword is None:
        return {"not": {"const": rule.other}} if not isinstance(rule.other, ValueOf) else {}
    return {keyword: rule.other}


_COMPARISONS = {
    "==": "const",
    "===": "const",
    "<": "exclusiveMaximum",
    "<=": "maximum",
    ">": "exclusiveMinimum",
    ">=": "minimum",
}

_KEYWORDS: Mapping[type, Callable[[Any], dict[str, Any]]] = {
    Text: _text,
    Integer: _range,
    Number: _range,
    InList: _listed,
    InEnum: lambda rule: {"enum": [each.value for each in rule.enum]},
    Compare: _compared,
    Regex: lambda rule: {} if rule.flags else {"pattern": pattern_of(rule.pattern)},
}
