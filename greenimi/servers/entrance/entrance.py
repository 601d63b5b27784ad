"""What an accepted socket goes through before it is a connection: a PROXY header, a TLS handshake.

A socket on its way in has one read watcher, no greenlet and no timer.  Handshakes are the most expensive thing a stranger can ask for, so
they wait in a queue of their own and get a slice of each turn of the loop: clients that are served do not wait for those that come.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from gevent import get_hub

from greenimi.codec.proxy import ProxyReader
from greenimi.errors import ProtocolError
from greenimi.servers.entrance.tls import TlsContexts, TlsFacts, contexts_for
from greenimi.servers.entrance.tls_socket import Handshake, HandshakeFailed
from greenimi.servers.entrance.trusted import Trusted
from greenimi.servers.settings import ServerSettings

log = logging.getLogger("greenimi.servers")

_READ = 16384
_READABLE, _WRITABLE = 1, 2
_SLICE = 0.002  # seconds of one turn of the loop for those who come in; one step at least: a handshake takes 0.2 to 2 ms
_LINGER = 2.0  # seconds for a peer to read why it is not let in
_LINGER_BYTES = 65536  # that it may still send meanwhile
_BROKEN = "server %s: the connection from %s cannot be served"
_LOOK = 5.0  # seconds between two looks at the certificates' files


class Clock(Protocol):
    """What an entrance needs of ``Runtime``."""

    each_second: list[Callable[[float], None]]


class Host(Protocol):
    """What an entrance needs of ``StreamHost``."""

    @property
    def name(self) -> str: ...

    @property
    def runtime(self) -> Clock: ...

    def admit(self, sock: Any, address: Any, data: bytes = b"", tls: TlsFacts | None = None) -> None:
        """Take a socket over.  ``data`` came behind the handshake and is to be read first."""


class Entrance:
    """The way into one server of one process.  Raises ConfigError."""

    def __init__(self, settings: ServerSettings, host: Host) -> None:
        self.host = host
        self.contexts: TlsContexts | None = contexts_for(settings) if settings.tls.certificate else None
        self._trusted = Trusted(settings.trusted) if settings.proxy_protocol else None
        self._seconds = settings.handshake
        self._entering: set[_Entering] = set()
        self._queue: deque[_Entering] = deque()
        self._turn = get_hub().loop.timer(0)  # the next turn of the loop
        self._turn_wanted = False
        self._closed = False
        self._strangers = 0  # connections of others than the proxies, since the last second
        self._stranger: Any = None  # the address of the last of them
        self._next_look = monotonic() + _LOOK
        host.runtime.each_second.append(self._sweep)

    @property
    def count(self) -> int:
        """Sockets on their way in."""
        return len(self._entering)

    def enter(self, sock: Any, address: Any) -> None:
        """Take a raw non-blocking socket; the host's ``admit`` is called with it, or it is closed."""
        if self._closed:
            sock.close()
            return
        proxy = None
        if self._trusted is not None:
            if address not in self._trusted:
                self._strangers += 1
                self._stranger = address
                sock.close()
                return
            proxy = ProxyReader()
        handshake = None if self.contexts is None else Handshake(self.contexts)
        self._entering.add(_Entering(self, sock, address, monotonic() + self._seconds, proxy, handshake))

    def close(self) -> None:
        """Close whoever is on the way in, and let nobody in any more.  Idempotent."""
        if self._closed:
            return
        self._closed = True
        self.host.runtime.each_second.remove(self._sweep)
        for entering in list(self._entering):
            entering.close()
        self._queue.clear()
        self._turn.stop()
        self._turn.close()

    # -- for those on their way --------------------------------------------------------------------------------------
    def queue(self, entering: _Entering) -> None:
        """Let it do its next step when its turn comes."""
        self._queue.append(entering)
        if not self._turn_wanted:
            self._turn_wanted = True
            self._turn.start(self._work)

    def forget(self, entering: _Entering) -> None:
        self._entering.discard(entering)

    def _work(self) -> None:
        until = monotonic() + _SLICE
        queue = self._queue
        while queue:
            queue.popleft().step()
            if monotonic() > until:
                break
        self._turn_wanted = bool(queue)
        if queue:
            self._turn.start(self._work)

    def _sweep(self, now: float) -> None:
        for entering in [entering for entering in self._entering if entering.deadline < now]:
            entering.expire()
        if self._strangers:
            text = "server %s: %d connections closed that do not come from a trusted proxy, the last from %s"
            log.warning(text, self.host.name, self._strangers, self._stranger)
            self._strangers = 0
        if self.contexts is not None and now > self._next_look:
            self._next_look = now + _LOOK
            self.contexts.reload_if_changed()


class _Entering:
    """One socket on its way in, or on its way out again: then it lingers, so that the peer can read the last words to it."""

    __slots__ = ("_entrance", "_handshake", "_proxy", "_sock", "_to_ignore", "_unsent", "_watcher", "address", "deadline")

    def __init__(
        self, entrance: Entrance, sock: Any, address: Any, deadline: float, proxy: ProxyReader | None, handshake: Handshake | None
    ) -> None:
        self.address = address
        self.deadline = deadline
        self._entrance = entrance
        self._sock = sock
        self._proxy = proxy
        self._handshake = handshake
        self._unsent = b""
        self._to_ignore = 0  # bytes that are read away; 0: it is not lingering
        self._watcher = get_hub().loop.io(sock.fileno(), _READABLE)
        self._watcher.start(self._ready)

    def _ready(self) -> None:
        self._watcher.stop()
        self._entrance.queue(self)

    def _wait(self) -> None:
        self._watcher.events = _READABLE | _WRITABLE if self._unsent else _READABLE
        self._watcher.start(self._ready)

    def step(self) -> None:
        """Read once, and do what can be done with it."""
        if self._watcher is None:  # closed while it was in the queue
            return
        try:
            if self._unsent:
                self._send(b"")
            data = self._sock.recv(_READ)
        except BlockingIOError:
            self._wait()
            return
        except OSError as error:
            self._leave(error.strerror)
            return
        if not data:
            self._leave("the peer left")
        elif self._to_ignore:
            self._ignore(data)
        else:
            self._go_on(data)

    def _go_on(self, data: bytes) -> None:
        try:
            through = self._take(data)
        except HandshakeFailed as error:
            self._refuse(f"TLS handshake failed: {error}", error.last_words)
        except ProtocolError as error:
            self._refuse(error.text, b"")
        except OSError as error:
            self._leave(error.strerror)
        except Exception:
            log.exception(_BROKEN, self._entrance.host.name, self.address)
            self.close()
        else:
            if through is None:
                self._wait()
            else:
                self._admit(*through)

    def _take(self, data: bytes) -> tuple[Any, bytes, TlsFacts | None] | None:
        """What the host is to be given, once the socket is through."""
        if self._proxy is not None:
            header = self._proxy.feed(data)
            if header is None:
                return None
            data = self._proxy.rest
            self._proxy = None
            self.address = header.source or self.address
        handshake = self._handshake
        if handshake is None:
            return self._sock, data, None
        done = handshake.feed(data)
        self._send(handshake.outgoing())
        if not done:
            return None
        sock = handshake.socket(self._sock, self._unsent)
        return sock, sock.decrypt(), handshake.facts()

    def _admit(self, sock: Any, data: bytes, tls: TlsFacts | None) -> None:
        self._forget()
        try:
            self._entrance.host.admit(sock, self.address, data, tls)
        except Exception:
            log.exception(_BROKEN, self._entrance.host.name, self.address)
            self.close()

    def _send(self, data: bytes) -> None:
        self._unsent += data
        if self._unsent:
            with suppress(BlockingIOError):
                self._unsent = self._unsent[self._sock.send(self._unsent) :]

    # -- the way out -------------------------------------------------------------------------------------------------
    def _refuse(self, reason: str, last_words: bytes) -> None:
        log.info("server %s: %s: %s", self._entrance.host.name, self.address, reason)
        self.deadline = monotonic() + _LINGER
        self._to_ignore = _LINGER_BYTES
        try:
            self._send(last_words)
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
        else:
            self._unsent = b""
            self._wait()

    def _ignore(self, data: bytes) -> None:
        self._to_ignore -= len(data)
        if self._to_ignore > 0:
            self._wait()
        else:
            self.close()

    def _leave(self, reason: str | None) -> None:
        if not self._to_ignore:
            log.debug("server %s: %s: %s before the handshake was done", self._entrance.host.name, self.address, reason)
        self.close()

    def expire(self) -> None:
        """Its time is over."""
        if not self._to_ignore:
            log.info("server %s: %s: no handshake in time", self._entrance.host.name, self.address)
        self.close()

    def close(self) -> None:
        self._forget()
        self._sock.close()

    def _forget(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None
        self._entrance.forget(self)


def entrance_for(settings: ServerSettings, host: Host) -> Entrance | None:
    """None for a server whose accepted sockets are connections at once.  Raises ConfigError."""
    return Entrance(settings, host) if settings.tls.certificate or settings.proxy_protocol else None
