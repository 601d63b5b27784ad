"""Where one argument of a handler comes from: a function for each parameter, made once, that takes it out of a message.

A getter raises BindError with what is wrong, each problem naming its field and its source; BadMessage when the body cannot be read.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from greenimi.message import Message, Request
from greenimi.validate.convert import Converter
from greenimi.validate.dotted import ABSENT, dig
from greenimi.validate.problems import BindError, Problem
from greenimi.validate.shapes import Shape, shape_of
from greenimi.web.request import ensure_decoded, payload_of
from greenimi.web.uploads import UploadedFile

Getter = Callable[[Any], Any]
EMPTY = inspect.Parameter.empty
AS_SENT = str | bytes  # a WebSocket message as it came, text or binary
_QUICK = (str, int, float, bool, bytes, dict, list)
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a handler wants, for listings and documentation.

    ``source``      path, query, header, cookie, form, field (of a body or a message), payload (all of it), session, file, framework, or
                    query-or-body: a parameter that said nothing about its source
    ``key``         its name on the wire
    ``annotation``  as declared, ``Annotated`` kept
    ``default``     ``inspect.Parameter.empty`` where there is none
    ``description`` the text within its ``Annotated``: a plain str, or the ``description`` of a ``msgspec.Meta``
    """

    name: str
    source: str
    key: str
    annotation: Any
    required: bool
    default: Any = EMPTY
    description: str = ""

    def missing(self, source: str = "") -> Any:
        """The default.  Raises BindError where there is none."""
        if self.required:
            raise BindError([Problem(self.key, "is missing", code="missing", source=source or self.source)])
        return self.default


def converter(parameter: Parameter, source: str, *, text: bool) -> Getter:
    """Values to the declared type; the problems name the parameter's key and ``source``."""
    annotation = parameter.annotation
    if annotation in (Any, object, AS_SENT):
        return lambda value: value[-1] if text and type(value) is list and value else value
    convert = Converter(annotation, text=text, path="" if parameter.source == "payload" else parameter.key, source=source)
    if text or annotation not in _QUICK:
        return convert
    return lambda value: value if type(value) is annotation else convert(value)


def has_body(request: Request) -> bool:
    return request.stream is not None or bool(request.raw) or request.data is not None


def is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.startswith("application/json;")


def from_path(parameter: Parameter) -> Getter:
    name = parameter.key
    if parameter.annotation is str or parameter.annotation is Any:
        return lambda message: message.params[name]
    convert = converter(parameter, "path", text=True)
    return lambda message: convert(message.params[name])


def from_query(parameter: Parameter) -> Getter:
    key = parameter.key
    convert = converter(parameter, "query", text=True)

    def get(request: Request) -> Any:
        values = request.query.get(key) if request.query_string else None
        return parameter.missing() if values is None else convert(values)

    return get


def from_header(parameter: Parameter) -> Getter:
    key = parameter.key
    convert = converter(parameter, "header", text=True)
    many = takes_many(shape_of(parameter.annotation))

    def get(request: Request) -> Any:
        headers = request.headers
        if key not in headers:
            return parameter.missing()
        return convert(headers.get_all(key) if many else headers[key])

    return get


def from_cookie(parameter: Parameter) -> Getter:
    key = parameter.key
    convert = converter(parameter, "cookie", text=True)

    def get(request: Request) -> Any:
        value = request.cookies.get(key)
        return parameter.missing() if value is None else convert(value)

    return get


def from_session(parameter: Parameter) -> Getter:
    key = parameter.key
    convert = converter(parameter, "session", text=False)

    def get(request: Request) -> Any:
        session = request.extra.get("session")
        value = None if session is None else session.get(key)
        return parameter.missing() if value is None else convert(value)

    return get


def from_form(parameter: Parameter) -> Getter:
    key = parameter.key
    convert = converter(parameter, "form", text=True)

    def get(request: Request) -> Any:
        body = payload_of(request) if has_body(request) else None
        if body is None or not request.form or key not in body:
            return parameter.missing()
        return convert(body[key])

    return get


def from_file(parameter: Parameter) -> Getter:
    """Uploaded files under one name: the last, or all of them where the type is a list."""
    key = parameter.key
    many = takes_many(shape_of(parameter.annotation))

    def get(request: Request) -> Any:
        body = payload_of(request) if has_body(request) else None
        if body is None or not request.form or key not in body:
            return parameter.missing()
        sent = body[key] if isinstance(body[key], list) else [body[key]]
        if not all(isinstance(each, UploadedFile) for each in sent):
            raise BindError([Problem(key, "Expected a file, got text", source="file")])
        return sent if many else sent[-1]

    return get


def from_query_or_body(parameter: Parameter) -> Getter:
    """What has no source: the query goes before the body."""
    key = parameter.key
    of_query = converter(parameter, "query", text=True)
    of_form, of_body = converter(parameter, "form", text=True), converter(parameter, "body", text=False)

    def get(request: Request) -> Any:
        if request.query_string:
            values = request.query.get(key)
            if values is not None:
                return of_query(values)
        if has_body(request):
            body = payload_of(request)
            if isinstance(body, Mapping) and key in body:
                return of_form(body[key]) if request.form else of_body(body[key])
        return parameter.missing("query or body")

    return get


def from_body_field(parameter: Parameter) -> Getter:
    key = parameter.key
    of_form, of_body = converter(parameter, "form", text=True), converter(parameter, "body", text=False)

    def get(request: Request) -> Any:
        value = dig(payload_of(request), key) if has_body(request) else ABSENT
        if value is ABSENT:
            return parameter.missing("body")
        return of_form(value) if request.form else of_body(value)

    return get


def from_body(parameter: Parameter) -> Getter:
    """The whole body; the default when the request has none."""
    of_form, of_body = converter(parameter, "form", text=True), converter(parameter, "body", text=False)
    decode = of_body.json_decoder() if isinstance(of_body, Converter) else None
    takes_nothing = parameter.required and parameter.annotation in (Any, object, bytes, AS_SENT)  # no body is an empty one

    def get(request: Request) -> Any:
        if not (takes_nothing or has_body(request)):
            return parameter.missing("body")
        headers = request.headers
        if decode is not None and request.data is None and is_json(headers.get("content-type", "")) and "content-encoding" not in headers:
            try:
                return decode(request.body())  # at once to the declared type, nothing in between
            except _UNREADABLE:
                pass  # what follows says whether it cannot be read, or what does not fit
        body = payload_of(request)
        try:
            return of_form(body) if request.form else of_body(body)
        except BindError:
            ensure_decoded(request)
            raise

    return get


def from_message(parameter: Parameter) -> Getter:
    """The whole payload of a message."""
    annotation = parameter.annotation
    convert = converter(parameter, "payload", text=False)

    def get(message: Message) -> Any:
        value = message.data
        return value if type(value) is annotation else convert(value)

    return get


def from_message_field(parameter: Parameter) -> Getter:
    key = parameter.key
    convert = converter(parameter, "payload", text=False)

    def get(message: Message) -> Any:
        data = message.data
        value = data.get(key, ABSENT) if isinstance(data, Mapping) else ABSENT
        return parameter.missing("payload") if value is ABSENT else convert(value)

    def get_deep(message: Message) -> Any:
        value = dig(message.data, key)
        return parameter.missing("payload") if value is ABSENT else convert(value)

    return get_deep if "." in key else get


def takes_many(shape: Shape) -> bool:
    """Whether a value that may be sent several times is wanted as a collection."""
    if shape.form == "union":
        return any(takes_many(shape_of(part)) for part in shape.parts)
    return shape.form == "list"
