"""A stream of HTTP/2 that looks like a socket: what WebSocket connections over HTTP/2 stand on (RFC 8441)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from h2.errors import ErrorCodes

from greenimi.codec.base import Codec
from greenimi.errors import ConnectionClosed, Refusal
from greenimi.message import Response
from greenimi.servers.stream import StreamConnection

if TYPE_CHECKING:
    from greenimi.servers.http2 import Http2Stream

_READABLE = 1


def open_tunnel(stream: Http2Stream, response: Response) -> StreamConnection:
    """Answer the extended CONNECT of ``stream`` with ``response``; the connection that is to speak another protocol on it.

    Raises Refusal (503) when the client's address has too many connections, ConnectionClosed when it left.
    """
    server = stream.server
    if stream.closing:
        raise ConnectionClosed("the client left")
    if not server.gate.admits(stream.address):
        raise Refusal("this address has too many connections", status=503)
    stream.accept(response.headers)
    sock = StreamSocket(stream)
    connection = StreamConnection(server, sock, stream.address, _Between(), server.new_endpoint(), stream.tls)
    connection.identity = stream.identity
    server.connections.add(connection)
    return connection


class _Between(Codec):
    """The codec of a connection that has not switched yet: nothing was said."""

    __slots__ = ()

    def receive(self, data: bytes) -> tuple[()]:
        return ()

    def send(self, reply: Any) -> None: ...

    def fail(self, error: Any) -> None: ...

    def close(self, code: int, reason: str) -> None:
        self.closing = True


class Readiness:
    """What ``StreamSocket`` has instead of a watcher of the loop: calls ``callback`` once a turn while there is something to do."""

    def __init__(self, ready: Callable[[], bool]) -> None:
        self._ready = ready
        self._callback: Callable[[], object] | None = None
        self._coming = False

    def start(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self.look()

    def stop(self) -> None:
        self._callback = None

    def close(self) -> None:
        self._callback = None

    def look(self) -> None:
        """Something changed."""
        if self._callback is not None and not self._coming and self._ready():
            self._coming = True
            get_hub().loop.run_callback(self._call)

    def _call(self) -> None:
        self._coming = False
        if self._callback is not None and self._ready():
            self._callback()
            self.look()


class StreamSocket:
    """Looks like a raw non-blocking socket to ``StreamConnection``.

    Reading gives the peer back its window; sending puts DATA into frames as far as the windows go.  The end of the peer's side is the end
    of the stream; ``close`` without ``shutdown`` resets it.
    """

    def __init__(self, stream: Http2Stream) -> None:
        self._stream = stream
        self._reader = Readiness(self._can_read)
        self._writer = Readiness(self._can_write)
        self._closed = False
        stream.wake = self._changed

    def watcher(self, events: int) -> Readiness:
        """Stands for a watcher of the loop."""
        return self._reader if events == _READABLE else self._writer

    def _changed(self) -> None:
        self._reader.look()
        self._writer.look()

    def _can_read(self) -> bool:
        body = self._stream.body
        return body is None or bool(body.chunks) or body.finished or body.error is not None

    def _can_write(self) -> bool:
        stream = self._stream
        return stream.local_done or (not stream.pending and not stream.below.congested)

    def fileno(self) -> int:
        return -1

    def setsockopt(self, *option: Any) -> None: ...

    def recv(self, size: int) -> bytes:
        """What arrived; b"" at the end.  Raises OSError for a stream that was reset."""
        body = self._stream.body
        if body is None or body.error is not None:
            raise ConnectionResetError
        if not body.chunks:
            if body.finished:
                return b""
            raise BlockingIOError
        data = b"".join(body.chunks)
        body.chunks.clear()
        body.size = 0
        self._stream.consumed()
        self._stream.below.settle()
        return data

    def send(self, data: Any) -> int:
        """Take ``data`` when what was taken before is on its way."""
        stream = self._stream
        if stream.closing:
            raise BrokenPipeError
        if not self._can_write():
            raise BlockingIOError
        stream.part(bytes(data))
        stream.below.settle()
        return len(data)

    def shutdown(self, how: int) -> None:
        """End our side of the stream."""
        if not self._stream.closing:
            self._stream.end_tunnel()
            self._stream.below.settle()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        stream = self._stream
        stream.wake = None
        if not (stream.closing and stream.remote_done):
            stream.give_up(ErrorCodes.CANCEL)
        stream.end_of_tunnel()
        stream.below.settle()
