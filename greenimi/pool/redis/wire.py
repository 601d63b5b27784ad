"""The bytes of one connection, without ever waiting: what arrives is handed on, what does not fit goes out when there is room."""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLWantReadError, SSLWantWriteError
from typing import Any

from greenimi.green import io_watcher

READ = 64 * 1024
"""Bytes that are read in one turn of the loop at most, so that others get their turn."""

_LATER = (BlockingIOError, SSLWantReadError, SSLWantWriteError)


class Wire:
    """Goes on with the socket of a connection that redis-py has made.  All calls and callbacks are in the hub; after ``close`` none comes.

    on_data   gets what arrived
    on_room   is called when all that did not fit at first was sent
    on_lost   gets the error, or why there is none
    """

    def __init__(
        self,
        connection: Any,
        on_data: Callable[[bytes], object],
        on_room: Callable[[], object],
        on_lost: Callable[[BaseException | str], object],
    ) -> None:
        self._connection = connection
        self._on_data, self._on_room, self._on_lost = on_data, on_room, on_lost
        sock = connection._sock
        sock.settimeout(0.0)
        self._encrypted = hasattr(sock, "pending")
        self._socket = sock if self._encrypted else getattr(sock, "_sock", sock)  # gevent's, or the system's below it, which is faster
        self._rest: memoryview | None = None
        self._open = True
        self._readable = io_watcher(sock.fileno(), 1)
        self._writable = io_watcher(sock.fileno(), 2)
        self._readable.start(self._read)

    @property
    def full(self) -> bool:
        """Something that was to be sent did not fit yet."""
        return self._rest is not None

    def send(self, data: bytes | memoryview) -> None:
        """Not while it is full."""
        try:
            taken = self._socket.send(data)
        except _LATER:
            taken = 0
        except OSError as error:
            self._on_lost(error)
            return
        if taken < len(data):
            if self._rest is None:
                self._writable.start(self._write)
            self._rest = memoryview(data)[taken:]
        elif self._rest is not None:
            self._rest = None
            self._writable.stop()
            self._on_room()

    def _write(self) -> None:
        if self._rest is not None:
            self.send(self._rest)

    def _read(self) -> None:
        more = True
        while more:
            try:
                data = self._socket.recv(READ)
            except _LATER:
                return
            except OSError as error:
                self._on_lost(error)
                return
            if not data:
                self._on_lost("the server closed it")
                return
            self._on_data(data)
            more = self._encrypted and self._open and self._socket.pending()  # decrypted already: no watcher tells of it

    def close(self) -> None:
        """Closing twice does nothing."""
        if self._open:
            self._open = False
            for watcher in (self._readable, self._writable):
                watcher.stop()
                watcher.close()
            self._connection.disconnect()
