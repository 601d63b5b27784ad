"""The body of a request as a value."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from greenimi.codec.payload import Json, MsgPack
from greenimi.errors import BadMessage, Refusal
from greenimi.message import Request

_FORM_FIELDS = 1000
_JSON = Json()
_MSGPACK = MsgPack()


def payload_of(request: Request) -> Any:
    """The decoded body, by its content type: JSON, MessagePack, a form, text, or bytes.  Decoded once; blocks until the body arrived.

    Raises BadMessage (400) when it cannot be decoded, 415 for a form encoding that is not supported.
    """
    if request.data is None:
        request.data = _decode(request, request.body())
    return request.data


def _fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """A form: a text for each name, a list of them for a name that comes several times."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        known = fields.get(name)
        if known is None:
            fields[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            fields[name] = [known, value]
    return fields


def _decode(request: Request, raw: bytes) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json" or kind.endswith("+json"):
            return _JSON.decode(raw)
        if kind in ("application/msgpack", "application/vnd.msgpack", "application/x-msgpack"):
            return _MSGPACK.decode(raw)
        if kind == "application/x-www-form-urlencoded":
            request.form = True
            return _fields(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS, errors="strict"))
        if kind.startswith("text/"):
            return raw.decode()
    except ValueError as error:
        raise BadMessage(f"the body is not valid {kind}: {error}") from None
    if kind.startswith("multipart/"):
        raise Refusal("multipart bodies are not supported here", status=415)
    return raw
