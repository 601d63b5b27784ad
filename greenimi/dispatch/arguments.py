"""From a message to the arguments of a handler: decided once from its signature, cheap for every message.

Framework types (``Request``, ``IConnection``, ``Scope``, ...) bind by annotation only, so a client can never supply them. Everything else
binds by name: path placeholders first, then the query, then the body's fields; for message protocols the payload's fields. A parameter
called ``payload`` takes the whole decoded payload. Values are converted strictly by msgspec, texts (path, query, form) leniently.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from greenimi.container.context import Scope, scope
from greenimi.container.registry import Container
from greenimi.errors import BadMessage, StartError
from greenimi.interfaces import IConnection
from greenimi.marks import Where
from greenimi.message import Body, Datagram, Headers, Message, Request
from greenimi.web.request import payload_of

Getter = Callable[[Any], Any]
_EMPTY = inspect.Parameter.empty


def _body_stream(message: Request) -> Body:
    if message.stream is None:
        message.stream = Body()
        message.stream.finish()
    return message.stream


_FRAMEWORK: dict[Any, Getter] = {
    Message: lambda message: message,
    Request: lambda message: message,
    Datagram: lambda message: message,
    Headers: lambda message: message.headers,
    Body: _body_stream,
    IConnection: lambda message: message.connection,
    Scope: lambda message: scope(),
    Container: lambda message: scope().container,
}
_AS_SENT = str | bytes  # a WebSocket message as it came, text or binary
_COLLECTIONS = (list, tuple, set, frozenset)
_HTTP_ONLY = (Request, Headers, Body)


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a handler wants, for listings and documentation."""

    name: str
    source: str  # path, query-or-body, payload, field, framework
    annotation: Any
    required: bool


def bind_handler(
    function: Callable[..., Any], *, http: bool, handshake: bool = False, placeholders: tuple[str, ...] = (), where: Where | None = None
) -> tuple[Getter, list[Parameter]]:
    """``call(message)`` for a handler, and its parameters.  ``handshake``: its message is the request that opened a WebSocket.

    Raises StartError for a signature that can never be bound: an unknown class as annotation, ``*args``, a placeholder nobody takes.
    """
    place = f"{getattr(function, '__qualname__', function)} ({where})" if where else getattr(function, "__qualname__", str(function))
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise StartError(f"{place}: the annotations cannot be resolved: {error}", hint="import the type at module level") from None
    positional: list[Getter] = []
    keywords: list[tuple[str, Getter]] = []
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise StartError(f"{place}: *{parameter.name} cannot be bound", hint="name every argument, or take `payload`")
        annotation = hints.get(parameter.name, Any)
        if annotation in _HTTP_ONLY and not (http or handshake):
            only = "HTTP handlers and @opened of a WebSocket"
            raise StartError(f"{place}: {parameter.name} wants {annotation.__name__}, which only {only} have")
        getter, described = _getter(place, parameter, annotation, http, placeholders)
        parameters.append(described)
        if parameter.kind is parameter.KEYWORD_ONLY:
            keywords.append((parameter.name, getter))
        else:
            positional.append(getter)
    unused = set(placeholders) - {p.name for p in parameters}
    if unused and http:
        raise StartError(f"{place}: no parameter takes the placeholder {{{sorted(unused)[0]}}}")
    return _call(function, positional, keywords), parameters


def _call(function: Callable[..., Any], positional: list[Getter], keywords: list[tuple[str, Getter]]) -> Getter:
    if keywords:
        return lambda message: function(*[get(message) for get in positional], **{name: get(message) for name, get in keywords})
    if not positional:
        return lambda message: function()
    if len(positional) == 1:
        only = positional[0]
        return lambda message: function(only(message))
    return lambda message: function(*[get(message) for get in positional])


def _getter(
    place: str, parameter: inspect.Parameter, annotation: Any, http: bool, placeholders: tuple[str, ...]
) -> tuple[Getter, Parameter]:
    name = parameter.name
    required = parameter.default is _EMPTY
    if _hashable(annotation) and annotation in _FRAMEWORK:
        return _FRAMEWORK[annotation], Parameter(name, "framework", annotation, True)
    _check_data_type(place, name, annotation)
    if name in placeholders:
        return _from_params(name, annotation), Parameter(name, "path", annotation, True)
    if name == "payload":
        if http:
            return _from_body(name, annotation, parameter.default), Parameter(name, "payload", annotation, required)
        return _from_payload(name, annotation), Parameter(name, "payload", annotation, True)
    if http:
        return _from_request(name, annotation, parameter.default), Parameter(name, "query-or-body", annotation, required)
    return _from_field(name, annotation, parameter.default), Parameter(name, "field", annotation, required)


def _hashable(annotation: Any) -> bool:
    try:
        hash(annotation)
    except TypeError:
        return False
    return True


def _check_data_type(place: str, name: str, annotation: Any) -> None:
    if annotation in (object, _AS_SENT):
        return
    try:
        info = msgspec.inspect.type_info(annotation)
    except TypeError as error:
        raise StartError(f"{place}: {name} has an annotation that no value can be converted to: {error}") from None
    if isinstance(info, msgspec.inspect.CustomType):
        raise StartError(
            f"{place}: {name} wants {annotation!r}, which is neither data nor a framework type",
            hint="ask for beans in the controller's constructor",
        )


def _converter(name: str, annotation: Any, *, text: bool) -> Getter:
    """Value to the declared type; BadMessage names the argument."""
    if annotation in (Any, object, _AS_SENT):
        return lambda value: value
    convert = msgspec.convert
    strict = not text
    quick = annotation if annotation in (str, int, float, bool, bytes, dict, list) else None

    def converted(value: Any) -> Any:
        if type(value) is quick:
            return value
        try:
            return convert(value, annotation, strict=strict)
        except msgspec.ValidationError as error:
            raise BadMessage(f"argument {name}: {error}", details={"field": name}) from None

    return converted


def _from_params(name: str, annotation: Any) -> Getter:
    if annotation is str or annotation is Any:
        return lambda message: message.params[name]
    convert = _converter(name, annotation, text=True)
    return lambda message: convert(message.params[name])


def _missing(name: str, default: Any) -> Any:
    if default is _EMPTY:
        raise BadMessage(f"argument {name} is missing", details={"field": name})
    return default


def _from_payload(name: str, annotation: Any) -> Getter:
    """The whole payload of a message."""
    convert = _converter(name, annotation, text=False)

    def get(message: Message) -> Any:
        value = message.data
        return value if type(value) is annotation else convert(value)

    return get


def _from_body(name: str, annotation: Any, default: Any) -> Getter:
    """The whole body; the default when the request has none."""
    lenient = _converter(name, annotation, text=True)
    strict = _converter(name, annotation, text=False)

    def get(request: Request) -> Any:
        if default is not _EMPTY and request.stream is None and not request.raw and request.data is None:
            return default
        body = payload_of(request)
        return lenient(body) if request.form else strict(body)

    return get


def _from_field(name: str, annotation: Any, default: Any) -> Getter:
    convert = _converter(name, annotation, text=False)

    def get(message: Message) -> Any:
        data = message.data
        if isinstance(data, Mapping) and name in data:
            return convert(data[name])
        return _missing(name, default)

    return get


def _takes_many(annotation: Any) -> bool:
    """Whether a value that may be sent several times is wanted as a collection."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(_takes_many(each) for each in typing.get_args(annotation))
    return annotation in _COLLECTIONS or typing.get_origin(annotation) in _COLLECTIONS


def _as_sent(value: Any, many: bool) -> Any:
    """A form field as its parameter wants it: all its values, or the last."""
    values = value if isinstance(value, list) else [value]
    return values if many else values[-1]


def _from_request(name: str, annotation: Any, default: Any) -> Getter:
    lenient = _converter(name, annotation, text=True)
    strict = _converter(name, annotation, text=False)
    many = _takes_many(annotation)

    def get(request: Request) -> Any:
        if request.query_string:
            values = request.query.get(name)
            if values is not None:
                return lenient(values if many else values[-1])
        if request.stream is not None or request.raw or request.data is not None:
            body = payload_of(request)
            if isinstance(body, Mapping) and name in body:
                return lenient(_as_sent(body[name], many)) if request.form else strict(body[name])
        return _missing(name, default)

    return get
