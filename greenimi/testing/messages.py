"""What the clients of message protocols share: values, requests with replies in both directions, and events."""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from greenimi.codec.base import Codec
from greenimi.codec.payload import payload_from
from greenimi.errors import ConnectionClosed, GreenimiError, ProtocolError
from greenimi.interfaces import IPayload
from greenimi.testing.links import TIMEOUT


class Client:
    """A context manager that closes itself."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class RequestFailed(GreenimiError):
    """The answer to ``request`` was an error; ``error`` is what the server told, ``status`` its code."""

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error
        if isinstance(error, Mapping):
            self.status = int(error.get("code", 500))


class Asked:
    """A request of the server, which waits for ``reply`` or ``fail``.  ``data`` is the whole message."""

    def __init__(self, client: Messages, data: Mapping[str, Any], id_field: str) -> None:
        self.data = data
        self._client = client
        self._head = {id_field: data[id_field]}

    def reply(self, result: Any = None) -> None:
        self._client.send({**self._head, "result": result})

    def fail(self, error: Any) -> None:
        self._client.send({**self._head, "error": error})


class Messages(Client, ABC):
    """Values out and in by a payload, and requests that are answered by id.

    What was waiting for something else gets past stays in order, for ``receive`` and the others.
    """

    _action = "action"
    _id = "id"

    def __init__(self, payload: str | IPayload) -> None:
        self.payload = payload
        self._waiting: deque[Any] = deque()
        self._answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
        self._last_id = 0

    @property
    def payload(self) -> IPayload:
        """What a message's bytes mean.  May be set, also by name, where the server changes it for this connection."""
        return self._payload

    @payload.setter
    def payload(self, payload: str | IPayload) -> None:
        self._payload: IPayload = payload_from(payload) if isinstance(payload, str) else payload

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
        return self._next(lambda value: True, timeout)

    def request(self, action: str, /, **fields: Any) -> Any:
        """The result of ``action``, asked for with an id.  RequestFailed for an error."""
        self._last_id += 1
        number = self._last_id
        self.send({self._action: action, self._id: number, **fields})
        answer = self._next(lambda value: isinstance(value, Mapping) and value.get(self._id) == number)
        if "error" in answer:
            raise RequestFailed(answer["error"])
        return answer["result"]

    def event(self, name: str, timeout: float = TIMEOUT) -> Any:
        """The data of the next push with this event."""
        return self._next(lambda value: isinstance(value, Mapping) and value.get("event") == name, timeout).get("data")

    def asked(self, action: str, timeout: float = TIMEOUT) -> Asked:
        """The next request of the server for ``action``."""
        found = self._next(lambda value: self._asks(value) and value[self._action] == action, timeout)
        return Asked(self, found, self._id)

    def answer(self, action: str, function: Callable[[Mapping[str, Any]], Any]) -> None:
        """Reply ``function(message)`` to all requests of the server for ``action``, whenever one is met while something is waited for."""
        self._answers[action] = function

    def _asks(self, value: Any) -> bool:
        return isinstance(value, Mapping) and self._action in value and value.get(self._id) is not None

    def _next(self, fits: Callable[[Any], bool], timeout: float = TIMEOUT) -> Any:
        for place, value in enumerate(self._waiting):
            if fits(value):
                del self._waiting[place]
                return value
        until = time.monotonic() + timeout
        while True:
            value = self._payload.decode(self._next_raw(until))
            if self._asks(value) and value[self._action] in self._answers:
                Asked(self, value, self._id).reply(self._answers[value[self._action]](value))
            elif fits(value):
                return value
            else:
                self._waiting.append(value)


class StreamMessages(Messages):
    """Over a stream socket, through a codec."""

    def __init__(self, sock: socket.socket, codec: Codec, payload: str | IPayload) -> None:
        super().__init__(payload)
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

    def end(self) -> None:
        """End this side of the socket: nothing more will be sent; what the server sends is received as before."""
        self._sock.shutdown(socket.SHUT_WR)

    def wait_closed(self, timeout: float = TIMEOUT) -> None:
        """Return once the server closed its side; messages that come before are kept for ``receive``."""
        until = time.monotonic() + timeout
        while not self._codec.ended:
            self._feed(until)

    def close(self) -> None:
        self._sock.close()
