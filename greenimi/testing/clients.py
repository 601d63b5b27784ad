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
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from greenimi.app import App
from greenimi.codec.base import Codec
from greenimi.codec.framing import PacketCodec, framing_from
from greenimi.codec.handshake import accept_key
from greenimi.codec.payload import payload_from
from greenimi.codec.websocket import ClientCodec
from greenimi.dispatch.paths import PathRouter
from greenimi.dispatch.route import Route
from greenimi.errors import ConnectionClosed, GreenimiError, ProtocolError
from greenimi.interfaces import IPayload
from greenimi.message import Headers
from greenimi.servers.configured import framing_table
from greenimi.testing.links import TIMEOUT, Target, connect, datagram_address


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


class _Client:
    """A context manager that closes itself."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _HttpLink(http.client.HTTPConnection):
    """The standard library's client on our sockets."""

    def __init__(self, target: Target, server: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._target = target
        self._server = server

    def connect(self) -> None:
        self.sock = connect(self._target, self._server, timeout=self.timeout or TIMEOUT)


class HttpClient(_Client):
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


class RequestFailed(GreenimiError):
    """The answer to ``request`` was an error; ``error`` is what the server told, ``status`` its code."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error
        if isinstance(error, Mapping):
            self.status = int(error.get("code", 500))


class _Messages(_Client, ABC):
    """What clients of message protocols share: values out and in by the server's payload, and requests that are answered by id."""

    _payload: IPayload
    _action = "action"
    _id = "id"

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self._last_id = 0

    @abstractmethod
    def send_raw(self, raw: bytes | str) -> None:
        """Send a message whose payload is encoded already."""

    @abstractmethod
    def _next_raw(self, until: float) -> bytes | str:
        """The next message; TimeoutError when the monotonic clock passes ``until``."""

    def send(self, data: Any) -> None:
        """Send a value."""
        self.send_raw(self._payload.encode(data))

    def receive(self, timeout: float = TIMEOUT) -> Any:
        """The next message of the server as a value.  ConnectionClosed when none will come."""
        if self._waiting:
            return self._waiting.popleft()
        return self._payload.decode(self._next_raw(time.monotonic() + timeout))

    def request(self, action: str, /, **fields: Any) -> Any:
        """The result of ``action``, asked for with an id.  RequestFailed for an error.  What comes before it waits for ``receive``."""
        self._last_id += 1
        self.send({self._action: action, self._id: self._last_id, **fields})
        until = time.monotonic() + TIMEOUT
        while True:
            answer = self._payload.decode(self._next_raw(until))
            if isinstance(answer, Mapping) and answer.get(self._id) == self._last_id:
                if "error" in answer:
                    raise RequestFailed(answer["error"])
                return answer["result"]
            self._waiting.append(answer)


class _StreamMessages(_Messages):
    """Over a stream socket, through a codec."""

    def __init__(self, sock: socket.socket, codec: Codec) -> None:
        super().__init__()
        self._sock = sock
        self._codec = codec
        self._received: deque[Any] = deque()

    def send_raw(self, raw: bytes | str) -> None:
        self._codec.send(raw)
        self._flush()

    def _flush(self) -> None:
        if self._codec.out:
            self._sock.sendall(self._codec.outgoing())

    def _next_raw(self, until: float) -> bytes | str:
        while not self._received:
            if self._codec.ended:
                raise self._closed()
            self._feed(until)
        message = self._received.popleft()
        if isinstance(message, ProtocolError):
            raise message
        raw: bytes | str = message.raw
        return raw

    def _feed(self, until: float) -> None:
        """Read once."""
        self._sock.settimeout(max(0.0001, until - time.monotonic()))
        try:
            data = self._sock.recv(65536)
        except ConnectionError:
            data = b""
        self._received += self._codec.receive(data)
        self._flush()

    def _closed(self) -> ConnectionClosed:
        return ConnectionClosed("the server closed the connection")

    def wait_closed(self, timeout: float = TIMEOUT) -> None:
        """Return once the server closed its side; messages that come before are kept for ``receive``."""
        until = time.monotonic() + timeout
        while not self._codec.ended:
            self._feed(until)

    def close(self) -> None:
        self._sock.close()


class MessageClient(_StreamMessages):
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
        self._payload = payload_from(payload)
        super().__init__(connect(target, server, timeout=timeout), PacketCodec(framing_from(table)))


class NotUpgraded(GreenimiError):
    """The server did not open the WebSocket; ``response`` is what it answered."""

    def __init__(self, response: TestResponse) -> None:
        super().__init__(f"the handshake was answered {response!r}")
        self.status = response.status
        self.response = response


class WebSocketClient(_StreamMessages):
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
        self._payload = payload_from(payload)
        super().__init__(connect(target, server, timeout=timeout), ClientCodec(text_default=self._payload.text))
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


class DatagramClient(_Messages):
    """A UDP server's client, over the loopback interface.  Payload and field names are those of the server."""

    def __init__(self, target: Target, server: str = "udp", *, payload: str = "json") -> None:
        super().__init__()
        self._address = target if isinstance(target, tuple) else datagram_address(target, server)
        if isinstance(target, App):
            settings = target.doors.servers[server].settings
            payload = settings.payload
            self._action, self._id = settings.action_field, settings.id_field
        self._payload = payload_from(payload)
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.connect(self._address)

    def send_raw(self, raw: bytes | str) -> None:
        self._sock.send(raw.encode() if isinstance(raw, str) else raw)

    def _next_raw(self, until: float) -> bytes | str:
        self._sock.settimeout(max(0.0001, until - time.monotonic()))
        return self._sock.recv(65536)

    def close(self) -> None:
        self._sock.close()
