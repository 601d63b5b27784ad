"""Rules for keys, ``"basket:{shop}-{user}"``: the key of a record is made of its values."""

from __future__ import annotations

import datetime as dt
import enum
import re
import uuid
from string import Formatter
from typing import Any

_MARKS = re.compile(r"[^\w%]", re.ASCII)


class KeyRule:
    """A text with names of fields in braces.  Different values give different keys, whatever is in them.

    Between two fields must be a punctuation mark; in texts of such rules it is written as ``%`` and its number, as in URLs.
    """

    def __init__(self, rule: str) -> None:
        """Raises ValueError for a rule that does not tell values apart."""
        self.rule = rule
        self.fields: list[str] = []
        self._parts: list[tuple[str, str | None]] = []
        marks = set()
        for text, name, form, conversion in Formatter().parse(rule):
            if name is not None and (not name.isidentifier() or form or conversion):
                raise ValueError(f"{rule!r}: {{{name}}} is no name of a field")
            if self.fields and name is not None:
                between = set(_MARKS.findall(text))
                if not between:
                    raise ValueError(f"{rule!r}: between {self.fields[-1]} and {name} must be a punctuation mark other than %")
                marks |= between
            self._parts.append((text, name))
            if name is not None:
                self.fields.append(name)
        self._marks = re.compile(f"[{re.escape(''.join(sorted(marks)))}%]") if marks else None

    def key(self, values: dict[str, Any]) -> str:
        """The key of these values.  Raises TypeError or ValueError for values that no key is made of."""
        return "".join(text if name is None else text + self._text(name, values[name]) for text, name in self._parts)

    def _text(self, name: str, value: Any) -> str:
        found = _plain(value)
        if found is None:
            raise TypeError(f"{self.rule!r}: keys are made of texts, numbers, dates and UUIDs; {name} is {value!r}")
        return found if self._marks is None else self._marks.sub(lambda mark: "".join(f"%{byte:02X}" for byte in mark[0].encode()), found)


def _plain(value: Any) -> str | None:
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool | float):
        return None
    if isinstance(value, int | uuid.UUID):
        return str(value)
    return value.isoformat() if isinstance(value, dt.date) else None
