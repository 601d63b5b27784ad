"""Who comes in: the accept loop of a listening socket, and the limits that it keeps for its server."""

from __future__ import annotations

import _socket
import errno
import logging
import socket
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from gevent.server import StreamServer

from greenimi.servers.settings import ServerSettings

log = logging.getLogger("greenimi.servers")

_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_GONE = (errno.ECONNABORTED, errno.EPROTO)

_MOST = 100  # connections accepted in one turn of the loop
_MOST_SHARED = 16


class Gate:
    """The limits of one server: who is over them waits in the kernel until there is room, or until the next second.

    ``held`` is how many sockets the server has now, counting those on their way in.
    """

    def __init__(self, name: str, settings: ServerSettings, held: Callable[[], int]) -> None:
        self._name = name
        self._held = held
        self._connections = settings.connections
        self._rate = settings.accept_rate or inf
        self._left = self._rate  # of this second
        self._per_address = settings.per_address
        self._by_address: dict[str, int] = {}
        self._acceptors: list[Acceptor] = []
        self._waiting = False  # the acceptors stand still
        self._reasons: dict[str, int] = {}  # what to tell in the log, once a second, and how often

    # -- the doors ---------------------------------------------------------------------------------------------------
    def add(self, acceptor: Acceptor) -> None:
        self._acceptors.append(acceptor)

    def open(self) -> None:
        for acceptor in self._acceptors:
            acceptor.start()

    def close(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()

    # -- how many at a time ------------------------------------------------------------------------------------------
    @property
    def full(self) -> bool:
        """Nobody may come in now; whoever asked is told by ``accept_again``."""
        if self._held() >= self._connections:
            self._tell(f"it holds {self._connections} connections, its limit: further ones wait")
        elif self._left > 0:
            return False
        self._waiting = True
        return True

    def hold(self, reason: str) -> None:
        """Let nobody in until there is room again."""
        self._tell(reason)
        self._waiting = True
        for acceptor in self._acceptors:
            acceptor.stop_accepting()

    def one_left(self) -> None:
        """There is one connection less."""
        if self._waiting and self._held() < self._connections and self._left > 0:
            self._accept_again()

    def each_second(self) -> None:
        self._left = self._rate
        for reason, times in self._reasons.items():
            log.warning("server %s: %s%s", self._name, reason, f" ({times} times)" if times > 1 else "")
        self._reasons.clear()
        self.one_left()

    def _accept_again(self) -> None:
        self._waiting = False
        for acceptor in self._acceptors:
            acceptor.start_accepting()

    def _tell(self, reason: str) -> None:
        self._reasons[reason] = self._reasons.get(reason, 0) + 1

    def came(self) -> None:
        """One was accepted."""
        self._left -= 1

    # -- how many of one address -------------------------------------------------------------------------------------
    def admits(self, address: Any) -> bool:
        """Count one more of this address, unless it has as many as it may.  Unix sockets have none."""
        if not self._per_address or type(address) is not tuple:
            return True
        number = self._by_address.get(address[0], 0)
        if number >= self._per_address:
            return False
        self._by_address[address[0]] = number + 1
        return True

    def forget(self, address: Any) -> None:
        """One that was admitted is gone."""
        if self._per_address and type(address) is tuple:
            number = self._by_address[address[0]] - 1
            if number:
                self._by_address[address[0]] = number
            else:
                del self._by_address[address[0]]
        self.one_left()

    def refused(self, reason: str) -> None:
        """Somebody was sent away."""
        self._tell(reason)


class Newcomers(Protocol):
    """What takes the accepted sockets."""

    gate: Gate

    def accepted(self, sock: Any, address: Any) -> None:
        """A raw non-blocking socket that somebody connected to.  Called in the hub."""


class Acceptor(StreamServer):
    """gevent's accept loop (back-off, start, stop), which hands each raw non-blocking socket to its server and spawns nothing.

    Where other processes accept on the socket as well (``shared``) it takes one a turn of the loop, so that each has its part, and soon
    more, as long as clients still wait: behind a burst nobody should wait for as many turns as there are clients before him.
    """

    max_accept = _MOST

    def __init__(self, listening: socket.socket, host: Newcomers) -> None:
        self._host = host
        self._shared = False
        super().__init__(listening, spawn=None)

    @property
    def shared(self) -> bool:
        return self._shared

    @shared.setter
    def shared(self, shared: bool) -> None:
        self._shared = shared
        self.max_accept = 1 if shared else _MOST

    def full(self) -> bool:
        return self._host.gate.full

    def do_read(self) -> tuple[Any, Any] | None:
        listening = self.socket
        try:
            fd, address = listening._accept()
        except BlockingIOError:
            if self._shared:
                self.max_accept = 1
            return None
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._host.gate.hold(f"no connection can be accepted now: {error.strerror}")
                return None
            if error.errno in _GONE:
                return None
            raise
        sock = _socket.socket(listening.family, listening.type, listening.proto, fileno=fd)
        sock.setblocking(False)
        return sock, address

    def do_handle(self, sock: Any, address: Any) -> None:
        if self.max_accept < _MOST_SHARED:
            self.max_accept *= 2
        self._host.gate.came()
        self._host.accepted(sock, address)

    def do_close(self, sock: Any, *args: Any) -> None:
        sock.close()

    def handle(self, sock: Any, address: Any) -> None:
        """Never called: ``do_handle`` takes the socket over."""
        raise NotImplementedError
