"""The loop of a datagram socket: reads in batches and hands each datagram to a pooled handler greenlet.

Datagrams are read only while a greenlet is free for them; what is not read waits in the kernel, where another worker can still take it.
"""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import Any, Protocol

from gevent.server import DatagramServer

from greenimi.servers.handlers import HandlerPool

log = logging.getLogger("greenimi.servers")

_BATCH = 64


class DatagramHost(Protocol):
    """What takes the datagrams."""

    read_size: int

    def received(self, slot: int, item: tuple[bytes, Any]) -> None:
        """Handle one datagram and its sender's address, which came by that slot.  Runs in a handler greenlet."""


class DatagramReader(DatagramServer):
    """gevent's datagram server (start, stop, back-off) with our read loop: no greenlet is spawned for a datagram."""

    max_accept = 1  # one call of do_read is a batch

    def __init__(self, bound: socket.socket, slot: int, host: DatagramHost, handlers: HandlerPool) -> None:
        self.slot = slot
        self._received = partial(host.received, slot)
        self._read_size = host.read_size
        self._handlers = handlers
        self._drained = False
        super().__init__(bound, spawn=None)

    def set_listener(self, listener: socket.socket) -> None:
        self.family = listener.family
        self.address = listener.getsockname()
        self.socket = listener

    def do_read(self) -> None:
        receive = self._socket.recvfrom
        size = self._read_size
        room = self._handlers.room
        items: list[tuple[bytes, Any]] = []
        take = items.append
        try:
            for _ in range(min(room, _BATCH)):
                take(receive(size))
        except BlockingIOError:
            pass
        finally:  # whatever else was wrong: these were read
            self._handlers.start_each(self._received, items)
        if len(items) >= room:
            self.stop_accepting()
            self._handlers.when_free(self._go_on)

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
