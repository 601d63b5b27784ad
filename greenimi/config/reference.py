"""The text of ``conf/reference.toml``: every key with its default and its sentence, from the settings dataclasses themselves."""

from __future__ import annotations

import json
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, get_args, get_origin

from greenimi.config.settings import DOC
from greenimi.validate import describe

_HEAD = "# Every key of the configuration, its default and what it means.  Generated: to read, never loaded.\n"


def reference(settings: Mapping[str, Any]) -> str:
    """TOML text for ``settings``: the path of each table and the type it is bound to.

    A key with a default stands as it would be written; one that is required or unset stands as a comment with its type.  A table
    of many named alike is shown once, as ``NAME``.
    """
    lines = [_HEAD]
    for path in sorted(settings):
        _table(path, settings[path], "", lines, "[{}]", ())
    return "\n".join(lines)


def _table(path: str, kind: Any, doc: str, lines: list[str], form: str, around: tuple[Any, ...]) -> None:
    """One table with its keys, then the tables in it.  ``around`` are the dataclasses this one stands in: one in itself ends there."""
    inner = _many(kind)
    if inner is not None:
        _table(f"{path}.NAME", inner, doc, lines, "[{}]", around)
        return
    if not is_dataclass(kind) or kind in around:
        return
    text = doc or _sentence(kind)
    lines += [f"# {text}"] if text else []
    lines.append(form.format(path))
    hints = typing.get_type_hints(kind, include_extras=True)
    tables = []
    for one in fields(kind):
        if not one.init:
            continue
        found = _inner_table(hints[one.name])
        if found is not None:
            tables.append((one, found))
        else:
            lines += _key(one, hints[one.name])
    lines.append("")
    for one, (inner_kind, inner_form) in tables:
        _table(f"{path}.{one.name}", inner_kind, one.metadata.get(DOC, ""), lines, inner_form, (*around, kind))


def _sentence(kind: Any) -> str:
    """The first line of the class's own docstring; dataclasses make one up where there is none."""
    text = (kind.__doc__ or "").strip().split("\n")[0]
    return "" if text.startswith(f"{kind.__name__}(") else text


def _key(one: Field[Any], hint: Any) -> list[str]:
    doc = one.metadata.get(DOC, "")
    default = one.default_factory() if one.default_factory is not MISSING else one.default
    if default is MISSING:
        line = f"# {one.name} = ({describe(hint)}, required)"
    elif default is None:
        line = f"# {one.name} = ({describe(hint)}, unset)"
    else:
        line = f"{one.name} = {written(default)}"
    return [*([f"# {doc}"] if doc else []), line]


def _inner_table(kind: Any) -> tuple[Any, str] | None:
    """What stands in a table of its own, and how its header is written."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _inner_table(args[0])
    if is_dataclass(kind) or _many(kind) is not None:
        return kind, "[{}]"
    if origin in (list, tuple, Sequence) and args and is_dataclass(args[0]):
        return args[0], "[[{}]]"
    found = [arg for arg in args if is_dataclass(arg)] if origin not in (dict, Mapping) else []
    return (found[0], "[{}]") if found else None


def _many(kind: Any) -> Any:
    """The dataclass of a ``dict[str, dataclass]``, else None."""
    args = get_args(kind)
    return args[1] if get_origin(kind) in (dict, Mapping) and len(args) == 2 and is_dataclass(args[1]) else None


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, Enum):
        return written(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list | tuple | set | frozenset):
        return f"[{', '.join(written(one) for one in value)}]"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{json.dumps(str(key))} = {written(one)}' for key, one in value.items())} }}" if value else "{}"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
