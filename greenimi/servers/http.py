"""HTTP/1.1 and, on the same port, WebSocket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import Context
from itertools import chain
from typing import Any

from greenimi.codec.base import Codec
from greenimi.codec.http1 import Http1Codec, Http1Limits
from greenimi.container.context import Scope, enter
from greenimi.container.registry import Container
from greenimi.dispatch.failure import report
from greenimi.dispatch.pipeline import HttpPipeline
from greenimi.errors import ConnectionClosed, HandlerTimeout, ProtocolError
from greenimi.message import Request, Response, Upgrade
from greenimi.servers.base import StreamHost
from greenimi.servers.deadlines import Silence
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings
from greenimi.servers.stream import StreamConnection

log = logging.getLogger("greenimi.servers")

_FAILED = Response(b"the server failed\n", 500)
_STOPPED = Response(b"the request was stopped\n", 503)
_TOO_LATE = Response(b"the handler took too long\n", 503)


class HttpServer(StreamHost):
    """``kind = "http"``.

    at_once  paths that are answered in the hub by a function that waits for nothing, when all handlers are busy
    """

    def __init__(self, name: str, settings: ServerSettings, container: Container, runtime: Runtime, pipeline: HttpPipeline) -> None:
        super().__init__(name, "http", settings, container, runtime)
        self.pipeline = pipeline
        self.keep_alive = Silence(settings.keep_alive, runtime.now)
        self.at_once: dict[str, Callable[[Request], Response]] = {}
        self._endpoint = HttpEndpoint(self)
        self._limits = Http1Limits(
            line=settings.max_line,
            head=settings.max_head,
            fields=settings.max_fields,
            body=settings.max_body,
            host=settings.require_host,
        )

    def new_codec(self) -> Codec:
        return Http1Codec(self._limits, self.runtime.heads)

    def new_endpoint(self) -> HttpEndpoint:
        return self._endpoint

    def answer_at_once(self, connection: StreamConnection, messages: Sequence[Any]) -> bool:
        request = messages[0]
        if len(messages) > 1 or type(request) is not Request or request.method != "GET" or request.stream is not None:
            return False
        if request.upgrade or request.path not in self.at_once:
            return False
        request.connection = connection
        connection.answer(request, self.at_once[request.path](request))
        return True


class HttpEndpoint:
    """Answers requests.  One a server: what belongs to a connection stands on the connection."""

    has_opened = False
    has_closed = False

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._container = server.container

    def process(self, connection: StreamConnection, message: Any) -> None:
        if type(message) is ProtocolError:
            log.info("%r: %s %s", connection, message.status, message.text)
            connection.codec.fail(message)
            return
        message.connection = connection
        if message.stream is not None:
            message.stream.pull = connection.wait_for_data
        try:
            Context().run(enter, Scope(self._container, connection, message), self._serve, message)
        except HandlerTimeout as error:  # while it cleaned up: the answer stands
            report(error, message)

    def _serve(self, request: Request) -> None:
        codec: Http1Codec = request.connection.codec  # type: ignore[attr-defined]
        try:
            response = self._server.pipeline.handle(request)
            self._answer(request, response, codec)
        except ConnectionClosed:
            codec.closing = True  # it may have been another one's: nothing can be said for this request any more
        except Exception as error:  # a response that cannot be sent as it is
            report(error, request)
            codec.respond(request, _FAILED)
        except BaseException as error:  # the handler was stopped from outside
            late = isinstance(error, HandlerTimeout)
            if request.connection.is_open:
                request.keep_alive = False
                codec.respond(request, _TOO_LATE if late else _STOPPED)
            if not late:
                raise
            report(error, request)

    def _answer(self, request: Request, response: Response, codec: Http1Codec) -> None:
        stream = request.stream
        if stream is not None and not stream.finished:  # what nobody read cannot be told from the next request
            request.keep_alive = False
        if self._server.draining:
            connection: Any = request.connection
            if self._server.asks_to_go(connection) and not connection.waiting:
                request.keep_alive = False
        body = response.body
        if type(body) is not bytes and type(body) is not str:
            self._send_parts(request, response, codec)
        elif type(response) is Upgrade:
            response.switch(response, request.connection)
        else:
            codec.respond(request, response)
        if codec.paused and type(response) is not Upgrade:  # an upgrade was asked for and not granted: what came behind it is HTTP
            request.connection.take(codec.resume())  # type: ignore[attr-defined]

    def _send_parts(self, request: Request, response: Response, codec: Http1Codec) -> None:
        """A body that is made while it is sent: at most the high-water mark ahead of the client."""
        connection: StreamConnection = request.connection  # type: ignore[assignment]
        body: Any = response.body  # an iterable: bytes and text went another way
        parts = iter(body)
        try:
            first: bytes | str = b""
            if request.method != "HEAD":
                first = next(parts, b"")  # an error before the first part can still be answered as one
            if codec.begin(request, response):
                try:
                    for part in chain((first,), parts):
                        codec.part(part.encode() if isinstance(part, str) else part)
                        connection.wait_drained()
                except ConnectionClosed:
                    raise
                except Exception as error:  # too late for another status: an unfinished body tells the client
                    report(error, request)
                    codec.closing = True
                    return
                except BaseException:  # stopped from outside, in the middle of the body
                    codec.closing = True
                    raise
                codec.finish(request)
            elif not request.keep_alive:
                codec.closing = True
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                try:
                    close()
                except Exception as error:
                    report(error, request)
                except BaseException:  # stopped from outside, when the answer was out
                    codec.closing = True
                    raise

    def opened(self, connection: StreamConnection, message: Any) -> None: ...

    def closed(self, connection: StreamConnection) -> None: ...

    def send(self, connection: StreamConnection, data: Any) -> None:
        raise TypeError("an HTTP connection has no messages of its own accord")
