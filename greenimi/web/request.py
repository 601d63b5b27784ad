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
_MSGPACK_KINDS = ("application/msgpack", "application/vnd.msgpack", "application/x-msgpack")


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
        kind = _kind(request)
        if kind.startswith("multipart/"):
            request.form = True
            request.data = read_form(request)
        else:
            request.data = _decode(request, kind, request.body())
    return request.data


def ensure_decoded(request: Request) -> None:
    """Raise a Refusal (415) where :func:`payload_of` gives text or bytes as they came, since the content type says nothing more."""
    kind = _kind(request)
    if not (request.form or _is_json(kind) or kind in _MSGPACK_KINDS):
        said = f"of the type {kind[:80]}" if kind else "of no type"
        raise Refusal(f"the body is {said}; what is wanted here is application/json", status=415, headers=[("Accept", "application/json")])


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _fields(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        add_value(fields, name, value)
    return fields


def _decode(request: Request, kind: str, raw: bytes) -> Any:
    try:
        if _is_json(kind):
            return _JSON.decode(raw)
        if kind in _MSGPACK_KINDS:
            return _MSGPACK.decode(raw)
        if kind == "application/x-www-form-urlencoded":
            request.form = True
            return _fields(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=_FORM_FIELDS, errors="strict"))
        if kind.startswith("text/"):
            return raw.decode()
    except ValueError as error:
        raise BadMessage(f"the body is not valid {kind}: {error}") from None
    return raw
