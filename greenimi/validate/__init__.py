"""From untyped values to declared types: :func:`bind` for one value, :func:`binder` for many of the same type."""

from __future__ import annotations

from greenimi.validate.bind import bind, binder
from greenimi.validate.problems import BindError, Problem, describe
from greenimi.validate.scalars import Binder, Text

__all__ = ["BindError", "Binder", "Problem", "Text", "bind", "binder", "describe"]
