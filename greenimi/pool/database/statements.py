"""The text of statements: placeholders as people write them, turned into those of the driver; and what may be told of the values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from greenimi.errors import GreenimiError

Binds = Sequence[Any] | Mapping[str, Any]

_LONGEST_KEPT = 8192
_MOST_SHOWN = 50
_LONGEST_SHOWN = 2000

_QUOTED = {
    True: r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`[^`]*`|--(?:(?=\s)[^\n]*|$)|\#[^\n]*|/\*.*?\*/""",
    False: r"""[eE]'(?:[^'\\]|\\.)*'|'[^']*'|"[^"]*"|`[^`]*`|--[^\n]*|/\*.*?\*/|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$""",
}
"""Literals, quoted names and comments: of MySQL, which has backslashes in all literals; of the others."""

_PLACE = r"(?P<place>%s|\?|(?<![:\w]):(?P<name>[A-Za-z_]\w*))|(?P<percent>%%?)"
_TOKENS = {mysql: re.compile(f"(?P<quoted>{quoted})|{_PLACE}", re.DOTALL) for mysql, quoted in _QUOTED.items()}


class StatementError(GreenimiError, ValueError):
    """A statement and what is bound to it do not fit together.  The text names no value."""


class Parsed(NamedTuple):
    """A statement in the driver's style, whose values are given in order."""

    text: str
    names: tuple[str, ...] | None
    """Of ``:name`` placeholders the name of each; None where they go by order."""
    places: int


def prepare(sql: str, binds: Binds | None, param: str, *, mysql: bool) -> tuple[str, Sequence[Any] | None]:
    """The statement and its values for a driver whose placeholders are ``param``, ``"%s"`` or ``"?"``; the values None when there are none.

    Placeholders are ``?``, ``%s`` or ``:name``, one kind in a statement; in literals, quoted names and comments there are none.  Without
    binds the text is left as it is.  Raises StatementError when values and placeholders do not fit together.
    """
    if not binds:
        return sql, None
    if isinstance(binds, str | bytes):
        raise StatementError("binds are a list, a tuple or a mapping, and not text", hint="a single value is [value]")
    parsed = _parse(sql, param, mysql) if len(sql) <= _LONGEST_KEPT else _parse.__wrapped__(sql, param, mysql)
    if isinstance(binds, Mapping):
        if parsed.names is None:
            raise StatementError("binds with names are for placeholders with names, such as :id", hint="or give a list of values")
        try:
            return parsed.text, [binds[name] for name in parsed.names]
        except KeyError as error:
            raise StatementError(f"there is no value for :{error.args[0]}") from None
    if parsed.names is not None:
        raise StatementError(f"a mapping is wanted: the statement has placeholders with names, such as :{parsed.names[0]}")
    try:
        count = len(binds)
    except TypeError:
        kind = type(binds).__name__
        raise StatementError(
            f"binds are a list, a tuple or a mapping, and not of the type {kind}", hint="a single value is [value]"
        ) from None
    if count != parsed.places:
        raise StatementError(f"{count} values for {parsed.places} placeholders")
    return parsed.text, binds


@lru_cache(maxsize=1024)
def _parse(sql: str, param: str, mysql: bool) -> Parsed:
    names: list[str] = []
    found: list[str] = []
    pieces: list[str] = []
    tokens = _TOKENS[mysql]
    formatted = any(match["place"] == "%s" for match in tokens.finditer(sql))
    end = 0
    for match in tokens.finditer(sql):
        pieces.append(_literal(sql[end : match.start()], param, formatted))
        end = match.end()
        if match["place"]:
            found.append(match["place"])
            names.append(match["name"] or "")
            pieces.append(param)
        else:
            pieces.append(_literal(match[0], param, formatted))
    pieces.append(_literal(sql[end:], param, formatted))
    kinds = {place[0] for place in found}
    if len(kinds) > 1:
        raise StatementError(f"the statement mixes placeholders: {', '.join(sorted(set(found)))}", hint="use one kind of ?, %s and :name")
    return Parsed("".join(pieces), tuple(names) if ":" in kinds else None, len(found))


def _literal(text: str, param: str, formatted: bool) -> str:
    """Text that holds no placeholder, as the driver wants it: where it formats, percent signs are doubled.

    ``formatted``: the statement has ``%s``, so that ``%%`` stands for one percent sign, as everywhere with such placeholders.
    """
    if "%" not in text:
        return text
    if formatted:
        text = text.replace("%%", "%")
    return text.replace("%", "%%") if param == "%s" else text


def masked(params: Any) -> tuple[str, ...]:
    """What may be told of the values of a statement: their kinds and lengths."""
    if not params:
        return ()
    values = list(params.values()) if isinstance(params, Mapping) else list(params)
    return tuple(_kind(value) for value in values[:_MOST_SHOWN])


def _kind(value: Any) -> str:
    if value is None:
        return "NULL"
    name = type(value).__name__
    return f"{name}({len(value)})" if isinstance(value, str | bytes | bytearray | list | tuple) else name


def shortened(sql: str) -> str:
    """The text for a line of a log."""
    return " ".join(sql.split()) if len(sql) <= _LONGEST_SHOWN else " ".join(sql[:_LONGEST_SHOWN].split()) + " ..."
