"""Values as JSON, XML, text and MessagePack."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape, quoteattr

import msgspec

_NAME = re.compile(r"(?![xX][mM][lL])[A-Za-z_][A-Za-z0-9_.-]*")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_END = {"\r": "&#13;"}  # else it would be read as another one
_INFINITIES = {"inf": "INF", "-inf": "-INF", "nan": "NaN"}


def json_renderer(*, indent: int = 0, sort: bool = False) -> Callable[[Any], bytes]:
    """``indent``: spaces a level, 0 for one line.  ``sort``: fields by their names."""
    encode = msgspec.json.Encoder(order="sorted" if sort else None).encode
    if not indent:
        return encode
    return lambda value: msgspec.json.format(encode(value), indent=indent)


to_msgpack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode


def to_text(value: Any) -> str:
    """Text as it is, other single values as Python writes them, everything else as JSON in several lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | Decimal | UUID | date | time | timedelta) and not isinstance(value, Enum):
        return str(value)
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def to_xml(value: Any, root: str = "response") -> str:
    """A document, the same for the same value.

    A dataclass or Struct: an element for each field.  A mapping: the same, by name; a name that can be no element's gives
    ``<entry name="...">``.  A list or tuple: an ``<item>`` for each; a set: the same, sorted.  None: an empty element with ``nil="true"``.
    True and False, numbers and dates: as in JSON.  Bytes: base64.  Characters that XML cannot hold become U+FFFD.
    """
    found: list[str] = []
    plain = msgspec.to_builtins(value, str_keys=True, order="deterministic")
    _element(root, plain, found.append)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{"".join(found)}\n'


def _element(name: str, value: Any, add: Callable[[str], object]) -> None:
    tag = name if _NAME.fullmatch(name) else "entry"
    start = tag if tag == name else f"{tag} name={quoteattr(_sayable(name))}"
    if value is None:
        add(f'<{start} nil="true"/>')
        return
    children = _children(value)
    if children is None:
        add(f"<{start}>{escape(_sayable(_text(value)), _LINE_END)}</{tag}>")
        return
    add(f"<{start}>")
    for inner, each in children:
        _element(inner, each, add)
    add(f"</{tag}>")


def _children(value: Any) -> Iterable[tuple[str, Any]] | None:
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple):
        return (("item", each) for each in value)
    return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _INFINITIES.get(repr(value), repr(value))
    return str(value)


def _sayable(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
