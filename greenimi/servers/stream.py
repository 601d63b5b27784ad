"""One client's link over a stream socket, and the loop that serves it.

Measured rules (see docs/performance.md): one persistent read watcher on a raw non-blocking socket; its callback, in the hub, reads once
and feeds the codec; complete messages go to a pooled handler greenlet, in order; the answers of a turn leave in one send; a write watcher
starts only when the socket would block.  An idle connection holds no greenlet, no timer and no buffer.  User code never runs in the hub,
but for a framing of the application's own.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from gevent import get_hub, getcurrent
from zope.interface import implementer

from greenimi.errors import ConnectionClosed
from greenimi.hub.links import close_for_good
from greenimi.interfaces import IConnection
from greenimi.message import Message, Request, Response, Upgrade
from greenimi.servers.calls import READ, Talker, is_large
from greenimi.servers.outbox import CLOSED, LINGER, LINGERING, OPEN, PUSHES, watcher
from greenimi.servers.parts import send_parts
from greenimi.servers.timed import GOODBYE

if TYPE_CHECKING:
    from greenimi.codec.base import Codec
    from greenimi.servers.base import StreamHost
    from greenimi.servers.endpoint import Endpoint
    from greenimi.servers.entrance.tls import TlsFacts

log = logging.getLogger("greenimi.servers")

_LINGER_BYTES = 1 << 20
_TURN = 256  # messages handled before other connections have theirs,
_TURN_TIME = 5_000_000  # or nanoseconds
_LARGE = 65536  # bytes of a message that is sent without waiting for others
_NO_PARAMS: Mapping[str, Any] = {}


class _Note:
    """What goes through the inbox besides messages, so that it keeps its place among them."""

    __slots__ = ("message",)

    def __init__(self, message: Any = None) -> None:
        self.message = message


_GOODBYE = _Note()  # the peer said goodbye in its protocol
_LEFT = _Note()  # the peer ended its side of the socket


@implementer(IConnection)
class StreamConnection(Talker):
    """See IConnection.  Made by a server for an accepted socket."""

    __slots__ = (
        "__weakref__",
        "_told",
        "_unread",
        "_watcher",
        "endpoint",
        "params",
    )

    def __init__(self, server: StreamHost, sock: Any, address: Any, codec: Codec, endpoint: Endpoint, tls: TlsFacts | None = None) -> None:
        super().__init__(server, sock, address, codec, tls)
        self.endpoint = endpoint
        self.params: Mapping[str, Any] = _NO_PARAMS  # of the path it shook hands on
        self._told = False  # the endpoint's `opened` ran
        self._unread = _LINGER_BYTES
        self._watcher = watcher(sock, 1)
        self._watcher.start(self._readable)
        if endpoint.has_opened or endpoint.has_closed:
            self._announce(Message(b"", self))

    # -- what applications do -------------------------------------------------------------------------------------
    def send(self, data: Any) -> bool:
        if not self.is_open:
            return False
        if self.handler is not None and self.handler is getcurrent():
            self.began = monotonic_ns()
        self._pushed = True
        out = self.codec.out
        if self._holding or self._outbox is not None:
            return self._send_behind(data, len(out))
        self.endpoint.send(self, data)
        if not out or (len(out) < PUSHES and len(out[-1]) < _LARGE):
            self.flush_later()
        else:  # the sender lets nobody else run
            self.flush()
        return self._state == OPEN

    def _send_behind(self, data: Any, before: int) -> bool:
        """As a push, behind what waits to be sent, or goes out in parts."""
        out = self.codec.out
        self.endpoint.send(self, data)
        framed = b"".join(out[before:])
        del out[before:]
        return self.push(framed)

    def send_parts(self, parts: Iterable[bytes | str]) -> None:
        send_parts(self, parts)

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self._state == OPEN and not self._leaving:
            self.codec.close(code, reason)
            self._bow_out()
            if self.links is not None:
                close_for_good(self, code)
            self.flush_later()

    # -- reading: in the hub -------------------------------------------------------------------------------------
    def _readable(self, data: bytes | None = None) -> None:
        """Read once, or take ``data`` as what was read."""
        try:
            if data is None:
                try:
                    data = self._sock.recv(READ)
                except BlockingIOError:
                    return
                except OSError:
                    data = b""
            if self._state == LINGERING:
                self._linger_read(data)
                return
            server = self.server
            codec = self.codec
            messages = codec.receive(data)
            if not self._leaving:
                self.heard = server.now
                self.deadline = self._silence.until
                if codec.partial or self._incoming is not None:
                    self._time_incoming(len(data), anew=bool(messages))
            if self._calls is not None:
                messages = self._without_replies(messages)
            if messages and not self._leaving:
                self._inbox += messages
                if not self._busy:
                    if server.handlers.crowded:
                        if server.answer_at_once(self, self._inbox):
                            return
                        if server.handlers.overloaded:
                            self._turn_away()
                            return
                    self._busy = True
                    server.handlers.start(_work, self)
                    if self._state == CLOSED:
                        return
                waiting = len(self._inbox) + len(self._front)
                if (waiting > 1 or codec.partial) and (waiting > server.inbox_limit or is_large(messages[0])):  # one alone always may
                    self._pause_when_full()
            elif codec.crowded:
                self._pause()
            if self._drained is not None:
                self._drained.set()  # a handler waits for more of a body
            if codec.ended and self._state == OPEN:
                self._last_read(left=not data)
            if codec.out:
                self.flush()
            if self._outbox is not None and self._is_full():
                self._pause()  # its pings would be answered into our memory
        except Exception:  # the hub would only tell of it, and nobody would ever close the connection
            log.exception("%r cannot be served any more", self)
            self.shut()

    def feed(self, data: bytes) -> None:
        """Take what was read from the socket before this connection was made."""
        self._readable(data)

    def answer(self, request: Request, response: Response) -> None:
        """Answer the only message that waits, in the hub.  For what must not wait for a handler."""
        self._inbox.clear()
        self.codec.respond(request, response)  # type: ignore[attr-defined]  # an HTTP codec, or there were no request
        self.flush()

    def _pause(self) -> None:
        if self._read_on:
            self._read_on = False
            self._watcher.stop()

    def _pause_when_full(self) -> None:
        """Stop reading when as much waits for the handler as may.

        It is looked at what that is in bytes when a large message came: without those it cannot be much.
        """
        if not self._waits_for_reply() and (len(self._inbox) + len(self._front) > self.server.inbox_limit or not self._has_room()):
            self._pause()

    def _resume(self) -> None:
        if not self._read_on and self._state in (OPEN, LINGERING):
            self._read_on = True
            self._watcher.start(self._readable)

    def upgrade(self, response: Upgrade) -> tuple[StreamConnection, bytes]:
        """Answer the handshake at hand: the connection that is to speak the new protocol, and the bytes that came behind it."""
        return self, self.codec.switch(response)  # type: ignore[attr-defined]  # an HTTP codec until now

    def _unwatch(self) -> None:
        """The socket is not ours any more."""
        self._state = CLOSED
        self._read_on = False
        self._watcher.stop()
        self._watcher.close()
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    def hand_over(self) -> tuple[Any, bytes]:
        """Give up the socket to another connection, with what waits to be sent.  Called in the handler, or when none is at work."""
        unsent = bytes(self._outbox or b"") + (self._backlog.take(1 << 62) if self._backlog is not None else b"") + self.codec.outgoing()
        self._unwatch()
        self._outbox = self._backlog = self._outgoing = self._incoming = None
        self._forget_waiting()
        self.codec.release()
        self.server.forget(self)
        return self._sock, unsent

    def _announce(self, message: Any) -> None:
        """Run the endpoint's ``opened`` before any message."""
        self._front.append(_Note(message))
        if not self._busy:
            self._busy = True
            self.start_later()

    def switch(self, codec: Codec, endpoint: Endpoint, handshake: Any, rest: bytes) -> None:
        """Speak another protocol from now on.  Called in the handler of ``handshake``; ``rest`` is what came behind it."""
        codec.out = self.codec.out  # the answer to the handshake, not sent yet
        self.codec = codec
        self.endpoint = endpoint
        self.params = handshake.params
        self._silence = self.server.pinged if codec.pings else self.server.idle
        self.deadline = self._silence.until
        self.take(codec.receive(rest) if rest else ())
        if endpoint.has_opened or endpoint.has_closed:
            self._announce(handshake)

    def take(self, messages: Sequence[Any]) -> None:
        """Queue messages that a codec gave outside of a read.  Called in this connection's handler."""
        self._inbox.extend(messages)
        if self.codec.partial or self._incoming is not None:
            self._time_incoming(0, anew=True)
        if self.codec.ended:
            self._last_read(left=False)

    def refuse(self, code: int, reason: str) -> None:
        """Close without handling the messages that wait."""
        for waiting in (self._front, self._inbox):
            waiting[:] = [item for item in waiting if type(item) is _Note]
        self.close(code, reason)

    def start_later(self) -> None:
        """Have a handler go on with the messages at the end of this turn, or once their rate allows it.  ``_busy`` is True."""
        rates = self.server.rates
        if rates is None or not rates.hold(self):
            get_hub().loop.run_callback(self.server.handlers.start, _work, self)

    def _last_read(self, *, left: bool) -> None:
        """The codec wants no more.  What it gave is still handled and answered, then the goodbye is said."""
        if left and self.lives:  # nobody listens to what would never end
            self.shut()
            return
        self._pause()
        self._incoming = None
        if self.codec.pings:
            self.deadline = self.server.now + GOODBYE
        if self._busy or self._inbox or self._front:
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
        """The peer ended its side of the socket: send what is left for it, then close, unless it may still listen."""
        if self.server.half_closed is not None and self.is_open:
            self._silence = self.server.half_closed
            self.deadline = self._silence.until
            return
        self.codec.closing = True
        self.flush()
        if self._outbox is None:
            self.shut()

    # -- handling: in a pooled greenlet --------------------------------------------------------------------------
    def _work(self) -> None:
        server = self.server
        inbox = self._inbox
        front = self._front
        codec = self.codec
        rates = server.rates
        latency = server.latency
        buckets = latency.buckets
        left = _TURN
        self.handler = getcurrent()
        self.began = began = monotonic_ns()
        ends = began + _TURN_TIME
        try:
            while (front or inbox) and left and not codec.closing and (self._outbox is None or not self._is_full()):
                if front:
                    message = front.pop()
                elif len(inbox) == 1:
                    message = inbox.pop()
                else:
                    front += reversed(inbox)
                    inbox.clear()
                    message = front.pop()
                if type(message) is _Note:
                    self._take_note(message)
                    self.began = began = monotonic_ns()
                elif not self._leaving:
                    if rates is not None and not rates.take(self, message):
                        front.append(message)
                        break
                    self.endpoint.process(self, message)
                    codec = self.codec  # it may have switched protocols
                    self.began = done = monotonic_ns()
                    spent = done - began
                    buckets[(spent // 1000).bit_length()] += 1  # Latency.add without the call
                    latency.nanoseconds += spent
                    began = done
                    left = 0 if done > ends else left - 1
                if codec.out and (front or inbox):
                    if len(codec.out) < PUSHES and len(codec.out[-1]) < _LARGE:
                        self.flush_later()
                    else:  # the handlers let nobody else run
                        self.flush()
                if not self._read_on:
                    self._read_again()
        finally:
            self.handler = None
            self._busy = False
            if codec.closing:
                self._forget_waiting()  # what came behind the end is not answered
            if self._state == OPEN:
                if (front or inbox) and self._outbox is None:  # its turn is over, or a message was stopped: the ones behind it are not lost
                    self._busy = True
                    self.start_later()
                elif codec.out or codec.closing:
                    self.flush()
                if not self._read_on and self._state == OPEN:
                    self._read_again()
            elif self._state == CLOSED:
                server.left.discard(self)
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
        if (
            not self._is_full()
            and not self.codec.ended
            and not self.codec.crowded
            and ((len(self._inbox) + len(self._front) <= self.server.inbox_limit // 2 and self._has_room()) or self._waits_for_reply())
        ):
            self._resume()

    def wait_for_data(self) -> None:
        """Park the calling handler until the codec was fed again.  The ``pull`` of a request body."""
        if self.codec.partial and self._incoming is None:  # the client was told to go on just now
            self._time_incoming(0, anew=True)
        self._park(self._resume)
        if self._state == CLOSED:
            raise ConnectionClosed("the client left")

    def _go_on(self) -> None:
        if (self._inbox or self._front) and not self._busy:  # handling had stopped because the answers were not read
            self._busy = True
            self.start_later()
        if not self._read_on:
            self._read_again()

    # -- the end -------------------------------------------------------------------------------------------------
    def _linger(self) -> None:
        """Everything is said: end our side, and read away what the peer still sends so that it can read our last words (RFC 9112 9.6)."""
        self._state = LINGERING
        self._incoming = None
        self._forget_waiting()
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
        self._unwatch()
        self._sock.close()
        if self._identity is not None:
            self.server.runtime.expiries.forget(self)
        self._outbox = self._backlog = self._outgoing = self._incoming = None
        self._forget_waiting()
        self.codec.release()
        if self.dialect is not None:
            self.server.runtime.hub.gone(self)
        if self._drained is not None:
            self._drained.set()
        for live in self.lives:
            live.leave()
        self.server.forget(self)
        if not self._busy:
            self._tell_closed()

    def _tell_closed(self) -> None:
        if self._told and self.endpoint.has_closed:
            self._told = False
            get_hub().loop.run_callback(self.server.handlers.start, StreamConnection._say_closed, self)

    def _say_closed(self) -> None:
        left = self.server.left
        left.add(self)
        self.handler = getcurrent()
        self.began = monotonic_ns()
        try:
            self.endpoint.closed(self)
        finally:
            self.handler = None
            left.discard(self)


_work = StreamConnection._work  # one function for all, so that no bound method is made for a message
