"""A proxy for faults of the network between a client in this process and its server."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

from greenimi import green

_CHUNK = 65536
_CONNECTS_WITHIN = 5.0
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: what is not sent yet is thrown away, and the other side is told by RST."""


class Proxy:
    """Passes on every connection to ``host:port`` until it is told otherwise.  The standard library must be patched.

    host, port  where it listens.
    delay       seconds that it keeps everything back, in each direction.
    answers     bytes that servers may still answer, all connections together; who answers more is reset, once.  None: any number.
    accepted    connections so far.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.delay = 0.0
        self.answers: int | None = None
        self.accepted = 0
        self._to = (host, port)
        self._passes = threading.Event()
        self._passes.set()
        self._listener: socket.socket | None = None
        self._accepting: green.Greenlet = None
        self._links: set[_Link] = set()

    def start(self) -> Self:
        """Listen; after :meth:`stop` on the same port again."""
        green.require_patched()
        self._listener = socket.create_server((self.host, self.port))
        self.port = self._listener.getsockname()[1]
        self._accepting = green.spawn(self._accept, self._listener)
        return self

    def stop(self) -> None:
        """Refuse new connections and reset those there are."""
        if self._listener is not None:
            self._accepting.kill()
            self._listener.close()
            self._listener = None
        self.cut()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __len__(self) -> int:
        """Connections that it has now."""
        return len(self._links)

    def stall(self) -> None:
        """Swallow everything silently, like a firewall that drops packets: connections stay, new ones too, but nothing arrives."""
        self._passes.clear()

    def go_on(self) -> None:
        """What was swallowed arrives now, as after the repetitions of TCP."""
        self._passes.set()

    def cut(self) -> None:
        """Reset all connections, on both sides."""
        for link in list(self._links):
            link.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            self.accepted += 1
            self._links.add(_Link(self, client))

    def connect(self) -> socket.socket:
        """To the server, as soon as anything passes."""
        self._passes.wait()
        server = socket.socket()  # not create_connection: that looks up names in threads, which clients in C may have all
        try:
            server.settimeout(_CONNECTS_WITHIN)
            server.connect(self._to)
        except BaseException:
            server.close()
            raise
        return server

    def hold(self) -> None:
        """Keep something back for as long as it takes."""
        if self.delay:
            green.sleep(self.delay)
        self._passes.wait()

    def allowance(self, size: int) -> int:
        """How many of so many bytes of an answer may pass."""
        if self.answers is None:
            return size
        passed = min(size, self.answers)
        self.answers = self.answers - passed if passed == size else None
        return passed

    def ended(self, link: _Link) -> None:
        self._links.discard(link)


class _Link:
    """One connection of a client and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server: socket.socket | None = None
        self._flowing = 2
        self._greenlets = [green.spawn(self._run)]

    def _run(self) -> None:
        try:
            server = self._server = self._proxy.connect()
        except OSError:
            self.cut()
            return
        server.settimeout(None)
        self._greenlets.append(green.spawn(self._flow, server, self._client, answers=True))
        self._flow(self._client, server, answers=False)

    def _flow(self, source: socket.socket, to: socket.socket, *, answers: bool) -> None:
        """Until one side ended its own, or there is a reset."""
        try:
            while chunk := source.recv(_CHUNK):
                self._proxy.hold()
                passed = self._proxy.allowance(len(chunk)) if answers else len(chunk)
                to.sendall(chunk[:passed])
                if passed < len(chunk):
                    self.cut()
                    return
            self._proxy.hold()
            to.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()
            return
        self._flowing -= 1
        if not self._flowing:
            self._close()

    def cut(self) -> None:
        """Reset both sides."""
        for side in (self._client, self._server):
            if side is not None:
                with suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close()

    def _close(self) -> None:
        self._proxy.ended(self)
        for side in (self._client, self._server):
            if side is not None:
                side.close()
        for greenlet in self._greenlets:
            if greenlet is not green.current_greenlet():
                greenlet.kill(block=False)
