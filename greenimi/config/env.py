"""Typed environment variables."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from greenimi.config.secret import is_secret
from greenimi.errors import ConfigError
from greenimi.validate import BindError, bind

T = TypeVar("T")
_REQUIRED: Any = object()


class Env:
    """Environment variables, those of ``.env`` below those of the process.

    Each getter gives the value, ``None`` when it is the literal ``null``, the default when there is no such variable, and raises
    ConfigError when it is not of the type, or missing without a default.  ``env(name, default)`` picks the getter by the default's type.
    """

    def __init__(self, variables: Mapping[builtins.str, builtins.str]) -> None:
        self._variables = dict(variables)

    def __call__(self, name: builtins.str, default: Any = None) -> Any:
        getter: Callable[..., Any] = self.str
        if isinstance(default, bool):
            getter = self.bool
        elif isinstance(default, int):
            getter = self.int
        elif isinstance(default, float):
            getter = self.float
        elif isinstance(default, list):
            getter = self.list
        elif isinstance(default, dict):
            getter = self.json
        return getter(name, default)

    def get(self, name: builtins.str) -> builtins.str | None:
        """The text as it is, None when there is no such variable."""
        return self._variables.get(name)

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def str(self, name: builtins.str, default: Any = _REQUIRED) -> Any:
        return self._get(name, default, lambda text: text)

    def int(self, name: builtins.str, default: Any = _REQUIRED) -> Any:
        return self._get(name, default, lambda text: bind(int, text, text=True))

    def float(self, name: builtins.str, default: Any = _REQUIRED) -> Any:
        return self._get(name, default, lambda text: bind(float, text, text=True))

    def bool(self, name: builtins.str, default: Any = _REQUIRED) -> Any:
        """``true 1 yes on`` or ``false 0 no off``, in any case."""
        return self._get(name, default, lambda text: bind(bool, text, text=True))

    def json(self, name: builtins.str, default: Any = _REQUIRED) -> Any:
        return self._get(name, default, _json)

    def list(self, name: builtins.str, default: Any = _REQUIRED, *, separator: builtins.str = ",") -> Any:
        """The parts between separators, without blanks around them.  An empty value is an error, not an empty list."""

        def parts(text: builtins.str) -> builtins.list[builtins.str]:
            if not text:
                raise ValueError("expected a list, got nothing")
            return [part.strip() for part in text.split(separator)]

        return self._get(name, default, parts)

    def _get(self, name: builtins.str, default: T, read: Callable[[builtins.str], Any]) -> T | Any:
        text = self._variables.get(name)
        if text is None:
            if default is _REQUIRED:
                raise ConfigError(f"environment: {name} is not set")
            return default
        if text == "null":
            return None
        try:
            return read(text)
        except (BindError, ValueError) as error:
            reason = "the value does not fit" if is_secret(name) else error
            raise ConfigError(f"environment: {name}: {reason}") from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON: {error}") from None
