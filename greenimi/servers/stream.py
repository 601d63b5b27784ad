"""One client's link over a stream socket, and the loop that serves it.

Measured rules (see docs/performance.md): one persistent read watcher on a raw non-blocking socket; its callback, in the hub, reads once and
feeds the codec; complete messages go to a pooled handler greenlet, in order; the answers of a turn leave in one send; a write watcher
starts only when the socket would block.  An idle connection holds no greenlet, no timer and no buffer.  User code never runs in the hub.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.event import Event
from zope.interface import implementer

from greenimi.errors import ConnectionClosed
from greenimi.interfaces import IConnection
from greenimi.message import Message

if TYPE_CHECKING:
    from greenimi.codec.base import Codec
    from greenimi.servers.base import StreamHost
    from greenimi.servers.endpoint import Endpoint

log = logging.getLogger("greenimi.servers")

_READ = 65536
_LINGER = 2  # seconds to read away what a refused peer still sends, so that it can read why
_LINGER_BYTES = 1 << 20
_ANSWER = 20  # seconds to answer a ping
_PUSHES = 16  # messages queued by one turn before they are sent
_NO_PARAMS: Mapping[str, Any] = {}
_OPEN, _LINGERING, _CLOSED = range(3)


class _Note:
    """What goes through the inbox besides messages, so that it keeps its place among them."""

    __slots__ = ("message",)

    def __init__(self, message: Any = None) -> None:
        self.message = message


_GOODBYE = _Note()  # the peer said goodbye in its protocol
_LEFT = _Note()  # the peer ended its side of the socket


@implementer(IConnection)
class StreamConnection:
    """See IConnection.  Made by a server for an accepted socket."""

    __slots__ = (
        "__weakref__",
        "_busy",
        "_data",
        "_drained",
        "_inbox",
        "_leaving",
        "_number",
        "_outbox",
        "_pushed",
        "_read_on",
        "_sock",
        "_state",
        "_told",
        "_unread",
        "_watcher",
        "_writer",
        "address",
        "codec",
        "deadline",
        "endpoint",
        "params",
        "server",
        "waits_for_flush",
    )

    def __init__(self, server: StreamHost, sock: socket.socket, address: Any, codec: Codec, endpoint: Endpoint) -> None:
        self.server = server
        self.address = address
        self.codec = codec
        self.endpoint = endpoint
        self.deadline = server.deadline  # the sweep closes what is idle past it; moved on by every read
        self._number = server.runtime.next_number()
        self.params: Mapping[str, Any] = _NO_PARAMS  # of the path it shook hands on
        self._data: dict[str, Any] | None = None
        self._sock = sock
        self._state = _OPEN
        self._inbox: list[Any] = []
        self._busy = False
        self._leaving = False  # we said goodbye and wait for the peer's
        self.waits_for_flush = False  # a flush at the end of this turn is on its way
        self._told = False  # the endpoint's `opened` ran, or is going to
        self._outbox: bytearray | None = None  # what the socket did not take
        self._pushed = False  # something in it was not an answer
        self._drained: Event | None = None
        self._unread = _LINGER_BYTES
        self._writer: Any = None
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
        return self._state == _OPEN and not self._leaving and not self.codec.closing

    def send(self, data: Any) -> bool:
        if not self.is_open:
            return False
        self.endpoint.send(self, data)
        self._pushed = True
        if len(self.codec.out) < _PUSHES:
            self.flush_later()
        else:  # the sender lets nobody else run
            self.flush()
        return self._state == _OPEN

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self._state == _OPEN and not self._leaving:
            self._leaving = True
            self.deadline = self.server.runtime.now + _LINGER
            self.codec.close(code, reason)
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
        if self._state == _LINGERING:
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
                if self._state == _CLOSED:
                    return
            if len(self._inbox) > server.inbox_limit:
                self._pause()
        elif codec.crowded:
            self._pause()
        if self._drained is not None:
            self._drained.set()  # a handler waits for more of a body
        if codec.ended and self._state == _OPEN:
            self._last_read(left=not data)
        if codec.out:
            self.flush()

    def _pause(self) -> None:
        if self._read_on:
            self._read_on = False
            self._watcher.stop()

    def _resume(self) -> None:
        if not self._read_on and self._state in (_OPEN, _LINGERING):
            self._read_on = True
            self._watcher.start(self._readable)

    def _announce(self, message: Any) -> None:
        """Run the endpoint's ``opened`` before any message."""
        self._told = True
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
        try:
            while inbox and not codec.closing and (self._outbox is None or len(self._outbox) <= self.server.high_water):
                message = inbox.pop(0)
                if type(message) is _Note:
                    self._take_note(message)
                else:
                    self.endpoint.process(self, message)
                    codec = self.codec  # it may have switched protocols
                if inbox and codec.out:
                    self.flush_later()
                if not self._read_on:
                    self._read_again()
        finally:
            self._busy = False
            if codec.closing:
                inbox.clear()  # what came behind the end is not answered
            if self._state == _OPEN:
                if inbox and self._outbox is None:  # this handler was killed; the messages behind it are not lost
                    self._busy = True
                    self._start_later()
                elif codec.out or codec.closing:
                    self.flush()
            elif self._state == _CLOSED:
                self._tell_closed()

    def _take_note(self, note: _Note) -> None:
        if note is _LEFT:
            self._end()
        elif note is _GOODBYE:
            self._goodbye()
        else:
            self.endpoint.opened(self, note.message)

    def _read_again(self) -> None:
        if not self.codec.ended and not self.codec.crowded and len(self._inbox) <= self.server.inbox_limit // 2:
            self._resume()

    def wait_for_data(self) -> None:
        """Park the calling handler until the codec was fed again.  The ``pull`` of a request body."""
        self._park(self._resume)
        if self._state == _CLOSED:
            raise ConnectionClosed("the client left")

    def wait_drained(self) -> None:
        """Park the calling handler while more than the high-water mark waits to be sent.  Raises ConnectionClosed."""
        if self.codec.out:
            self.flush()
        while self._outbox is not None and len(self._outbox) > self.server.high_water:
            self._park(None)
        if self._state != _OPEN:
            raise ConnectionClosed("the client left")

    def _park(self, ready: Callable[[], None] | None) -> None:
        if self.codec.out:
            self.flush()
        if self._state == _CLOSED:
            return
        if self._drained is None:
            self._drained = Event()
        self._drained.clear()
        if ready is not None:
            ready()
        self._drained.wait()

    # -- writing -------------------------------------------------------------------------------------------------
    def flush_later(self) -> None:
        """Send at the end of this turn of the loop, together with whatever else is queued until then."""
        if not self.waits_for_flush:
            self.waits_for_flush = True
            self.server.runtime.flush_later(self)

    def flush(self) -> None:
        """Send what the codec has queued; what the socket does not take waits for the write watcher."""
        self.waits_for_flush = False
        if self._state != _OPEN:
            return
        codec = self.codec
        data = codec.outgoing() if codec.out else b""
        if self._outbox is not None:
            self._outbox += data
            self._check_outbox()
            return
        if data:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.shut()
                return
            if sent < len(data):
                self._outbox = bytearray(data[sent:])
                if self._writer is None:
                    self._writer = get_hub().loop.io(self._sock.fileno(), 2)
                self._writer.start(self._writable)
                self._check_outbox()
                return
        if codec.closing and not self._busy:
            self._linger()

    def _check_outbox(self) -> None:
        """Close the connection when too much was pushed to it that its peer does not read.  Answers wait, they are made on demand."""
        if self._pushed and self._outbox is not None and len(self._outbox) > self.server.outbox_limit:
            log.warning("%r reads too slowly: over %d bytes wait for it, closed", self, self.server.outbox_limit)
            self.shut()

    def _writable(self) -> None:
        outbox = self._outbox
        assert outbox is not None
        try:
            sent = self._sock.send(outbox)
        except BlockingIOError:
            return
        except OSError:
            self.shut()
            return
        del outbox[:sent]
        if not self._leaving:
            self.deadline = self.server.deadline
        if len(outbox) <= self.server.high_water:
            if self._drained is not None:
                self._drained.set()
            if self._inbox and not self._busy:  # handling had stopped because the answers were not read
                self._busy = True
                self._start_later()
        if not outbox:
            self._outbox = None
            self._pushed = False
            self._writer.stop()
            self.flush()

    def expire(self) -> None:
        """Nothing was heard for too long: close what is idle; what works gets another deadline."""
        if self._busy:
            self.deadline = self.server.deadline
        elif self._leaving or self.codec.closing or self._state == _LINGERING:
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
        self._state = _LINGERING
        self._inbox.clear()
        self.deadline = self.server.runtime.now + _LINGER
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
        if self._state == _CLOSED:
            return
        self._state = _CLOSED
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
