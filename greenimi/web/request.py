"""The body of a request as a value."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from greenimi.codec.payload import Json, MsgPack
from greenimi.errors import BadMessage, Refusal
from greenimi.message import Request
from greenimi.web.forms import add_value, read_form

_FORM_FIELDS = 1000
_JSON = Json()
_MSGPACK = MsgPack()


def payload_of(request: Request) -> Any:
    """The decoded body, by its content type: JSON, MessagePack, a form, text, or bytes.  Decoded once; blocks until the body arrived.

    A form is a dict: a text for each name, of a multipart form also an UploadedFile, and a list for a name that comes several times.
    Raises BadMessage (400) when it cannot be decoded, TooLarge (413) when it is over a limit, 415 for multipart content that is no form
    and for a content coding (which is gone where the server takes gzip, see ``compression.requests``).
    """
    if request.data is None:
        coding = request.headers.get("content-encoding")
        if coding is not None and coding.lower() != "identity":
            raise Refusal(f"the body is in the content coding {coding[:40]}", status=415, headers=[("Accept-Encoding", "identity")])
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("multipart/"):
            request.form = True
            request.data = read_form(request)
        else:
            request.data = _decode(request, kind, request.body())
    return request.data


def _fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        add_value(fields, name, value)
    return fields


def _decode(request: Request, kind: str, raw: bytes) -> Any:
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
    return raw
