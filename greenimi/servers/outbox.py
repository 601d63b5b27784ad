"""The writing half of a connection: one send a turn, what the socket does not take waits here, bounded."""

from __future__ import annotations

import logging
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from gevent import get_hub
from gevent.event import Event
from greenlet import greenlet

from greenimi.errors import ConnectionClosed
from greenimi.servers.backlog import Backlog
from greenimi.servers.deadlines import Pace, unsent

if TYPE_CHECKING:
    from greenimi.codec.base import Codec
    from greenimi.servers.base import StreamHost
    from greenimi.servers.live import LiveStream

log = logging.getLogger("greenimi.servers")

_AT_ONCE = struct.pack("ii", 1, 0)

LINGER = 2
"""Seconds for a peer to end its side after our last words."""

OPEN, LINGERING, CLOSED = range(3)

PUSHES = 16  # messages queued by one turn before they are sent
_AT_ONCE_SENT = 65536  # bytes of a backlog that become due together


def watcher(sock: Any, events: int) -> Any:
    """Tells when a raw socket, or what looks like one, is readable (1) or writable (2)."""
    make = getattr(sock, "watcher", None)
    return get_hub().loop.io(sock.fileno(), events) if make is None else make(events)


class Outbox(ABC):
    """What ``StreamConnection`` is made of where it sends.  It waits for nobody, but for a handler that asks to (``wait_drained``)."""

    __slots__ = (
        "_backlog",
        "_busy",
        "_drained",
        "_holding",
        "_leaving",
        "_outbox",
        "_outgoing",
        "_parked",
        "_pushed",
        "_sock",
        "_state",
        "_writer",
        "began",
        "codec",
        "handler",
        "lives",
        "server",
        "waits_for_flush",
    )

    def __init__(self, server: StreamHost, sock: Any, codec: Codec) -> None:
        self.server = server
        self.codec = codec
        self.handler: greenlet | None = None  # at work for it
        self.began: float = 0  # when that last got or gave something, in nanoseconds; infinity while it waits for the client
        self.lives: tuple[LiveStream, ...] = ()  # bodies that are made while the client listens
        self._sock = sock
        self._state = OPEN
        self._busy = False  # a handler greenlet has it
        self._leaving = False  # we said goodbye and wait for the peer's
        self.waits_for_flush = False  # a flush at the end of this turn is on its way
        self._outbox: bytearray | None = None  # what the socket did not take
        self._backlog: Backlog | None = None  # and what was pushed behind it
        self._holding = False  # a message goes out in parts: what is pushed waits there until it is complete
        self._outgoing: Pace | None = None  # and how long that may go on
        self._pushed = False  # something in it was not an answer
        self._parked = False  # a handler waits for the peer
        self._drained: Event | None = None
        self._writer: Any = None

    @property
    @abstractmethod
    def is_open(self) -> bool: ...

    @abstractmethod
    def shut(self) -> None: ...

    @abstractmethod
    def _linger(self) -> None: ...

    @abstractmethod
    def _said_all(self) -> None:
        """Nothing waits to be sent any more."""

    @abstractmethod
    def _go_on(self) -> None:
        """The outbox fell below the high-water mark: handle and read what had to wait for that."""

    def wait_drained(self) -> None:
        """Park the calling handler while more than the high-water mark waits to be sent.  Raises ConnectionClosed."""
        self.began = monotonic_ns()
        if self.codec.out:
            self.flush()
        while self._outbox is not None and len(self._outbox) > self.server.high_water:
            self._park(None)
        if self._state != OPEN:
            raise ConnectionClosed("the client left")

    def _park(self, ready: Callable[[], None] | None) -> None:
        if self.codec.out:
            self.flush()
        if self._state == CLOSED:
            return
        if self._drained is None:
            self._drained = Event()
        self._drained.clear()
        if ready is not None:
            ready()
        self._parked = True
        self.began = inf  # the client's time, not the handler's
        try:
            self._drained.wait()
        finally:
            self._parked = False
            self.began = monotonic_ns()

    # -- pushes ----------------------------------------------------------------------------------------------------
    def push(self, framed: bytes, key: str | None = None) -> bool:
        """See IConnection."""
        if self._state != OPEN or self._leaving or self.codec.closing:
            return False
        if self._outbox is not None or self._holding:
            return self._push_behind(framed, key)
        out = self.codec.out
        out.append(framed)
        self._pushed = True
        if not self.waits_for_flush:
            self.waits_for_flush = True
            self.server.runtime.flush_later(self)
        elif len(out) >= PUSHES:  # the sender lets nobody else run
            self.flush()
        return True

    def _push_behind(self, framed: bytes, key: str | None) -> bool:
        """The client reads slowly: keep what fits, by the server's policy."""
        if self.codec.out:
            self.flush()  # it comes first
            if self._state != OPEN:
                return False
        server = self.server
        backlog = self._backlog
        if backlog is None:
            backlog = self._backlog = Backlog()
        dropped = backlog.dropped
        backlog.add(framed, key if server.conflates else None)
        self._pushed = True
        if self._is_too_much() and server.drops:
            while self._is_too_much() and backlog.drop_oldest():
                pass
        if backlog.dropped != dropped:
            server.dropped += backlog.dropped - dropped
            if not dropped:
                log.info("%r reads too slowly: messages pushed to it are left out", self)
        self._check_outbox()
        return self._state == OPEN

    def _is_too_much(self) -> bool:
        """Over a limit of what may wait for the client."""
        waiting = 0 if self._outbox is None else len(self._outbox)
        backlog = self._backlog
        if backlog is None:
            return waiting > self.server.outbox_limit
        return waiting + backlog.size > self.server.outbox_limit or len(backlog) > self.server.outbox_messages

    def _is_full(self) -> bool:
        """Over the high-water mark of what waits for the client: its messages wait as well until it reads."""
        waiting = 0 if self._outbox is None else len(self._outbox)
        return waiting + (0 if self._backlog is None else self._backlog.size) > self.server.high_water

    @contextmanager
    def holding(self) -> Iterator[None]:
        """In the block what is pushed waits.  To be used by the handler; it waits itself until what was pushed before is on its way."""
        if self._holding:
            raise RuntimeError("a message is being sent in parts already")
        while self._backlog is not None:
            self._park(None)
        self._holding = True
        try:
            yield
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self.codec.out:
            self.flush()  # the end of the message comes before what was pushed meanwhile
        self._holding = False
        backlog = self._backlog
        if backlog is not None and self._outbox is None:
            self.codec.out.append(backlog.take(backlog.size))
            self._backlog = None
        self.flush_later()

    def flush_later(self) -> None:
        """Send at the end of this turn of the loop, together with whatever else is queued until then."""
        if not self.waits_for_flush:
            self.waits_for_flush = True
            self.server.runtime.flush_later(self)

    def flush(self) -> None:
        """Send what the codec has queued; what the socket does not take waits for the write watcher."""
        self.waits_for_flush = False
        if self._state != OPEN:
            return
        codec = self.codec
        out = codec.out
        if len(out) == 1:  # what Codec.outgoing does, without the call
            data = out[0]
            out.clear()
        else:
            data = codec.outgoing()
        if self._outbox is not None:
            if self._backlog is None or self._holding:
                self._outbox += data
            elif data:
                self._backlog.add_answer(data)
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
                self.begin_outgoing()
                if self._writer is None:
                    self._writer = watcher(self._sock, 2)
                self._writer.start(self._writable)
                self._check_outbox()
                return
        self._pushed = False
        if codec.closing and not self._busy:
            self._linger()

    # -- how long that may take ----------------------------------------------------------------------------------
    def begin_outgoing(self) -> None:
        """From now on the peer has to read: the sweep closes the connection when it does not.  Until ``end_outgoing``."""
        server = self.server
        self._outgoing = Pace(monotonic(), server.write_time, server.min_rate, unsent(self._sock.fileno()))

    def went_out(self, count: int) -> None:
        """The socket took ``count`` bytes more."""
        if self._outgoing is not None:
            self._outgoing.passed += count

    def end_outgoing(self) -> None:
        """Everything is in the kernel's hands."""
        self._outgoing = None

    def send_beat(self, size: int) -> bool:
        """Whether ``size`` bytes that only keep the client patient should be sent now: nothing is waiting before them.

        A client that has not even acknowledged what was sent long ago has from now on the time that it has for reading.
        """
        if self._outbox is not None or self.codec.out:
            return False
        if not unsent(self._sock.fileno()):
            self.end_outgoing()
        elif self._outgoing is None:
            self.begin_outgoing()
        self.went_out(size)
        return True

    def _reads_too_slowly(self, now: float) -> bool:
        outgoing = self._outgoing
        return outgoing is not None and outgoing.late(now, unsent(self._sock.fileno()))

    def _check_outbox(self) -> None:
        """Close the connection when too much was pushed to it that its peer does not read.  Answers wait, they are made on demand."""
        if self._pushed and self._is_too_much():
            server = self.server
            log.warning(
                "%r reads too slowly: over %d bytes or %d messages wait for it, closed", self, server.outbox_limit, server.outbox_messages
            )
            server.cut_count += 1
            self.cut()

    def cut(self) -> None:
        """Close at once, by a reset: what the peer has not read yet is thrown away, in the kernel as well."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
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
        self.went_out(sent)
        if len(outbox) <= self.server.high_water:
            if self._drained is not None:
                self._drained.set()
            self._go_on()
        if outbox or self._state != OPEN:
            return
        backlog = self._backlog
        if backlog is not None and not self._holding:
            outbox += backlog.take(_AT_ONCE_SENT)
            if not backlog:
                self._backlog = None
        else:
            self._outbox = None
            self._outgoing = None
            self._pushed = False
            self._said_all()
            self._writer.stop()
            self.flush()
