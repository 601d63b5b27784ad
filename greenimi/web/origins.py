"""Patterns of origins: which sites' pages are meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from greenimi.errors import ConfigError

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\*\.)?(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")
_LABELS = r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\."


def origin_matcher(origins: Sequence[str]) -> Callable[[str], object]:
    """A function that says whether an origin is one of them: ``https://shop.example``, ``https://*.shop.example`` for every name below it,
    or a regular expression between slashes.  Raises ConfigError for what is none.
    """
    patterns = []
    for origin in origins:
        if len(origin) > 1 and origin.startswith("/") and origin.endswith("/"):
            patterns.append(_compiled(origin[1:-1]))
        elif _ORIGIN.fullmatch(origin):
            patterns.append(re.escape(origin).replace(r"\*\.", _LABELS))
        else:
            hint = "write https://shop.example, https://*.shop.example or a regular expression between slashes"
            raise ConfigError(f"{origin!r} is no origin", hint=hint)
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)").fullmatch


def _compiled(pattern: str) -> str:
    try:
        return re.compile(pattern).pattern
    except re.error as error:
        raise ConfigError(f"the regular expression {pattern!r}: {error}") from None
