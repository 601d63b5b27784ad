"""UDP: one datagram is one message; the answer goes to its sender."""

from __future__ import annotations

import logging
import socket
from contextvars import Context
from typing import Any

from zope.interface import implementer

from greenimi.codec.datagram import MAX_UDP, DatagramCodec
from greenimi.container.context import Scope, enter
from greenimi.container.registry import Container
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.errors import ProtocolError
from greenimi.interfaces import IConnection
from greenimi.message import Reply
from greenimi.servers.datagram import DatagramReader
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings

log = logging.getLogger("greenimi.servers")


@implementer(IConnection)
class UdpPeer:
    """Who sent a datagram.  There is no connection: ``data`` lives as long as the datagram, ``close`` does nothing."""

    __slots__ = ("_data", "address", "server")
    is_open = True

    def __init__(self, server: UdpServer, address: Any) -> None:
        self.server = server
        self.address = address
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
        raw = data.raw if type(data) is Reply else self.server.pipeline.payload.encode(data)
        return self.server.send(raw, self.address)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Nothing: UDP has no connections."""


class UdpServer:
    """``kind = "udp"``."""

    def __init__(self, name: str, settings: ServerSettings, container: Container, runtime: Runtime, pipeline: MessagePipeline) -> None:
        self.name = name
        self.kind = "udp"
        self.settings = settings
        self.container = container
        self.runtime = runtime
        self.pipeline = pipeline
        self.dropped = 0  # replies that the socket did not take
        self._codec = DatagramCodec(min(settings.max_message, MAX_UDP))
        self.read_size = self._codec.read_size
        self._readers: list[DatagramReader] = []
        self._sendto: Any = None

    def attach(self, bound: socket.socket, *, share: bool = False) -> None:
        """Read from a bound datagram socket; ``share`` makes no difference, workers take turns at it anyway."""
        bound.setblocking(False)
        reader = DatagramReader(bound, self, self.runtime.handlers)
        self._readers.append(reader)
        self._sendto = getattr(bound, "_sock", bound).sendto

    def start(self) -> None:
        for reader in self._readers:
            reader.start()

    def drain(self) -> None:
        """Read no more; the socket stays open for the answers of what was read."""
        for reader in self._readers:
            reader.drain()

    def stop(self) -> None:
        for reader in self._readers:
            reader.close()
        self._readers.clear()

    def shut(self) -> None:
        """Nothing is open."""

    def received(self, item: tuple[bytes, Any]) -> None:
        message = self._codec.receive(item[0])
        address = item[1]
        if type(message) is ProtocolError:
            log.info("server %s, from %s: %s", self.name, address, message.text)
            return
        peer = UdpPeer(self, address)
        message.connection = peer  # type: ignore[union-attr]
        found = Context().run(enter, Scope(self.container, peer, message), self.pipeline.handle, message)  # type: ignore[arg-type]
        if found is not None:
            self.send(found.raw if type(found) is Reply else found, address)

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
