"""A go-between that can stop to pass things on, for what a firewall or a broken network does."""

from __future__ import annotations

import socket
from typing import Self

from greenimi import green


class Between:
    """``port`` leads to ``target``.  After ``hold()`` nothing passes, without a word, until ``pass_on()``; ``cut()`` ends connections."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.open = green.Event()
        self.open.set()
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._greenlets = [green.spawn(self._accept)]

    def hold(self) -> None:
        self.open.clear()

    def pass_on(self) -> None:
        self.open.set()

    def cut(self) -> None:
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        for greenlet in self._greenlets:
            greenlet.kill()
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            near, _ = self._server.accept()
            self.connections += 1
            far = socket.create_connection(self._target)
            self._sockets += [near, far]
            self._greenlets += [green.spawn(self._pump, near, far), green.spawn(self._pump, far, near)]

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self.open.wait()
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            sock.close()
