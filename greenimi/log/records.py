"""What every record gets before it is formatted: who it belongs to, and no secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from greenimi.container import context

MASK = "***"
_SECRET_KEY = re.compile(r"passw|secret|token|authorization", re.IGNORECASE)
_DEEPEST = 6

_STANDARD = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "connection_id", "message_id", "prepared"}


def prepare(record: logging.LogRecord) -> bool:
    """A filter that lets everything pass: stamps ``connection_id`` and ``message_id`` and masks secrets in ``extra`` and in arguments.

    It changes the record itself, once, so that handlers of every origin see the same.
    """
    if "prepared" in record.__dict__:
        return True
    record.prepared = True
    record.connection_id, record.message_id = _ids()
    if not isinstance(record.msg, str):
        record.msg = mask(record.msg)
    if record.args:
        record.args = mask(record.args)
    for key, value in extras(record).items():
        record.__dict__[key] = MASK if _SECRET_KEY.search(key) else mask(value)
    return True


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as ``extra``."""
    found = record.__dict__
    return {key: found[key] for key in found if key not in _STANDARD}


def mask(value: Any, depth: int = 0) -> Any:
    """``value`` with ``***`` for what stands under the key of a secret; tables and lists are copied, no deeper than six levels."""
    if isinstance(value, str):
        # a str that has a masked form, as the secrets of the configuration do
        return value if type(value) is str else getattr(value, "masked", value)
    if isinstance(value, Mapping):
        if depth > _DEEPEST:
            return MASK
        return {key: MASK if isinstance(key, str) and _SECRET_KEY.search(key) else mask(one, depth + 1) for key, one in value.items()}
    if type(value) in (list, tuple):
        return MASK if depth > _DEEPEST else type(value)(mask(one, depth + 1) for one in value)
    return value


def _ids() -> tuple[str, str]:
    """The connection's id and that of the message, which the client gave it, or a server its request; ``""`` for none."""
    scope = context.current.get(None)
    if scope is None:
        return "", ""
    connection = getattr(scope.connection, "id", "")
    message = getattr(scope.message, "id", "")  # a request's, where its server gives it one
    if not message:
        data = getattr(scope.message, "data", None)
        message = data.get("id", "") if isinstance(data, dict) else ""
    return str(connection), str(message)[:64] if isinstance(message, str | int) else ""
