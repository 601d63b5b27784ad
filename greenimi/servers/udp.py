"""UDP: one datagram is one message; the answer goes to its sender."""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection
from contextvars import Context
from functools import partial
from math import inf
from time import monotonic_ns
from typing import Any

from gevent import getcurrent
from greenlet import greenlet
from zope.interface import implementer

from greenimi.codec.datagram import MAX_UDP, DatagramCodec
from greenimi.container.context import Scope, enter
from greenimi.container.registry import Container
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.errors import HandlerTimeout, ProtocolError
from greenimi.interfaces import IConnection
from greenimi.message import Datagram, Identity, Reply
from greenimi.servers.datagram import DatagramReader
from greenimi.servers.latency import Latency
from greenimi.servers.messages import too_late
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings

log = logging.getLogger("greenimi.servers")


@implementer(IConnection)
class UdpPeer:
    """Who sent a datagram.  There is no connection: ``data`` lives as long as the datagram, ``close`` does nothing."""

    __slots__ = ("_data", "address", "began", "handler", "identity", "server")
    is_open = True
    secure = False
    tls = None

    def __init__(self, server: UdpServer, address: Any) -> None:
        self.server = server
        self.address = address
        self.handler: greenlet | None = None  # at work for it
        self.began: float = 0  # when that last got or gave something, in nanoseconds
        self.identity: Identity | None = None
        self._data: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        return f"{self.server.runtime.node}-{self.server.name}-{self.address[0]}:{self.address[1]}"

    @property
    def data(self) -> dict[str, Any]:
        if self._data is None:
            self._data = {}
        return self._data

    def send(self, data: Any) -> bool:
        """Send one more datagram.  At most once, unordered; False when the socket's buffer is full."""
        self.began = monotonic_ns()
        raw = data.raw if type(data) is Reply else self.server.pipeline.payload.encode(data)
        return self.server.send(raw, self.address)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Nothing: UDP has no connections."""


class UdpServer:
    """``kind = "udp"``.

    accepted_count  datagrams read so far
    refused         those of them that were malformed
    dropped         replies that the socket did not take
    latency         how long datagrams took to be handled, and how many there were
    """

    def __init__(self, name: str, settings: ServerSettings, container: Container, runtime: Runtime, pipeline: MessagePipeline) -> None:
        self.name = name
        self.kind = "udp"
        self.settings = settings
        self.container = container
        self.runtime = runtime
        self.pipeline = pipeline
        self._at_work: set[UdpPeer] = set()
        self.handler_time = settings.handler_time or inf
        self.latency = Latency()
        self.accepted_count = 0
        self.refused = 0
        self.dropped = 0
        self._codec = DatagramCodec(min(settings.max_message, MAX_UDP))
        self.read_size = self._codec.read_size
        self._readers: list[DatagramReader] = []
        self._share = False
        self._sendto: Any = None
        self._shared = False

    def attach(self, bound: socket.socket, *, share: bool = False) -> None:
        """Read from a bound datagram socket, the next slot of this server.  ``share``: not before ``read`` tells to."""
        bound.setblocking(False)
        self._share = share
        reader = DatagramReader(bound, self, self.runtime.handlers)
        self._readers.append(reader)
        self._sendto = getattr(bound, "_sock", bound).sendto

    def start(self) -> None:
        if self._working not in self.runtime.overtime.sources:
            self.runtime.overtime.sources.append(self._working)
        self.read(() if self._share else range(len(self._readers)))

    def read(self, slots: Collection[int]) -> None:
        """Read from these slots, by the order in which they were attached, and from no others.  Answers go out all the same."""
        for slot, reader in enumerate(self._readers):
            if slot in slots:
                reader.go_on()
            else:
                reader.drain()

    def drain(self) -> None:
        """Read no more; the sockets stay open for the answers of what was read."""
        self.read(())

    def stop(self) -> None:
        if self._working in self.runtime.overtime.sources:
            self.runtime.overtime.sources.remove(self._working)
        for reader in self._readers:
            reader.close()
        self._readers.clear()

    def shut(self) -> None:
        """Nothing is open."""

    def _working(self) -> list[UdpPeer]:
        return list(self._at_work)

    @property
    def handled(self) -> int:
        """Datagrams handled so far."""
        return self.latency.count

    def received(self, item: tuple[bytes, Any]) -> None:
        self.accepted_count += 1
        message = self._codec.receive(item[0])
        address = item[1]
        if isinstance(message, ProtocolError):
            self.refused += 1
            log.info("server %s, from %s: %s", self.name, address, message.text)
            return
        peer = UdpPeer(self, address)
        message.connection = peer
        self._at_work.add(peer)
        peer.handler = getcurrent()
        peer.began = began = monotonic_ns()
        try:
            found = self._handle(peer, message)
        finally:
            peer.handler = None
            self._at_work.discard(peer)
        self.latency.add(monotonic_ns() - began)
        if found is not None:
            self.send(found.raw if type(found) is Reply else found, address)

    def _handle(self, peer: UdpPeer, message: Datagram) -> Any:
        """The encoded answer, a Reply or None."""
        try:
            return Context().run(enter, Scope(self.container, peer, message), self.pipeline.handle, message)
        except HandlerTimeout as error:
            return Context().run(enter, Scope(self.container, peer, message), partial(too_late, self.pipeline, error), message)

    def send(self, raw: bytes | str, address: Any) -> bool:
        try:
            self._sendto(self._codec.frame(raw), address)
        except BlockingIOError:
            self.dropped += 1
            return False
        except (OSError, ValueError) as error:
            log.info("server %s: no answer to %s: %s", self.name, address, error)
            return False
        return True
