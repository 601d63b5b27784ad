"""WebSockets of WSGI guests as gevent-websocket offers them, on our own codec and connections.

``environ["wsgi.websocket"]`` is there when the application is called, after the handshake.  The application has a greenlet of its own as
long as the WebSocket lives, which counts apart from those that handle messages.  Its ``receive`` and the connection's handler take turns:
the handler hands over a message and goes on when the next one is asked for.  So the bounds of the connection's inbox hold, replies go out
before the goodbye that follows a message is answered, and an idle WebSocket can be pinged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import Context
from functools import partial
from typing import Any, NamedTuple

from gevent import getcurrent
from gevent.event import Event
from geventwebsocket.exceptions import WebSocketError
from geventwebsocket.handler import Client
from geventwebsocket.resource import WebSocketApplication
from geventwebsocket.websocket import MSG_ALREADY_CLOSED, MSG_SOCKET_DEAD, WebSocket

from greenimi.codec.handshake import check_upgrade
from greenimi.codec.websocket import WebSocketCodec
from greenimi.codec.websocket_frames import ABNORMAL, BINARY, CLOSE, PING, PONG, TEXT
from greenimi.container.context import Scope, enter
from greenimi.dispatch.failure import report
from greenimi.errors import ConnectionClosed, Overloaded, ProtocolError
from greenimi.message import Reply, Request, Upgrade
from greenimi.servers.guests.environ import Application
from greenimi.servers.origin import Origins
from greenimi.servers.settings import ServerSettings
from greenimi.servers.stream import StreamConnection

log = logging.getLogger("greenimi.servers")

_TRY_LATER = 1013
_TOGETHER = 16  # messages queued by one greenlet before they are sent


_AS_BEFORE = {"REQUEST_METHOD": "GET", "HTTP_UPGRADE": "websocket", "HTTP_CONNECTION": "Upgrade"}
"""Libraries of applications look for these, whatever HTTP the WebSocket came by."""


def asks_for_websocket(request: Request) -> bool:
    """Whether an upgrade is one to WebSocket; whether it is a good one shows when it is opened."""
    return request.version == "2" or (request.method == "GET" and "websocket" in request.headers.get("upgrade", "").lower())


class GuestWebSockets:
    """Opens the WebSockets of one guest."""

    def __init__(self, application: Application, make_environ: Callable[[Request], dict[str, Any]], settings: ServerSettings) -> None:
        self._server = GuestServer(application)
        self._make_environ = make_environ
        self._origins = Origins(settings.origins)
        self._max_message = settings.max_message
        self._max_frame = settings.max_frame or None
        _mend_application_loop()

    def open(self, request: Request) -> Upgrade:
        """The 101, or a Refusal: 400 or 426 for a handshake that is none, 403 for a foreign Origin.

        The subprotocol is the one that ``app_protocol(path)`` of the application names (as ``Resource`` does), when the client offers it.
        """
        environ = self._make_environ(request)
        if request.version == "2":
            environ |= _AS_BEFORE
        app_protocol = getattr(self._server.application, "app_protocol", None)
        handshake = check_upgrade(request, (app_protocol(environ["PATH_INFO"]),) if app_protocol is not None else ())
        self._origins.check(request)
        return Upgrade(partial(self._switch, request, environ, handshake.subprotocol), handshake.headers)

    def _switch(self, request: Request, environ: dict[str, Any], subprotocol: str, response: Upgrade, connection: StreamConnection) -> None:
        connection, rest = connection.upgrade(response)
        codec = WebSocketCodec(max_message=self._max_message, max_frame=self._max_frame, subprotocol=subprotocol)
        connection.switch(codec, Conversation(self._server, request, environ, connection), request, rest)


class GuestServer:
    """What an application finds as ``ws.handler.server``; it may leave things of its own here."""

    def __init__(self, application: Application) -> None:
        self.application: Any = application
        self.clients = Clients()
        self.logger = log


class Clients(dict[str, Client]):
    """The WebSockets of a guest that are open, by connection id.  May be looped over while clients come and go."""

    def values(self) -> list[Client]:  # type: ignore[override]
        return list(super().values())

    def items(self) -> list[tuple[str, Client]]:  # type: ignore[override]
        return list(super().items())


class Handler:
    """What an application finds as ``ws.handler``."""

    def __init__(self, server: GuestServer, environ: Mapping[str, Any], key: str, address: Any) -> None:
        self.server = server
        self.application = server.application
        self.environ = environ
        self.client_address = address
        self._key = key

    @property
    def active_client(self) -> Client:
        return self.server.clients[self._key]

    @property
    def logger(self) -> logging.Logger:
        return self.server.logger


class _Outgoing(NamedTuple):
    """What our WebSocket gives to ``connection.send``."""

    payload: bytes | str
    opcode: int


class Conversation:
    """The endpoint of one connection: hands its messages to the application's greenlet, one at a time."""

    has_opened = True
    has_closed = True

    def __init__(self, server: GuestServer, request: Request, environ: dict[str, Any], connection: StreamConnection) -> None:
        self._server = server
        self._request = request
        self._environ = environ
        handler = Handler(server, environ, connection.id, connection.address)
        self._websocket = GuestWebSocket(environ, handler, self, connection)
        environ["wsgi.websocket"] = self._websocket
        environ["wsgi.websocket_version"] = environ["HTTP_SEC_WEBSOCKET_VERSION"]
        self._message: bytes | str | None = None  # handed over, not taken yet
        self._arrived = Event()  # there is one, or none will come
        self._wanted = Event()  # the application took the last one and came back for more
        self._over = False

    # -- the connection's side: in its handler ---------------------------------------------------------------------
    def opened(self, connection: StreamConnection, message: Any) -> None:
        connection.server.handlers.start(self._run, connection)

    def process(self, connection: StreamConnection, message: Any) -> None:
        if type(message) is ProtocolError:
            log.info("%r: %s", connection, message.text)
            connection.codec.fail(message)
            return
        if self._over:
            return
        self._message = message.raw
        self._wanted.clear()
        self._arrived.set()
        try:
            with connection.server.handlers.apart():
                self._wanted.wait()
        except Overloaded as error:
            connection.refuse(_TRY_LATER, error.text)

    def closed(self, connection: StreamConnection) -> None:
        self._websocket.closed = True
        self.end()

    def send(self, connection: StreamConnection, data: Any) -> None:
        if type(data) is _Outgoing:
            connection.codec.send(*data)  # type: ignore[call-arg]  # a WebSocket codec since the handshake
        elif type(data) is Reply:
            connection.codec.send_raw(data.raw)
        elif isinstance(data, str | bytes):
            connection.codec.send(data)
        else:
            raise TypeError(f"the WebSocket of a guest sends str and bytes, not {type(data).__name__}")

    # -- the application's side: in its own greenlet ---------------------------------------------------------------
    def next_message(self) -> bytes | str | None:
        """Wait for a message; None when the connection ended."""
        if self._message is None:
            self._wanted.set()
        while self._message is None:
            if self._over:
                return None
            self._arrived.wait()
            self._arrived.clear()
        message, self._message = self._message, None
        return message

    def end(self) -> None:
        """No more messages are wanted, or will come: nobody waits any longer, and a message that was not taken is dropped."""
        self._over = True
        self._message = None
        self._arrived.set()
        self._wanted.set()

    def _run(self, connection: StreamConnection) -> None:
        scope = Scope(connection.server.container, connection, self._request)
        Context().run(enter, scope, self._serve, connection)

    def _serve(self, connection: StreamConnection) -> None:
        code = 1011
        clients = self._server.clients
        clients[connection.id] = Client(connection.address, self._websocket)
        self._websocket.begin()
        try:
            with connection.server.handlers.apart():
                self._call()
            code = 1000
        except Overloaded as error:
            code = _TRY_LATER
            log.warning("%r: %s", connection, error.text)
        except (ConnectionClosed, WebSocketError) as error:  # the client's doing, and the application did not mind it
            log.info("%r: %s", connection, error)
        except Exception as error:
            report(error, self._request)
        finally:
            del clients[connection.id]
            self._environ["wsgi.websocket"] = None
            self._websocket.end(code)
            self.end()

    def _call(self) -> None:
        """Call the application; whatever it answers in the way of HTTP comes too late."""
        result = self._server.application(self._environ, _start_response)
        try:
            for _ in result or ():
                pass
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()


def _start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
    return _write


def _write(data: bytes) -> None: ...


class GuestWebSocket(WebSocket):
    """``environ["wsgi.websocket"]``.  May be used from several greenlets: each message goes out whole.

    ``closed`` is True once either side ended it.  ``environ`` stays.  Pings are answered without the application's doing.
    """

    def __init__(self, environ: dict[str, Any], handler: Handler, conversation: Conversation, connection: StreamConnection) -> None:
        # not the base's: it makes a reader of its own
        self.environ = environ
        self.handler = handler
        self.closed = False
        self._conversation = conversation
        self._connection = connection
        self._end_told = False
        self._owner: object = None  # the greenlet of the application

    def __del__(self) -> None:
        """The base would say goodbye to the client whenever the collector comes by; here the server does, when the application returns."""

    def begin(self) -> None:
        """The application is called, in this greenlet."""
        self._owner = getcurrent()

    def end(self, code: int) -> None:
        """The application returned, or failed."""
        self._owner = None
        if not self.closed:
            self.close(code)

    def receive(self) -> bytes | str | None:
        """Wait for the next message: text as str, binary as bytes.  None when the client left, WebSocketError after that or ``close``."""
        if self._end_told:
            raise WebSocketError(MSG_ALREADY_CLOSED)
        message = self._conversation.next_message()
        if message is None:
            self.closed = self._end_told = True
        return message

    def send(self, message: Any, binary: bool | None = None) -> None:
        """Send text for str and binary for everything else, unless ``binary`` says.  Raises WebSocketError when it is closed.

        The application's own greenlet waits while the client does not read.  Others do not; what they send is bounded by the server's
        ``outbox``, beyond which the client is disconnected.
        """
        if binary is None:
            binary = not isinstance(message, str)
        self.send_frame(message, BINARY if binary else TEXT)

    def send_frame(self, message: Any, opcode: int) -> None:
        """Send one frame: OPCODE_TEXT, OPCODE_BINARY, OPCODE_PING, OPCODE_PONG or OPCODE_CLOSE (code and reason).

        Raises WebSocketError when it is closed, ValueError for what may not be sent.
        """
        if self.closed:
            raise WebSocketError(MSG_ALREADY_CLOSED)
        payload = message.encode() if isinstance(message, str) else bytes(message)
        if opcode == CLOSE:
            self.close(int.from_bytes(payload[:2], "big") if payload else 1000, payload[2:])
            return
        if opcode == TEXT:
            payload.decode()  # a client ends the connection for text that is none
        elif opcode in (PING, PONG):
            if len(payload) > 125:
                raise ValueError(f"a ping or pong holds at most 125 bytes, not {len(payload)}")
        elif opcode != BINARY:
            raise ValueError(f"frames of opcode {opcode} cannot be sent by themselves")
        self._send(_Outgoing(payload, opcode))

    def _send(self, frame: _Outgoing) -> None:
        connection = self._connection
        if getcurrent() is not self._owner:
            if _gone(connection) or not connection.send(frame):
                raise WebSocketError(MSG_SOCKET_DEAD)
            return
        if not connection.is_open or _gone(connection):
            raise WebSocketError(MSG_SOCKET_DEAD)
        connection.endpoint.send(connection, frame)
        if len(connection.codec.out) < _TOGETHER and not connection.unfinished:
            connection.flush_later()
            return
        try:
            connection.wait_drained()
        except ConnectionClosed:
            raise WebSocketError(MSG_SOCKET_DEAD) from None

    def close(self, code: int = 1000, message: bytes | str = b"") -> None:
        """Say goodbye with this code and reason; closing twice does nothing.  ValueError for a code that may not be sent."""
        if self.closed:
            return
        reason = message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message or "")
        self._connection.close(code, reason)
        self.closed = self._end_told = True
        self._conversation.end()


def _gone(connection: StreamConnection) -> bool:
    """The client left without a goodbye, while messages of it are still being handled."""
    codec = connection.codec
    return codec.ended and codec.close_code == ABNORMAL  # type: ignore[attr-defined]  # a WebSocket codec since the handshake


def _mend_application_loop() -> None:
    """gevent-websocket's loop calls ``on_message(None)`` when the client leaves, and no ``on_close`` after an error.  Idempotent."""
    WebSocketApplication.handle = _handle


def _handle(self: WebSocketApplication) -> None:
    """Every message to ``on_message``, then ``on_close``, once."""
    self.protocol.on_open()
    try:
        while (message := self.ws.receive()) is not None:
            self.protocol.on_message(message)
    except WebSocketError:
        pass  # it was closed while the application was at work
    finally:
        self.protocol.on_close()
