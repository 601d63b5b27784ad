"""HTTP/1.1 and, on the same port, WebSocket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from greenimi.codec.base import Codec
from greenimi.codec.http1 import Http1Codec, Http1Limits
from greenimi.codec.http2_begins import Http2Begins
from greenimi.codec.http2_heads import Http2Limits
from greenimi.container.context import Scope, enter
from greenimi.container.registry import Container
from greenimi.dispatch.failure import describe, report
from greenimi.dispatch.pipeline import HttpPipeline
from greenimi.errors import ConnectionClosed, HandlerTimeout, Refusal
from greenimi.message import Request, Response, Upgrade
from greenimi.servers.base import StreamHost
from greenimi.servers.deadlines import Silence
from greenimi.servers.http2 import Http2Connection, Http2Stream
from greenimi.servers.live import LiveStreams
from greenimi.servers.runtime import Runtime
from greenimi.servers.sendfile import answer_from_file
from greenimi.servers.settings import ServerSettings
from greenimi.servers.stream import StreamConnection
from greenimi.web.files import FileBody
from greenimi.web.sse import LiveBody
from greenimi.web.trailers import trailers_for

if TYPE_CHECKING:
    from greenimi.servers.entrance.tls import TlsFacts

log = logging.getLogger("greenimi.servers")

_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

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
        self.live = LiveStreams(runtime.handlers, settings.heartbeat)
        self._endpoint = HttpEndpoint(self)
        self._limits = Http1Limits(
            line=settings.max_line,
            head=settings.max_head,
            fields=settings.max_fields,
            body=settings.max_body,
            form=settings.uploads.max_body,
            host=settings.require_host,
            http2=settings.http2.enabled,
            h2c=settings.http2.enabled and settings.http2.upgrade,
        )
        self.http2_limits = Http2Limits(
            line=settings.max_line,
            head=settings.max_head,
            fields=settings.max_fields,
            body=settings.max_body,
            form=settings.uploads.max_body,
            host=settings.require_host,
            streams=settings.http2.streams,
            window=settings.http2.window,
            connection_window=settings.http2.connection_window,
            unrest=settings.http2.unrest,
            room=settings.high_water,
        )
        self.at_work: set[Http2Stream] = set()

    def new_codec(self) -> Codec:
        return Http1Codec(self._limits, self.runtime.heads)

    def new_endpoint(self) -> HttpEndpoint:
        return self._endpoint

    def new_connection(self, sock: Any, address: Any, endpoint: Any, tls: TlsFacts | None) -> StreamConnection:
        if tls is not None and tls.alpn == "h2":
            return Http2Connection(self, sock, address, endpoint, tls)
        return super().new_connection(sock, address, endpoint, tls)

    def begin_http2(self, connection: StreamConnection, begins: Http2Begins) -> None:
        """The client goes on in HTTP/2.  Called in the connection's handler, or when none is at work."""
        codec: Http1Codec = connection.codec  # type: ignore[assignment]  # nothing else begins it
        data = codec.give_up()
        if begins.request is not None:
            codec.out.append(_SWITCHING)
        sock, unsent = connection.hand_over()
        if not self.gate.admits(connection.address):
            sock.close()
            return
        successor = Http2Connection(self, sock, connection.address, self._endpoint, connection.tls)
        self.connections.add(successor)
        successor.begin(unsent, data, begins.request, begins.settings)

    def _working(self) -> list[Any]:
        return [*super()._working(), *self.at_work]

    def sweep(self, now: float) -> None:
        super().sweep(now)
        self.live.tick(now)

    def answer_at_once(self, connection: StreamConnection, messages: Sequence[Any]) -> bool:
        request = messages[0]
        if type(request) is Http2Begins:
            self.begin_http2(connection, request)
            return True
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
        if type(message) is not Request:
            self._process_other(connection, message)
            return
        message.connection = connection
        if message.stream is not None:
            message.stream.pull = connection.wait_for_data
        try:
            Context().run(enter, Scope(self._container, connection, message), self._serve, message)
        except HandlerTimeout as error:  # while it cleaned up: the answer stands
            report(error, message)

    def _process_other(self, connection: StreamConnection, message: Any) -> None:
        """What comes besides requests: an error, or the beginning of HTTP/2."""
        if type(message) is Http2Begins:
            self._server.begin_http2(connection, message)
        else:
            log.info("%r: %s %s", connection, message.status, message.text)
            connection.codec.fail(message)

    def _serve(self, request: Request) -> None:
        codec: Http1Codec = request.connection.codec  # type: ignore[attr-defined]
        try:
            response = self._server.pipeline.handle(request)
            self._answer(request, response, codec)
        except ConnectionClosed:
            codec.closing = True  # it may have been another one's: nothing can be said for this request any more
        except Exception as error:  # a response that cannot be sent as it is
            report(error, request)
            codec.respond(request, describe(error, debug=False).response() if isinstance(error, Refusal) else _FAILED)
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
        parts: Any
        if isinstance(body, LiveBody):
            parts = self._server.live.follow(body, connection, partial(_send_beat, connection, codec))
        else:
            parts = iter(body)
        try:
            if type(body) is FileBody and type(connection) is StreamConnection and connection.tls is None:
                answer_from_file(connection, codec, request, response, body.descriptor, body.offset, body.length)
                return
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
                codec.finish(request, trailers_for(request, response))
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


def _send_beat(connection: StreamConnection, codec: Http1Codec, data: bytes) -> None:
    """In the hub: the maker of a body is silent."""
    if connection.send_beat(len(data)):
        codec.part(data)
        connection.flush()
