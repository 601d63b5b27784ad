"""The pipelines: from a message to its answer, composed once at start.

``HttpPipeline`` and ``MessagePipeline`` look alike: global layers around routing, then the layers of the controller and the handler
around the call with its bound arguments.  They run inside the message's scope, in a handler greenlet, and know nothing of sockets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from types import GeneratorType
from typing import Any

from greenimi.container.onion import Proceed, compose
from greenimi.container.registry import Container
from greenimi.dispatch.failure import ErrorHandler, Problem, ask_handlers, describe, report
from greenimi.dispatch.fields import FieldRouter
from greenimi.dispatch.layers import resolve_layers
from greenimi.dispatch.route import Route
from greenimi.dispatch.routing import WEBSOCKET, Routing, limited
from greenimi.errors import BadMessage, ConfigError, NotFound, StartError
from greenimi.interfaces import IPayload
from greenimi.message import Message, Reply, Request, Response
from greenimi.message_stream import MessageStream
from greenimi.web.response import begin, render

log = logging.getLogger("greenimi.dispatch")

Handlers = Sequence[tuple[tuple[type[BaseException], ...], ErrorHandler]]
Page = Callable[[BaseException, Request, Problem], Response]


class RouteBuilder:
    """Makes the call of a route: the controller's bean, its bound method, its arguments, its layers."""

    def __init__(self, container: Container, groups: Mapping[str, Sequence[str]]) -> None:
        self._container = container
        self._groups = groups

    def layers(self, found: Sequence[Any]) -> list[Any]:
        return resolve_layers(found, self._container, self._groups)

    def method(self, route: Route) -> Callable[..., Any]:
        bound: Callable[..., Any] = getattr(self._container.get(route.controller), route.function_name)
        return bound

    def call(self, route: Route) -> Proceed:
        try:
            layers = self.layers(route.layers)
        except ConfigError as error:
            raise StartError(f"{route.where}: {error.text}", hint=error.hint) from None
        call = compose(layers, route.bind(self.method(route)))
        limit = route.options.get("max_body")
        return call if limit is None else limited(call, limit)


class HttpPipeline:
    """``handle(request)`` never raises an Exception: whatever happens becomes a Response.

    ``layers`` are inside: what they get from ``proceed`` is what the handler returned, or its exception.  ``outer`` layers are around them
    and around routing: ``proceed`` always gives them a Response, of an error as well, and they return one; it is theirs to change.
    ``page`` makes the answer to an error, of what may be told about it; without it that is problem+json.
    """

    def __init__(
        self,
        builder: RouteBuilder,
        routes: Sequence[Route],
        *,
        layers: Sequence[Any] = (),
        outer: Sequence[Callable[[Any, Proceed], Any]] = (),
        error_handlers: Handlers = (),
        missing: Callable[[Any], Any] | None = None,
        page: Page | None = None,
        debug: bool = False,
    ) -> None:
        self._debug = debug
        self._page = page
        self._error_handlers = error_handlers
        self._routing = Routing(missing)
        for route in routes:
            self._routing.add(route, route.method, builder.call(route))
        self._layers = builder.layers(layers)
        self._chain = compose(self._layers, self._routing.core())
        self.handle: Callable[[Request], Response] = self._handle
        if outer:
            self._around = compose(outer, self._handle_anew)
            self.handle = self._handle_around

    def add_upgrade(self, route: Route, shake: Proceed) -> None:
        """Serve WebSocket handshakes for the path of ``route`` by ``shake(request) -> Upgrade``, inside the global layers."""
        self._routing.add(route, WEBSOCKET, shake)
        self._chain = compose(self._layers, self._routing.core())

    def mount(self, prefix: str, call: Proceed) -> None:
        """Have ``call(request)`` answer what is at or below ``prefix`` and no route takes, inside the global layers.

        ``prefix`` begins with a slash and does not end with one; ``""`` takes everything.  The longest one that fits wins.  Raises
        ConflictError when there is one already.
        """
        self._routing.mount(prefix, call)
        self._chain = compose(self._layers, self._routing.core())

    def _handle(self, request: Request) -> Response:
        try:
            response = render(self._chain(request), request)
            if type(response.body) is GeneratorType:
                begin(response, request)
            return response
        except Exception as error:
            return self._failed(error, request)

    def _handle_anew(self, request: Request) -> Response:
        """A Response of their own for the layers around: a handler may give the same one to all requests."""
        response = self._handle(request)
        if type(response) is not Response:
            return copy(response)
        return Response(response.body, response.status, response.content_type, response.headers, response.trailers)

    def _handle_around(self, request: Request) -> Response:
        try:
            return self._around(request)  # type: ignore[no-any-return]  # outer layers return what they are given
        except Exception as error:
            return self._failed(error, request)

    def _failed(self, error: Exception, request: Request) -> Response:
        try:
            answer = ask_handlers(self._error_handlers, error, request)
            if answer is not None:
                return render(answer, request)
        except Exception as second:
            error = second
        report(error, request)
        problem = describe(error, debug=self._debug)
        return problem.response() if self._page is None else self._page(error, request, problem)


def wants_streams(routes: Sequence[Route], payload: IPayload) -> bool:
    """Whether the messages of these routes are handled while they arrive.  Raises StartError where their payload does not go with that."""
    for route in routes:
        if any(parameter.annotation is MessageStream for parameter in route.parameters):
            if payload.name in {"raw", "text"}:
                return True
            hint = f'give its controller the payload "raw" or "text", not {payload.name!r}'
            raise StartError(f"{route.where}: a MessageStream is read before anybody could decode it", hint=hint)
    return False


def _sent_raw(value: Any, message: Message) -> Reply | None:
    """A Reply, or what a generator makes.  What is made in parts is sent here, within the scope of its message."""
    raw = value.raw if type(value) is Reply else value
    if isinstance(raw, (bytes, str)):
        return value  # type: ignore[no-any-return]  # a Reply
    send_parts = getattr(message.connection, "send_parts", None)
    if send_parts is None:
        raise TypeError("this connection sends messages in one piece")
    send_parts(raw)
    return None


class MessagePipeline:
    """For WebSocket, TCP and UDP.  ``handle(message)`` gives the encoded reply, a Reply as it is, or None; it never raises an Exception.

    A message with an id (the name of the field is the server's) is always answered, by ``{"id": ..., "result": ...}`` or
    ``{"id": ..., "error": ...}``.  Without an id the plain result is sent, None sends nothing, and an error is sent as
    ``{"error": {...}}``.  A Reply is sent as it is, id or not, and so is what a generator makes, in parts.

    silent   errors are told to nobody who did not ask with an id, and never in answer to an answer; without that, one forged datagram would
             set two servers to answering each other for ever
    streams  messages are handled while they arrive
    """

    def __init__(
        self,
        builder: RouteBuilder,
        routes: Sequence[Route],
        payload: IPayload,
        *,
        layers: Sequence[Any] = (),
        error_handlers: Handlers = (),
        missing: Callable[[Any], Any] | None = None,
        action_field: str = "action",
        id_field: str = "id",
        silent: bool = False,
        debug: bool = False,
        actions: Mapping[str, Proceed] | None = None,
    ) -> None:
        """``actions`` of the framework's own, for servers whose messages have actions."""
        self._silent = silent
        self.payload = payload
        self.streams = wants_streams(routes, payload)
        self._decode = payload.decode
        self._encode = payload.encode
        self._action = action_field
        self._id = id_field
        self._debug = debug
        self._error_handlers = error_handlers
        self._missing = missing
        self._router: FieldRouter[Proceed] = FieldRouter(action_field)
        self._opened: list[Proceed] = []
        self._closed: list[Proceed] = []
        for route in routes:
            self._add(route, builder.call(route))
        if self._router.has_actions:
            for name, call in (actions or {}).items():
                self._router.add_action(name, call)
        only = self._router.only_route()
        self._chain = compose(builder.layers(layers), only or self._route)
        self.has_opened = bool(self._opened)
        self.has_closed = bool(self._closed)

    @property
    def id_field(self) -> str:
        """The field of a message that asks for an answer, and of the answer."""
        return self._id

    def speaking(self, payload: IPayload) -> MessagePipeline:
        """The same with another payload."""
        other = copy(self)
        other.payload = payload
        other._decode = payload.decode
        other._encode = payload.encode
        return other

    def _add(self, route: Route, call: Proceed) -> None:
        if route.event:
            (self._opened if route.event == "opened" else self._closed).append(call)
        elif route.default:
            self._router.set_default(call)
        elif route.condition is not None:
            self._router.add_condition(route.condition, call)
        else:
            assert route.action is not None
            self._router.add_action(route.action, call)

    def _route(self, message: Message) -> Any:
        call = self._router.find(message.data)
        if call is None:
            if self._missing is not None:
                return self._missing(message)
            raise NotFound("no handler takes this message")
        return call(message)

    def handle(self, message: Message) -> bytes | Reply | None:
        number = None
        try:
            data = message.data = self._decode(message.raw)
            if type(data) is dict:
                number = data.get(self._id)
            value = self._chain(message)
            kind = type(value)
            if kind is Reply or kind is GeneratorType:
                return _sent_raw(value, message)
            if number is not None:
                value = {self._id: number, "result": value}
            elif value is None:
                return None
            return self._encode(value)
        except Exception as error:
            return self._failed(error, message, number)

    def failed(self, error: Exception, message: Message) -> bytes | Reply | None:
        """The reply to a message whose own could not be sent."""
        return self._failed(error, message, message.data.get(self._id) if type(message.data) is dict else None)

    def _failed(self, error: Exception, message: Message, number: Any) -> bytes | Reply | None:
        try:
            answer = ask_handlers(self._error_handlers, error, message)
            if type(answer) is Reply:
                return answer
            if answer is not None:
                return self._encode(answer if number is None else {self._id: number, "result": answer})
        except Exception as second:
            error = second
        report(error, message)
        if self._silent and (number is None or "error" in message.data or "result" in message.data):
            return None
        if isinstance(error, NotFound) and number is not None and self._is_reply(message.data):
            return None
        reply: dict[str, Any] = {"error": describe(error, debug=self._debug).as_error()}
        if number is not None:
            reply = {self._id: number, **reply}
        try:
            return self._encode(reply)
        except TypeError:  # text and raw payloads have no place for an error
            if isinstance(error, BadMessage):
                log.info("%r: %s", message.connection, error.text)
                message.connection.close(1003, error.text)
            return None

    def _is_reply(self, data: dict[Any, Any]) -> bool:
        """Of a request that nobody waits for any more, or of somebody else: it is not answered, or answers would go on for ever."""
        return self._action not in data and ("error" in data or "result" in data)

    def opened(self, message: Message) -> None:
        """Run the ``opened`` handlers in order.  Their errors are the caller's: the connection must not live on."""
        for call in self._opened:
            call(message)

    def closed(self, message: Message) -> None:
        """Run every ``closed`` handler; errors are logged."""
        for call in self._closed:
            try:
                call(message)
            except Exception as error:
                report(error, message)
