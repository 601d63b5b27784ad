"""How a record looks: a line for people, or a JSON object for machines.  Neither lets a client forge a second record."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from greenimi.log.records import extras

LONGEST = 64 << 10
"""Bytes of one record, its traceback included."""

_CUT = b" ...[cut]"
_UNSAFE = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_ESCAPES = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _UNSAFE} | {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}
_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in _UNSAFE if code >= 0x7F}
_INDENT = "    "


def encoded(line: str) -> bytes:
    """The bytes of a record, its line end included, at most ``LONGEST`` of them."""
    data = line.encode("utf-8", "backslashreplace")
    if len(data) >= LONGEST:
        data = data[: LONGEST - len(_CUT) - 1].decode("utf-8", "ignore").encode() + _CUT
    return data + b"\n"


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(record: logging.LogRecord) -> str:
    """The message; a record whose arguments do not fit is told all the same."""
    try:
        return record.getMessage()
    except Exception as error:
        return f"{record.msg!s} (its arguments do not fit: {type(error).__name__})"


def _traceback(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(_PLAIN.formatException(record.exc_info))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


_PLAIN = logging.Formatter()


def safe(text: str) -> str:
    """``text`` with control characters, line ends among them, written as escapes."""
    return text.translate(_ESCAPES)


class ConsoleFormatter(logging.Formatter):
    """``2026-03-01T12:00:00.000Z INFO    shop.orders [c17 m3] text key=value``, a traceback indented below."""

    def format(self, record: logging.LogRecord) -> str:
        ids = [getattr(record, "connection_id", ""), getattr(record, "message_id", "")]
        who = f"[{' '.join(one for one in ids if one)}] " if any(ids) else ""
        more = "".join(f" {key}={_shown(value)}" for key, value in extras(record).items())
        line = safe(f"{record.name} {who}{_text(record)[:LONGEST]}{more[:LONGEST]}")
        below = "".join(f"\n{_INDENT}{safe(part)}" for part in _traceback(record).split("\n") if part)
        return f"{_moment(record)} {record.levelname:<7} {line}{below}"


class JsonFormatter(logging.Formatter):
    """One JSON object: ``time level channel text``, then ``connection message extra error`` where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "channel": record.name,
            "text": _text(record),
            "connection": getattr(record, "connection_id", ""),
            "message": getattr(record, "message_id", ""),
            "extra": extras(record),
            "error": _traceback(record),
        }
        found = {key: value for key, value in fields.items() if value or key == "text"}
        line = _as_json(found)
        if len(line) < LONGEST // 6 or len(line.encode("utf-8", "backslashreplace")) < LONGEST:
            return line
        # A character takes up to six bytes: what is left here fits in any case, and stays an object.
        short = {key: value[: 4000 if key in ("text", "error") else 400] for key, value in found.items() if isinstance(value, str)}
        return _as_json({**short, "cut": True})


def _as_json(fields: dict[str, Any]) -> str:
    try:
        line = json.dumps(fields, ensure_ascii=False, allow_nan=False, default=_shown)
    except (TypeError, ValueError, RecursionError):  # keys that are no text, NaN, a table in itself
        fields = {**fields, "extra": {key: _shown(value) for key, value in fields.get("extra", {}).items()}}
        line = json.dumps(fields, ensure_ascii=False)
    return line.translate(_JSON_ESCAPES)


def _shown(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"


FORMATTERS: dict[str, type[logging.Formatter]] = {"console": ConsoleFormatter, "json": JsonFormatter}
