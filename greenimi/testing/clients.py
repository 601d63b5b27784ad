"""Clients for every door of an application, in blocking style.

Given an App they need no address: see :mod:`greenimi.testing.links`.  Given an address instead, the same clients talk to any process.

Whatever is waited for longer than ``timeout`` seconds raises TimeoutError.
"""

from __future__ import annotations

import base64
import http.client
import json as json_codec
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from greenimi.app import App
from greenimi.codec.framing import framing_from
from greenimi.codec.handshake import accept_key
from greenimi.codec.packets import PacketCodec
from greenimi.codec.payload import payload_from
from greenimi.codec.websocket import ClientCodec
from greenimi.dispatch.paths import PathRouter
from greenimi.dispatch.route import Route
from greenimi.errors import ConnectionClosed, GreenimiError, ProtocolError
from greenimi.message import Headers
from greenimi.servers.configured import framing_table
from greenimi.testing.links import TIMEOUT, Target, connect, datagram_address
from greenimi.testing.messages import Asked, Client, Messages, RequestFailed, StreamMessages

__all__ = [
    "Asked",
    "DatagramClient",
    "HttpClient",
    "MessageClient",
    "NotUpgraded",
    "RequestFailed",
    "ResponseStream",
    "TestResponse",
    "WebSocketClient",
]


class TestResponse:
    """An answer of a web server, completely received."""

    __test__ = False  # its name would make pytest collect it

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json_codec.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:200]!r}>"


class ResponseStream:
    """An answer of which the body is read as it comes."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = Headers(response.getheaders())
        self._response = response

    def read(self, size: int | None = None) -> bytes:
        """Up to ``size`` bytes of the body, all that is left without a size; ``b""`` at the end.  ConnectionClosed when it is cut short."""
        try:
            return self._response.read(size)
        except http.client.IncompleteRead as error:
            raise ConnectionClosed(f"the body ended after {len(error.partial)} bytes of what was left") from None

    def __iter__(self) -> Iterator[bytes]:
        """The pieces as they arrive."""
        try:
            while data := self._response.read1(65536):
                yield data
        except http.client.IncompleteRead:
            raise ConnectionClosed("the body ended too early") from None


class _HttpLink(http.client.HTTPConnection):
    """The standard library's client on our sockets."""

    def __init__(self, target: Target, server: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._target = target
        self._server = server

    def connect(self) -> None:
        self.sock = connect(self._target, self._server, timeout=self.timeout or TIMEOUT)


class HttpClient(Client):
    """HTTP/1.1 on one connection, which is kept open between requests and opened again when the server closed it."""

    def __init__(self, target: Target, server: str = "web", *, timeout: float = TIMEOUT) -> None:
        self._link = _HttpLink(target, server, timeout)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        """One request and its answer.  ``json``: a value to be sent as JSON.  A ``body`` that is an iterable goes out in chunks."""
        answer = self.stream(method, path, json=json, body=body, headers=headers)
        return TestResponse(answer.status, answer.headers, answer.read())

    def stream(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ResponseStream:
        """Like ``request``, but returns as soon as the head of the answer is there.  Read its body before the next request."""
        fields = dict(headers or {})
        if json is not None:
            body = json_codec.dumps(json).encode()
            fields.setdefault("Content-Type", "application/json")
        self._link.request(method, path, body.encode() if isinstance(body, str) else body, fields)
        return ResponseStream(self._link.getresponse())

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> TestResponse:
        return self.request("GET", path, headers=headers)

    def post(
        self,
        path: str,
        *,
        json: Any = None,
        body: bytes | str | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> TestResponse:
        return self.request("POST", path, json=json, body=body, headers=headers)

    def close(self) -> None:
        self._link.close()


class MessageClient(StreamMessages):
    """A TCP server's client.  Framing, payload and field names are those of the server; given an address, those that are named."""

    def __init__(
        self,
        target: Target,
        server: str = "tcp",
        *,
        framing: str | Mapping[str, Any] = "line",
        payload: str = "json",
        timeout: float = TIMEOUT,
    ) -> None:
        table = framing
        if isinstance(target, App):
            settings = target.doors.servers[server].settings
            table, payload = framing_table(settings), settings.payload
            self._action, self._id = settings.action_field, settings.id_field
        super().__init__(connect(target, server, timeout=timeout), PacketCodec(framing_from(table)), payload)


_LARGEST = 1 << 26
"""Bytes of a message of a WebSocket client, in either direction."""


class NotUpgraded(GreenimiError):
    """The server did not open the WebSocket; ``response`` is what it answered."""

    def __init__(self, response: TestResponse) -> None:
        super().__init__(f"the handshake was answered {response!r}")
        self.status = response.status
        self.response = response


class WebSocketClient(StreamMessages):
    """A WebSocket on a path.  The payload is that of the server or of its controller; given an address, the one that is named.

    ``close_code`` and ``close_reason`` are the server's once it said goodbye.  Pings are answered whenever something is received.
    """

    _codec: ClientCodec

    def __init__(
        self,
        target: Target,
        path: str = "/",
        server: str = "web",
        *,
        headers: Mapping[str, str] | None = None,
        subprotocols: Iterable[str] = (),
        payload: str = "json",
        timeout: float = TIMEOUT,
    ) -> None:
        if isinstance(target, App):
            settings = target.doors.servers[server].settings
            payload = _websocket_payload(target, server, path) or settings.payload
            self._action, self._id = settings.action_field, settings.id_field
        meaning = payload_from(payload)
        super().__init__(connect(target, server, timeout=timeout), ClientCodec(max_message=_LARGEST, text_default=meaning.text), meaning)
        try:
            self.headers = self._shake_hands(path, dict(headers or {}), ", ".join(subprotocols))
        except BaseException:
            self._sock.close()
            raise

    def _shake_hands(self, path: str, more: dict[str, str], subprotocols: str) -> Headers:
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
        }
        if subprotocols:
            fields["Sec-WebSocket-Protocol"] = subprotocols
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**fields, **more}.items())
        self._sock.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        head = bytearray()
        while b"\r\n\r\n" not in head:  # byte by byte: what follows the head belongs to the codec
            byte = self._sock.recv(1)
            if not byte:
                raise ConnectionClosed("the server closed before it answered the handshake")
            head += byte
        status = int(head.split(b" ", 2)[1])
        headers = Headers.from_head(head.decode("latin-1"))
        if status != 101:
            raise NotUpgraded(TestResponse(status, headers, self._read_exactly(int(headers.get("content-length", "0")))))
        if headers.get("sec-websocket-accept") != accept_key(key):
            raise ProtocolError("the handshake's answer does not prove that the key was read")
        return headers

    def _read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size and (more := self._sock.recv(size - len(data))):
            data += more
        return data

    def send(self, data: Any) -> None:
        self._codec.text_default = self.payload.text
        super().send(data)

    @property
    def close_code(self) -> int:
        return self._codec.close_code

    @property
    def close_reason(self) -> str:
        return self._codec.close_reason

    def _closed(self) -> ConnectionClosed:
        return ConnectionClosed(f"the server closed with {self.close_code} {self.close_reason}".rstrip())

    def ping(self, payload: bytes = b"", timeout: float = TIMEOUT) -> None:
        """Return once the server answered; messages that come before are kept for ``receive``."""
        self._codec.last_pong = None
        self._codec.ping(payload)
        self._flush()
        until = time.monotonic() + timeout
        while self._codec.last_pong != payload:
            if self._codec.ended:
                raise self._closed()
            self._feed(until)

    def close(self, code: int = 1000, reason: str = "", timeout: float = TIMEOUT) -> None:
        """Say goodbye and wait for the server's; the socket is closed in any case."""
        try:
            self._codec.close(code, reason)
            self._flush()
            self.wait_closed(timeout)
        except (ConnectionError, TimeoutError):
            pass  # it hung up without a goodbye, or takes too long
        finally:
            self._sock.close()


def _websocket_payload(app: App, server: str, path: str) -> str:
    """What the controller at a path says its payload is."""
    router: PathRouter[Route] = PathRouter()
    for route in app.setup.introspect("route"):
        if route.server == server and route.kind == "websocket":
            router.add(route.template, "", route)
    found = router.find("", path.partition("?")[0])
    return str(found[0].options["payload"]) if found else ""


class DatagramClient(Messages):
    """A UDP server's client, over the loopback interface.  Payload and field names are those of the server."""

    def __init__(self, target: Target, server: str = "udp", *, payload: str = "json") -> None:
        self._address = target if isinstance(target, tuple) else datagram_address(target, server)
        if isinstance(target, App):
            settings = target.doors.servers[server].settings
            payload = settings.payload
            self._action, self._id = settings.action_field, settings.id_field
        super().__init__(payload)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.connect(self._address)

    def send_raw(self, raw: bytes | str) -> None:
        self._sock.send(raw.encode() if isinstance(raw, str) else raw)

    def _next_raw(self, until: float) -> bytes | str:
        self._sock.settimeout(max(0.0001, until - time.monotonic()))
        return self._sock.recv(65536)

    def close(self) -> None:
        self._sock.close()
