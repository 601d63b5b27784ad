"""One client's link over a stream socket, and the loop that serves it.

Measured rules (see docs/performance.md): one persistent read watcher on a raw non-blocking socket; its callback, in the hub, reads once
and feeds the codec; complete messages go to a pooled handler greenlet, in order; the answers of a turn leave in one send; a write watcher
starts only when the socket would block.  An idle connection holds no greenlet, no timer and no buffer.  User code never runs in the hub,
but for a framing of the application's own.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from zope.interface import implementer

from greenimi.errors import ConnectionClosed
from greenimi.interfaces import IConnection
from greenimi.message import Message
from greenimi.servers.outbox import CLOSED, LINGER, LINGERING, OPEN, Outbox

if TYPE_CHECKING:
    from greenimi.codec.base import Codec
    from greenimi.servers.base import StreamHost
    from greenimi.servers.endpoint import Endpoint

log = logging.getLogger("greenimi.servers")

_READ = 65536
_LINGER_BYTES = 1 << 20
_ANSWER = 20  # seconds to answer a ping
_TURN = 256  # messages handled before other connections have theirs
_PUSHES = 16  # messages queued by one turn before they are sent
_NO_PARAMS: Mapping[str, Any] = {}


class _Note:
    """What goes through the inbox besides messages, so that it keeps its place among them."""

    __slots__ = ("message",)

    def __init__(self, message: Any = None) -> None:
        self.message = message


_GOODBYE = _Note()  # the peer said goodbye in its protocol
_LEFT = _Note()  # the peer ended its side of the socket


@implementer(IConnection)
class StreamConnection(Outbox):
    """See IConnection.  Made by a server for an accepted socket."""

    __slots__ = (
        "__weakref__",
        "_data",
        "_inbox",
        "_number",
        "_read_on",
        "_told",
        "_unread",
        "_watcher",
        "address",
        "endpoint",
        "params",
    )

    def __init__(self, server: StreamHost, sock: socket.socket, address: Any, codec: Codec, endpoint: Endpoint) -> None:
        super().__init__(server, sock, codec)
        self.address = address
        self.endpoint = endpoint
        self.params: Mapping[str, Any] = _NO_PARAMS  # of the path it shook hands on
        self._number = server.runtime.next_number()
        self._data: dict[str, Any] | None = None
        self._inbox: list[Any] = []
        self._told = False  # the endpoint's `opened` ran
        self._unread = _LINGER_BYTES
        self._watcher = get_hub().loop.io(sock.fileno(), 1)
        self._read_on = True
        self._watcher.start(self._readable)
        if endpoint.has_opened or endpoint.has_closed:
            self._announce(Message(b"", self))

    # -- what applications see -----------------------------------------------------------------------------------
    @property
    def id(self) -> str:
        return f"{self.server.node}-{self._number}"

    @property
    def data(self) -> dict[str, Any]:
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def is_open(self) -> bool:
        return self._state == OPEN and not self._leaving and not self.codec.closing

    def send(self, data: Any) -> bool:
        if not self.is_open:
            return False
        self.endpoint.send(self, data)
        self._pushed = True
        if len(self.codec.out) < _PUSHES:
            self.flush_later()
        else:  # the sender lets nobody else run
            self.flush()
        return self._state == OPEN

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self._state == OPEN and not self._leaving:
            self.codec.close(code, reason)
            self._leaving = True
            if self._outbox is None:
                self.deadline = self.server.runtime.now + LINGER
            self.flush_later()

    def __repr__(self) -> str:
        return f"<connection {self.id} of {self.server.name} from {self.address}>"

    # -- reading: in the hub -------------------------------------------------------------------------------------
    def _readable(self) -> None:
        try:
            data = self._sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if self._state == LINGERING:
            self._linger_read(data)
            return
        server = self.server
        if not self._leaving:
            self.deadline = server.deadline
        codec = self.codec
        messages = codec.receive(data)
        if messages and not self._leaving:
            self._inbox += messages
            if not self._busy:
                self._busy = True
                server.handlers.start(_work, self)
                if self._state == CLOSED:
                    return
            if len(self._inbox) > server.inbox_limit:
                self._pause()
        elif codec.crowded:
            self._pause()
        if self._drained is not None:
            self._drained.set()  # a handler waits for more of a body
        if codec.ended and self._state == OPEN:
            self._last_read(left=not data)
        if codec.out:
            self.flush()
        if self._outbox is not None and len(self._outbox) > server.high_water:
            self._pause()  # its pings would be answered into our memory

    def _pause(self) -> None:
        if self._read_on:
            self._read_on = False
            self._watcher.stop()

    def _resume(self) -> None:
        if not self._read_on and self._state in (OPEN, LINGERING):
            self._read_on = True
            self._watcher.start(self._readable)

    def _announce(self, message: Any) -> None:
        """Run the endpoint's ``opened`` before any message."""
        self._inbox.insert(0, _Note(message))
        if not self._busy:
            self._busy = True
            self._start_later()

    def switch(self, codec: Codec, endpoint: Endpoint, handshake: Any, rest: bytes) -> None:
        """Speak another protocol from now on.  Called in the handler of ``handshake``; ``rest`` is what came behind it."""
        codec.out = self.codec.out  # the answer to the handshake, not sent yet
        self.codec = codec
        self.endpoint = endpoint
        self.params = handshake.params
        self.take(codec.receive(rest) if rest else ())
        if endpoint.has_opened or endpoint.has_closed:
            self._announce(handshake)

    def take(self, messages: Sequence[Any]) -> None:
        """Queue messages that a codec gave outside of a read.  Called in this connection's handler."""
        self._inbox.extend(messages)
        if self.codec.ended:
            self._last_read(left=False)

    def refuse(self, code: int, reason: str) -> None:
        """Close without handling the messages that wait."""
        self._inbox[:] = [item for item in self._inbox if type(item) is _Note]
        self.close(code, reason)

    def _start_later(self) -> None:
        get_hub().loop.run_callback(self.server.handlers.start, _work, self)

    def _last_read(self, *, left: bool) -> None:
        """The codec wants no more.  What it gave is still handled and answered, then the goodbye is said."""
        self._pause()
        if self._busy or self._inbox:
            self._inbox.append(_LEFT if left else _GOODBYE)
        elif left:
            self._end()
        else:
            self._goodbye()

    def _goodbye(self) -> None:
        """The peer said goodbye in its protocol: answer it.  Lingering begins once that is sent."""
        self.codec.close(1000, "")
        self.flush()

    def _end(self) -> None:
        """The peer ended its side of the socket: send what is left for it, then close."""
        self.codec.closing = True
        self.flush()
        if self._outbox is None:
            self.shut()

    # -- handling: in a pooled greenlet --------------------------------------------------------------------------
    def _work(self) -> None:
        inbox = self._inbox
        codec = self.codec
        left = _TURN
        try:
            while inbox and left and not codec.closing and (self._outbox is None or len(self._outbox) <= self.server.high_water):
                message = inbox.pop(0)
                if type(message) is _Note:
                    self._take_note(message)
                elif not self._leaving:
                    left -= 1
                    self.endpoint.process(self, message)
                    codec = self.codec  # it may have switched protocols
                if inbox and codec.out:
                    if len(codec.out) < _PUSHES:
                        self.flush_later()
                    else:  # the handlers let nobody else run
                        self.flush()
                if not self._read_on:
                    self._read_again()
        finally:
            self._busy = False
            if codec.closing:
                inbox.clear()  # what came behind the end is not answered
            if self._state == OPEN:
                if inbox and self._outbox is None:  # its turn is over, or a message was stopped: the ones behind it are not lost
                    self._busy = True
                    self._start_later()
                elif codec.out or codec.closing:
                    self.flush()
                if not self._read_on and self._state == OPEN:
                    self._read_again()
            elif self._state == CLOSED:
                self._tell_closed()

    def _take_note(self, note: _Note) -> None:
        if note is _LEFT:
            self._end()
        elif note is _GOODBYE:
            self._goodbye()
        else:
            self._told = True
            self.endpoint.opened(self, note.message)

    def _read_again(self) -> None:
        full = self._outbox is not None and len(self._outbox) > self.server.high_water
        if not full and not self.codec.ended and not self.codec.crowded and len(self._inbox) <= self.server.inbox_limit // 2:
            self._resume()

    def wait_for_data(self) -> None:
        """Park the calling handler until the codec was fed again.  The ``pull`` of a request body."""
        self._park(self._resume)
        if self._state == CLOSED:
            raise ConnectionClosed("the client left")

    @property
    def unfinished(self) -> bool:
        """Messages wait to be handled, or answers to be sent."""
        return bool(self._inbox) or self._outbox is not None

    def _go_on(self) -> None:
        if self._inbox and not self._busy:  # handling had stopped because the answers were not read
            self._busy = True
            self._start_later()
        if not self._read_on:
            self._read_again()

    def expire(self) -> None:
        """Nothing was heard for too long: close what is idle; what works gets another deadline."""
        if self._parked:
            self.shut()  # the handler gets ConnectionClosed
        elif self._busy:
            self.deadline = self.server.deadline
        elif self._leaving or self.codec.closing or self._state == LINGERING:
            self.shut()
        else:
            self.close(1001, "idle")

    def probe(self) -> bool:
        """Ask whether the peer is still there, when its protocol can: it has until the new deadline to send anything at all."""
        if self._busy or not self.is_open or not self.codec.probe():
            return False
        self.deadline = self.server.runtime.now + _ANSWER
        self.flush()
        return True

    # -- the end -------------------------------------------------------------------------------------------------
    def _linger(self) -> None:
        """Everything is said: end our side, and read away what the peer still sends so that it can read our last words (RFC 9112 9.6)."""
        self._state = LINGERING
        self._inbox.clear()
        self.deadline = self.server.runtime.now + LINGER
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.shut()
            return
        self._resume()

    def _linger_read(self, data: bytes) -> None:
        self._unread -= len(data)
        if not data or self._unread < 0:
            self.shut()

    def shut(self) -> None:
        """Give the socket back.  Idempotent; safe in the hub and in a handler."""
        if self._state == CLOSED:
            return
        self._state = CLOSED
        self._read_on = False
        self._watcher.stop()
        self._watcher.close()
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None
        self._sock.close()
        self._outbox = None
        self._inbox.clear()
        self.codec.release()
        if self._drained is not None:
            self._drained.set()
        self.server.forget(self)
        if not self._busy:
            self._tell_closed()

    def _tell_closed(self) -> None:
        if self._told and self.endpoint.has_closed:
            self._told = False
            get_hub().loop.run_callback(self.server.handlers.start, self.endpoint.closed, self)


_work = StreamConnection._work  # one function for all, so that no bound method is made for a message
