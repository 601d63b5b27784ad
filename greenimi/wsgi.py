"""An application as a WSGI callable, for servers that are not greenimi's own: HTTP only.

``greenimi.wsgi:application()`` is what such a server is told to serve.  WebSockets are refused with 426, TCP and UDP servers of conf stay
closed.  Tasks and timers run where the server runs gevent's loop, as Gunicorn's gevent worker does.
"""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from zope.interface import implementer

from greenimi.app import App
from greenimi.codec.base import body_limit
from greenimi.codec.heads import FRAMING_FIELDS, render_fields
from greenimi.container.context import Scope, current
from greenimi.dispatch.failure import describe, report
from greenimi.dispatch.pipeline import HttpPipeline
from greenimi.errors import BadMessage, ProtocolError, Refusal, StartError, TooLarge
from greenimi.interfaces import IConnection, IPayload
from greenimi.message import Body, Identity, Request, Response

log = logging.getLogger("greenimi")

_BLOCK = 65536
_NO_BODY = frozenset({204, 304})
_FAILED = Response(b"the server failed\n", 500)

StartResponse = Callable[..., Any]


def application(conf: str | Path | None = None, server: str = "") -> WsgiApplication:
    """The application of ``conf`` (default: ``GREENIMI_CONF``, then ``conf/app.toml``), committed; it starts with the first request.

    ``server`` names the HTTP server of conf whose routes and layers are meant, where there are several.  Raises a StartError.
    """
    return WsgiApplication(App.from_file(conf).commit(), server)


class WsgiApplication:
    """Answers WSGI requests (PEP 3333) through the pipeline of an HTTP server of an application.  Safe to call from several threads."""

    def __init__(self, app: App, server: str = "") -> None:
        self.app = app
        try:
            self._server_name = _http_server(app.commit(), server)
        except BaseException:
            app.stop()
            raise
        self._server: Any = None
        self._pipeline: HttpPipeline
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if self._server is None:
            self._start()
        connection = WsgiConnection(self._server, environ)
        try:
            request = make_request(environ, connection, self._server.settings.max_body, self._server.settings.uploads.max_body)
        except Refusal as error:
            return _answer(describe(error, debug=False).response(), environ["REQUEST_METHOD"], start_response)
        return _Handling(Scope(self._server.container, connection, request)).run(self._pipeline, request, start_response)

    def _start(self) -> None:
        """Start the services, once, in the process and at the time of the first request: a server may have forked since it was loaded."""
        with self._lock:
            if self._server is None:
                self.app.start()
                atexit.register(self.close)
                server: Any = self.app.doors.servers[self._server_name]
                self._pipeline = server.pipeline
                self._server = server

    def close(self) -> None:
        """Stop the services.  Done at the end of the process; calling it twice does nothing."""
        atexit.unregister(self.close)
        self._server = None
        self.app.stop()


def _http_server(app: App, wanted: str) -> str:
    names = [facts.name for facts in app.setup.introspect("server") if facts.kind == "http"]
    if wanted in names:
        return wanted
    if len(names) == 1 and not wanted:
        return str(names[0])
    known = ", ".join(names) or "none"
    if wanted:
        raise StartError(f"there is no HTTP server {wanted!r}; HTTP servers in conf: {known}")
    raise StartError(f"one HTTP server is needed; in conf: {known}", hint='name one of several: greenimi.wsgi:application(server="web")')


# -- in ----------------------------------------------------------------------------------------------------------------


@implementer(IConnection)
class WsgiConnection:
    """What a handler finds as its connection: it says who the client is, but belongs to another server."""

    tls = None  # nothing is known of it
    dialect = None  # nothing can be pushed to it
    subprotocol = ""

    def __init__(self, server: Any, environ: dict[str, Any]) -> None:
        self.number = server.runtime.next_number()
        self.id = str(self.number)
        self.server = server
        self.local_address = (environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 0))
        self.opened_at = self.last_seen = time.time()
        self.links: Any = None
        self.address = (environ.get("REMOTE_ADDR", ""), int(environ.get("REMOTE_PORT") or 0))
        self.secure = environ["wsgi.url_scheme"] == "https"
        self.data: dict[str, Any] = {}
        self.is_open = True
        self.identity: Identity | None = None

    def send(self, data: Any) -> bool:
        raise TypeError("an HTTP connection has no messages of its own accord")

    def push(self, framed: bytes, key: str | None = None) -> bool:
        """Never: there is no dialect to frame anything."""
        return False

    def request(self, data: Mapping[str, Any], timeout: float = 10.0) -> Any:
        raise TypeError("an HTTP connection has no messages of its own accord")

    @property
    def payload(self) -> IPayload:
        raise TypeError("an HTTP connection has no messages of its own accord")

    @payload.setter
    def payload(self, payload: str | IPayload) -> None:
        raise TypeError("an HTTP connection has no messages of its own accord")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """The connection is not ours to close."""
        self.is_open = False


def make_request(environ: dict[str, Any], connection: Any, max_body: int, max_form: int = 0) -> Request:
    """The request that an environ tells of.  Raises BadMessage for a path that is not UTF-8, TooLarge for a body over ``max_body``, of a
    multipart form over ``max_form`` where that is not 0."""
    try:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode() or "/"
    except UnicodeError:
        raise BadMessage("the path is not UTF-8") from None
    query = environ.get("QUERY_STRING", "")
    method = environ["REQUEST_METHOD"]
    target = quote(path) + (f"?{query}" if query else "")
    lines = [f"{method} {target} HTTP/1.1"]
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            lines.append(f"{key[5:].replace('_', '-').title()}: {value}")
    for key, name in (("CONTENT_TYPE", "Content-Type"), ("CONTENT_LENGTH", "Content-Length")):
        if environ.get(key):
            lines.append(f"{name}: {environ[key]}")
    request = Request(method, target, path, query, "\r\n".join((*lines, "", "")), connection=connection)
    most = body_limit(request, max_body, max_form)
    request.stream = _body(environ, most)
    if request.stream is not None and most != max_body:
        request.stream.limit = max_body  # for those who read it whole
    return request


def _body(environ: dict[str, Any], max_body: int) -> Body | None:
    """The body as it arrives; None when the request has none."""
    length = environ.get("CONTENT_LENGTH", "")
    if length:
        if not (length.isascii() and length.isdigit()):
            raise BadMessage("the Content-Length is not a number")
        if int(length) > max_body:
            raise TooLarge(f"the body is over {max_body} bytes")
        return InputBody(environ["wsgi.input"], int(length), max_body) if int(length) else None
    if environ.get("wsgi.input_terminated") and environ.get("HTTP_TRANSFER_ENCODING"):
        return InputBody(environ["wsgi.input"], None, max_body)
    return None


class InputBody(Body):
    """A body read from ``wsgi.input``: ``length`` bytes, or until its end.  Reading blocks as that does."""

    __slots__ = ("_input", "_left", "_limit")

    def __init__(self, source: Any, length: int | None, limit: int) -> None:
        super().__init__()
        self._input = source
        self._left = length
        self._limit = limit

    def read_chunk(self) -> bytes:
        """The next bytes, ``b""`` at the end.  Raises ProtocolError for a body that ends early or is over the limit (413), TooLarge
        for one that its route does not take."""
        if self.finished:
            return b""
        data: bytes = self._input.read(_BLOCK if self._left is None else min(_BLOCK, self._left))
        self.received += len(data)
        if self._left is not None:
            self._left -= len(data)
            if not data:
                raise ProtocolError("the client ended in the middle of the body")
        elif self.received > self._limit:
            raise ProtocolError(f"the body is over {self._limit} bytes", status=413)
        self.check_size(self.received)
        self.finished = not data or self._left == 0
        return data


# -- out ---------------------------------------------------------------------------------------------------------------


def _answer(response: Response, method: str, start_response: StartResponse) -> list[bytes]:
    """Answer with a body that is there as a whole."""
    body = response.body.encode() if isinstance(response.body, str) else response.body
    assert isinstance(body, bytes)
    bodiless = response.status in _NO_BODY
    start_response(_status(response.status), _fields(response) + ([] if bodiless else [("Content-Length", str(len(body)))]))
    return [] if bodiless or method == "HEAD" else [body]


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"


def _fields(response: Response) -> list[tuple[str, str]]:
    """The fields without those that say how long the body is.  Raises ValueError for what would break out of its line."""
    fields = [field for field in response.headers if field[0].lower() not in FRAMING_FIELDS and field[0].lower() != "connection"]
    if response.content_type and response.status not in _NO_BODY:
        fields.insert(0, ("Content-Type", response.content_type))
    render_fields(fields)
    return fields


class _Handling:
    """One request in its scope, which is open until the last part of the answer is made."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._context = Context()
        self._context.run(current.set, scope)

    def run(self, pipeline: HttpPipeline, request: Request, start_response: StartResponse) -> Iterable[bytes]:
        try:
            response = self._context.run(pipeline.handle, request)
            try:
                if isinstance(response.body, bytes | str):
                    answer: Iterable[bytes] = _answer(response, request.method, start_response)
                else:
                    return self._stream(response, request, start_response)
            except Exception as error:  # a response that cannot be sent as it is
                self._context.run(report, error, request)
                answer = _answer(_FAILED, request.method, start_response)
        except BaseException:
            self.close()
            raise
        self.close()
        return answer

    def _stream(self, response: Response, request: Request, start_response: StartResponse) -> _Stream:
        """Answer with a body that is made while it is sent.  An error before its first part can still be answered as one."""
        body: Any = response.body
        parts = iter(body)
        empty = request.method == "HEAD" or response.status in _NO_BODY
        first = b"" if empty else self.next(parts)
        lengths = [field for field in response.headers if field[0].lower() == "content-length"]
        start_response(_status(response.status), _fields(response) + lengths[:1])
        return _Stream(self, first, None if empty else parts, parts)

    def next(self, parts: Iterator[bytes | str]) -> bytes | None:
        """The next part; None after the last one."""
        part = self._context.run(next, parts, None)
        return part.encode() if isinstance(part, str) else part

    def close(self) -> None:
        try:
            self._context.run(self._scope.close)
        except Exception:
            log.exception("what was deferred to the end of a message failed")


class _Stream:
    """The parts of an answer, each made in the scope of its request."""

    def __init__(self, handling: _Handling, first: bytes | None, parts: Iterator[bytes | str] | None, body: Iterator[bytes | str]) -> None:
        self._handling = handling
        self._first = first
        self._parts = parts
        self._body = body

    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> bytes:
        part, self._first = self._first, None
        while not part:
            part = self._handling.next(self._parts) if self._parts is not None else None
            if part is None:
                raise StopIteration
        return part

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._handling.close()
