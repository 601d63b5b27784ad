"""The socket of a driver, beside the driver: what it does not offer itself."""

from __future__ import annotations

import os
from _socket import (
    AF_UNIX,
    IPPROTO_TCP,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_PEEK,
    SHUT_RDWR,
    SO_KEEPALIVE,
    SOL_SOCKET,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_USER_TIMEOUT,
    socket,
)

from greenimi.green import Readable, native_poll


class Tap:
    """Has a descriptor of its own for the driver's socket, so that neither closes the other's."""

    __slots__ = ("_peeked", "_readable", "_socket", "unread", "wait")

    def __init__(self, fd: int, seconds: float, *, peeks: int = 0, unreachable: float = 0.0) -> None:
        """``seconds``: how long :attr:`wait` waits at most; ``peeks``: bytes that :meth:`peek` shows at most.

        ``unreachable``: seconds after which the other host counts as lost when it acknowledges nothing; 0: as the system has it.
        """
        self._socket = socket(fileno=os.dup(fd))
        if unreachable and self._socket.family != AF_UNIX:
            self._notice_loss(unreachable)
        own = self._socket.fileno()
        self.unread = native_poll(own)
        """Called with 0 it says what there is to read, an answer or a goodbye, and nothing when idle.  Waits for nobody."""
        self._readable = Readable(own, seconds)
        self.wait = self._readable.wait
        """Wait until there is something to read.  False when that took too long.  Other greenlets go on meanwhile."""
        self._peeked = memoryview(bytearray(peeks))

    def _notice_loss(self, seconds: float) -> None:
        """Have the system ask the other host while nothing is sent, and end the connection when it says nothing for so long."""
        probes = max(1, int(seconds / 3))
        self._socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        self._socket.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, probes)
        self._socket.setsockopt(IPPROTO_TCP, TCP_KEEPINTVL, probes)
        self._socket.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, int(seconds * 1000))

    def is_idle(self) -> bool:
        """There is nothing to read."""
        return not self.unread(0)

    def peek(self) -> memoryview:
        """What can be read at this moment; it stays there for the driver.  Good until the next call."""
        try:
            return self._peeked[: self._socket.recv_into(self._peeked, 0, MSG_PEEK | MSG_DONTWAIT)]
        except BlockingIOError:
            return self._peeked[:0]

    def send_now(self, data: bytes) -> None:
        """Send it if that needs no waiting."""
        try:
            self._socket.send(data, MSG_DONTWAIT | MSG_NOSIGNAL)
        except OSError:
            pass

    def close(self) -> None:
        """End the connection, also for a driver that waits for an answer.  Twice is once."""
        if self._socket.fileno() < 0:
            return
        self._readable.close()
        try:
            self._socket.shutdown(SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()
