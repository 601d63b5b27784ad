"""What every server has: a name, settings, a container, the sockets it accepts on and the connections it holds."""

from __future__ import annotations

import _socket
import logging
import socket
from math import inf
from typing import TYPE_CHECKING, Any

from gevent.server import StreamServer

from greenimi.container.registry import Container
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings
from greenimi.servers.stream import StreamConnection

if TYPE_CHECKING:
    from greenimi.codec.base import Codec
    from greenimi.servers.endpoint import Endpoint

log = logging.getLogger("greenimi.servers")


class StreamHost:
    """A server of stream connections: HTTP or TCP.  Subclasses say which codec and endpoint a new connection gets."""

    def __init__(self, name: str, kind: str, settings: ServerSettings, container: Container, runtime: Runtime) -> None:
        self.name = name
        self.kind = kind
        self.settings = settings
        self.container = container
        self.runtime = runtime
        self.connections: set[StreamConnection] = set()
        self.handlers = runtime.handlers
        self.idle = settings.idle or inf
        self.deadline = runtime.now + self.idle  # of a connection that is heard of now; moved on once a second
        self.inbox_limit = settings.inbox
        self.outbox_limit = settings.outbox
        self.high_water = settings.high_water
        self._acceptors: list[Acceptor] = []
        self._probes: dict[StreamConnection, float] = {}  # pinged, and until when an answer is waited for
        self._refused = 0  # connections over the limit, since the last second

    @property
    def node(self) -> str:
        return self.runtime.node

    def new_codec(self) -> Codec:
        raise NotImplementedError

    def new_endpoint(self) -> Endpoint:
        raise NotImplementedError

    # -- doors -----------------------------------------------------------------------------------------------------
    def attach(self, listening: socket.socket, *, share: bool = False) -> None:
        """Accept connections on a bound, listening socket.  ``share``: other processes accept on it too, so take one at a time."""
        acceptor = Acceptor(listening, self)
        acceptor.max_accept = 1 if share else 100
        self._acceptors.append(acceptor)

    def start(self) -> None:
        self.runtime.each_second.append(self.sweep)
        self.runtime.unfinished.append(self.unfinished)
        for acceptor in self._acceptors:
            acceptor.start()

    def drain(self) -> None:
        """Accept no more."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()

    def stop(self) -> None:
        """Say goodbye to every connection in its protocol's way (WebSocket 1001)."""
        self.drain()
        if self.sweep in self.runtime.each_second:
            self.runtime.each_second.remove(self.sweep)
            self.runtime.unfinished.remove(self.unfinished)
        for connection in list(self.connections):
            connection.close(1001, "the server stops")

    def shut(self) -> None:
        """Close what is still open, answered or not."""
        for connection in list(self.connections):
            connection.shut()

    # -- connections -----------------------------------------------------------------------------------------------
    def accepted(self, sock: Any, address: Any) -> None:
        if len(self.connections) >= self.settings.connections:
            self._refused += 1
            sock.close()
            return
        self.connections.add(StreamConnection(self, sock, address, self.new_codec(), self.new_endpoint()))

    def forget(self, connection: StreamConnection) -> None:
        self.connections.discard(connection)
        self._probes.pop(connection, None)

    def unfinished(self) -> bool:
        return any(connection.unfinished for connection in self.connections)

    def sweep(self, now: float) -> None:
        """Ping what has been silent past its deadline, and close it when there is no answer, or when it cannot be pinged."""
        self.deadline = now + self.idle
        if self._refused:
            log.warning("server %s: %d connections were refused, %d is the limit", self.name, self._refused, self.settings.connections)
            self._refused = 0
        late = [connection for connection in self.connections if connection.deadline < now]
        for connection in late:
            unanswered = self._probes.pop(connection, None) == connection.deadline
            if not unanswered and connection.probe():
                self._probes[connection] = connection.deadline
            else:
                connection.expire()


class Acceptor(StreamServer):
    """gevent's accept loop (back-off, start, stop), which hands each raw non-blocking socket to its server and spawns nothing."""

    def __init__(self, listening: socket.socket, host: StreamHost) -> None:
        self._host = host
        super().__init__(listening, spawn=None)

    def do_read(self) -> tuple[Any, Any] | None:
        listening = self.socket
        try:
            fd, address = listening._accept()
        except BlockingIOError:
            return None
        sock = _socket.socket(listening.family, listening.type, listening.proto, fileno=fd)
        sock.setblocking(False)
        return sock, address

    def do_handle(self, sock: Any, address: Any) -> None:
        self._host.accepted(sock, address)

    def do_close(self, sock: Any, *args: Any) -> None:
        sock.close()

    def handle(self, sock: Any, address: Any) -> None:
        """Never called: ``do_handle`` takes the socket over."""
        raise NotImplementedError
