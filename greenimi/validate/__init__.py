"""From untyped values to declared types, and rules for values.

``bind`` and ``binder`` serve configuration and command lines, ``Converter`` messages.  The rules of ``greenimi.validate.rules`` stand
within ``Annotated``, in a ``Validator``, or are kept by ``@validated``; ``greenimi.validate.helpers`` answer single questions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from greenimi.validate.bind import bind, binder
from greenimi.validate.problems import BindError, Problem, describe
from greenimi.validate.scalars import Binder, Text

if TYPE_CHECKING:
    from greenimi.validate.convert import Converter
    from greenimi.validate.validator import Outcome, Validator
    from greenimi.validate.wrap import check, validated

_LAZY = {
    "Converter": "greenimi.validate.convert",
    "Outcome": "greenimi.validate.validator",
    "Validator": "greenimi.validate.validator",
    "check": "greenimi.validate.wrap",
    "validated": "greenimi.validate.wrap",
}
"""Imported when asked for: whoever reads a configuration alone must not pay for them."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)


__all__ = [
    "BindError",
    "Binder",
    "Converter",
    "Outcome",
    "Problem",
    "Text",
    "Validator",
    "bind",
    "binder",
    "check",
    "describe",
    "validated",
]
