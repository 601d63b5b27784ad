"""From a message to the arguments of a handler: decided once from its signature, cheap for every message.

Framework types (``Request``, ``IConnection``, ``Session``, ...) bind by annotation only, so a client can never supply them.  Everything
else binds by name: from where its ``Annotated`` says (:mod:`greenimi.web.sources`), else path placeholders first, then the query, then the
body's fields; for message protocols the payload's fields.  A parameter called ``payload`` takes the whole decoded payload.

Whatever is wrong with a request is told at once: every bad parameter and every bad field of the body.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from greenimi.container.context import Scope, scope
from greenimi.container.registry import Container
from greenimi.dispatch import getters
from greenimi.dispatch.getters import EMPTY, Getter, Parameter
from greenimi.dispatch.returns import answer_for
from greenimi.errors import GreenimiError, StartError
from greenimi.interfaces import IConnection
from greenimi.marks import Where
from greenimi.message import Body, Datagram, Headers, Identity, Message, Request
from greenimi.message_stream import MessageStream
from greenimi.validate.convert import ensure_convertible
from greenimi.validate.problems import BindError, Problem, refusal
from greenimi.validate.shapes import shape_of
from greenimi.web.identity import caller
from greenimi.web.session import Session
from greenimi.web.sources import Cookie, Field, Form, FromSession, Header, Query, Source
from greenimi.web.uploads import UploadedFile

__all__ = ["Parameter", "bind_handler"]


def _body_stream(message: Request) -> Body:
    if message.stream is None:
        message.stream = Body()
        if message.raw:  # the conditions of a route, or a layer, read it before
            message.stream.feed(message.raw)  # type: ignore[arg-type]  # of a request it is bytes
        message.stream.finish()
    return message.stream


def _session(request: Request) -> Session:
    found = request.extra.get("session")
    if found is None:
        raise GreenimiError("a handler asks for the session, and its server has none", hint="add [servers.NAME.session] to conf")
    return found  # type: ignore[no-any-return]


_FRAMEWORK: dict[Any, Getter] = {
    Message: lambda message: message,
    Request: lambda message: message,
    Datagram: lambda message: message,
    Headers: lambda message: message.headers,
    Body: _body_stream,
    IConnection: lambda message: message.connection,
    Scope: lambda message: scope(),
    Container: lambda message: scope().container,
    Identity: caller,
    MessageStream: lambda message: message.stream,
    Session: _session,
}
_FRAMEWORK_OR_NONE: dict[Any, Getter] = {
    Identity: lambda message: message.identity,
    Session: lambda request: request.extra.get("session"),
}
_MEANT = {"connection": "IConnection", "identity": "Identity", "request": "Request", "session": "Session"}
"""Names that are hardly meant for what a client sends."""

_HTTP_ONLY = (Request, Headers, Body, Session)
_HTTP_SOURCES: dict[type[Source], Callable[[Parameter], Getter]] = {
    Query: getters.from_query,
    Header: getters.from_header,
    Cookie: getters.from_cookie,
    FromSession: getters.from_session,
    Form: getters.from_form,
    Field: getters.from_body_field,
}
_BODIES = (Form, Field)  # what a handshake does not have


def bind_handler(
    function: Callable[..., Any],
    *,
    http: bool,
    handshake: bool = False,
    streams: bool = False,
    placeholders: tuple[str, ...] = (),
    where: Where | None = None,
) -> tuple[Getter, list[Parameter]]:
    """``call(message)`` for a handler, and its parameters.

    ``handshake``: its message is the request that opened a WebSocket.  ``streams``: it may take messages while they arrive.

    Raises StartError for a signature that can never be bound: an unknown class as annotation, ``*args``, ``async def``, a placeholder
    nobody takes.
    """
    place = f"{getattr(function, '__qualname__', function)} ({where})" if where else getattr(function, "__qualname__", str(function))
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise StartError(f"{place}: the annotations cannot be resolved: {error}", hint="import the type at module level") from None
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        hint = "write def instead of async def: while a handler waits in plain blocking calls, the others go on"
        raise StartError(f"{place}: nobody awaits what an async def gives", hint=hint)
    binder = _Binder(place, http, handshake, streams, placeholders)
    positional: list[Getter] = []
    keywords: list[tuple[str, Getter]] = []
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise StartError(f"{place}: *{parameter.name} cannot be bound", hint="name every argument, or take `payload`")
        if parameter.name in _MEANT and parameter.name not in hints:
            hint = f"write {parameter.name}: {_MEANT[parameter.name]}; or {parameter.name}: Any when the client is to say it"
            raise StartError(f"{place}: {parameter.name} has no annotation, so the client would supply it", hint=hint)
        described, getter = binder.bind(parameter, hints.get(parameter.name, Any))
        parameters.append(described)
        if parameter.kind is parameter.KEYWORD_ONLY:
            keywords.append((parameter.name, getter))
        else:
            positional.append(getter)
    unused = set(placeholders) - {each.key for each in parameters if each.source == "path"}
    if unused and http:
        raise StartError(f"{place}: no parameter takes the placeholder {{{sorted(unused)[0]}}}")
    call = _call(function, positional, keywords)
    answer = answer_for(hints.get("return", Any), place)
    return (call if answer is None else lambda message: answer(call(message))), parameters


def _call(function: Callable[..., Any], positional: list[Getter], keywords: list[tuple[str, Getter]]) -> Getter:
    if not positional and not keywords:
        return lambda message: function()
    if len(positional) == 1 and not keywords:
        only = positional[0]
        return lambda message: function(only(message))
    every = [*positional, *(get for _, get in keywords)]

    def call(message: Any) -> Any:
        try:
            arguments = [get(message) for get in positional]
            named = {name: get(message) for name, get in keywords}
        except BindError:
            raise refusal(_all_problems(every, message)) from None
        return function(*arguments, **named)

    def call_by_position(message: Any) -> Any:
        try:
            arguments = [get(message) for get in positional]
        except BindError:
            raise refusal(_all_problems(every, message)) from None
        return function(*arguments)

    return call if keywords else call_by_position


def _all_problems(every: list[Getter], message: Any) -> list[Problem]:
    """What is wrong with each of the arguments."""
    problems: list[Problem] = []
    for get in every:
        try:
            get(message)
        except BindError as error:
            problems += error.problems
    return problems


class _Binder:
    """Decides for one handler where its parameters come from."""

    def __init__(self, place: str, http: bool, handshake: bool, streams: bool, placeholders: tuple[str, ...]) -> None:
        self._place = place
        self._streams = streams
        self._http = http
        self._has_request = http or handshake
        self._placeholders = placeholders

    def bind(self, parameter: inspect.Parameter, annotation: Any) -> tuple[Parameter, Getter]:
        framework = _framework_getter(annotation)
        if framework is not None:
            kind, getter = framework
            if kind in _HTTP_ONLY and not self._has_request:
                only = "HTTP handlers and @opened of a WebSocket"
                raise self._error(f"{parameter.name} wants {kind.__name__}, which only {only} have")
            if kind is MessageStream and not self._streams:
                raise self._error(f"{parameter.name} wants a MessageStream, which only handlers of a WebSocket's messages have")
            return Parameter(parameter.name, "framework", parameter.name, annotation, True), getter
        if _is_source(parameter.default):
            hint = f"write {parameter.name}: Annotated[..., {parameter.default!r}], and behind it = and the default where there is one"
            raise self._error(f"{parameter.name} says where its value comes from in the place of its default", hint)
        source, description = self._said(parameter.name, annotation)
        where, key, make = self._place_of(parameter.name, annotation, source)
        required = parameter.default is EMPTY
        described = Parameter(parameter.name, where, key, annotation, required, parameter.default, description)
        if where != "file":
            self._ensure_data(parameter.name, annotation)
        try:
            return described, make(described)
        except TypeError as error:
            raise self._error(f"{parameter.name}: {error}") from None

    def _error(self, text: str, hint: str = "") -> StartError:
        return StartError(f"{self._place}: {text}", hint=hint)

    def _said(self, name: str, annotation: Any) -> tuple[Any, str]:
        """The source within an ``Annotated``, and the description there."""
        sources, texts = [], []
        for each in annotation.__metadata__ if get_origin(annotation) is Annotated else ():
            if _is_source(each):
                sources.append(each() if isinstance(each, type) else each)
            elif isinstance(each, str):
                texts.append(each)
            elif isinstance(each, msgspec.Meta) and each.description:
                texts.append(each.description)
        if len(sources) > 1:
            raise self._error(f"{name} has two sources", hint="a parameter comes from one place")
        return (sources[0] if sources else None), " ".join(texts)

    def _place_of(self, name: str, annotation: Any, source: Any) -> tuple[str, str, Callable[[Parameter], Getter]]:
        """Its source, its key there, and what makes the getter."""
        if source is not None and type(source) in _HTTP_SOURCES:
            if not self._http and type(source) is not Field and not (self._has_request and type(source) not in _BODIES):
                raise self._error(f"{name} comes from a {source.place}, which its messages do not have")
            key = source.key or (name.replace("_", "-") if type(source) is Header else name)
            if not self._http and type(source) is Field:
                return "field", key, getters.from_message_field
            return source.place, key, _HTTP_SOURCES[type(source)]
        if isinstance(source, Body) or (source is None and name == "payload" and name not in self._placeholders):
            return "payload", name, getters.from_body if self._http else getters.from_message
        if self._http and _is_upload(annotation):
            return "file", name, getters.from_file
        if name in self._placeholders:
            return "path", name, getters.from_path
        if self._http:
            return "query-or-body", name, getters.from_query_or_body
        return "field", name, getters.from_message_field

    def _ensure_data(self, name: str, annotation: Any) -> None:
        if annotation in (object, getters.AS_SENT):
            return
        try:
            ensure_convertible(annotation)
        except TypeError as error:
            hint = "ask for beans in the controller's constructor; files are UploadedFile or list[UploadedFile]"
            raise self._error(f"{name} has an annotation that no value can be converted to: {error}", hint) from None


def _framework_getter(annotation: Any) -> tuple[Any, Getter] | None:
    """The framework type that an annotation asks for, which may be "X or None", and its getter."""
    if get_origin(annotation) in (Union, types.UnionType):
        named = [part for part in get_args(annotation) if part is not type(None)]
        if len(named) == 1 and _hashable(named[0]) and named[0] in _FRAMEWORK:
            return named[0], _FRAMEWORK_OR_NONE.get(named[0], _FRAMEWORK[named[0]])
        return None
    if _hashable(annotation) and annotation in _FRAMEWORK:
        return annotation, _FRAMEWORK[annotation]
    return None


def _is_source(found: Any) -> bool:
    """``Query("key")``, or ``Query`` alone."""
    return isinstance(found, Source | Body) or (isinstance(found, type) and issubclass(found, Source | Body))


def _hashable(annotation: Any) -> bool:
    try:
        hash(annotation)
    except TypeError:
        return False
    return True


def _is_upload(annotation: Any) -> bool:
    """``UploadedFile``, a list of them, or either "or None"."""
    shape = shape_of(annotation)
    if shape.form in ("union", "list"):
        return any(_is_upload(part) for part in shape.parts if part is not type(None))
    return shape.bare is UploadedFile
