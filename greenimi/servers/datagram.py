"""The loop of a datagram socket: reads in batches and hands each datagram to a pooled handler greenlet.

Datagrams are read only while a greenlet is free for them; what is not read waits in the kernel, where another worker can still take it.
"""

from __future__ import annotations

import logging
import socket
from typing import Any, Protocol

from gevent.server import DatagramServer

from greenimi.servers.handlers import HandlerPool

log = logging.getLogger("greenimi.servers")

_BATCH = 64


class DatagramHost(Protocol):
    """What takes the datagrams."""

    read_size: int

    def received(self, item: tuple[bytes, Any]) -> None:
        """Handle one datagram and its sender's address.  Runs in a handler greenlet."""


class DatagramReader(DatagramServer):
    """gevent's datagram server (start, stop, back-off) with our read loop: no greenlet is spawned for a datagram."""

    max_accept = 1  # one call of do_read is a batch

    def __init__(self, bound: socket.socket, host: DatagramHost, handlers: HandlerPool) -> None:
        self._host = host
        self._handlers = handlers
        self._drained = False
        super().__init__(bound, spawn=None)

    def set_listener(self, listener: socket.socket) -> None:
        self.family = listener.family
        self.address = listener.getsockname()
        self.socket = listener

    def do_read(self) -> None:
        receive = self._socket.recvfrom
        handlers = self._handlers
        size = self._host.read_size
        handle = self._host.received
        for _ in range(_BATCH):
            if handlers.full:
                self.stop_accepting()
                handlers.when_free(self._go_on)
                return
            try:
                item = receive(size)
            except BlockingIOError:
                return
            handlers.start(handle, item)

    def go_on(self) -> None:
        """Read, for the first time or again."""
        self._drained = False
        if not self.started:
            self.start()
        elif not self._handlers.full:  # otherwise a greenlet that becomes free will start it
            self.start_accepting()

    def drain(self) -> None:
        """Read no more.  The socket stays open for answers."""
        self._drained = True
        self.stop_accepting()

    def _go_on(self) -> None:
        if self.started and not self._drained:
            self.start_accepting()

    def handle(self, data: bytes, address: Any) -> None:
        """Never called: ``do_read`` hands datagrams on itself."""
        raise NotImplementedError
