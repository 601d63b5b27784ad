"""HTTP/2: one connection of many streams, and a pooled handler greenlet for each.

A stream stands where ``HttpEndpoint`` and guests expect a connection of HTTP/1.1, and is its own codec.  All streams of a connection
share its socket, its outbox and its reading; frames of one turn leave in one send.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import inf
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from gevent import get_hub, getcurrent
from gevent.event import Event
from greenlet import greenlet
from h2.errors import ErrorCodes
from zope.interface import implementer

from greenimi.codec.http2 import Http2Codec
from greenimi.codec.http2_link import Http2Link
from greenimi.codec.http2_stream import StreamCodec, lost
from greenimi.errors import ProtocolError
from greenimi.interfaces import IConnection, IPayload
from greenimi.message import Identity, Request, Response
from greenimi.servers.deadlines import Pace
from greenimi.servers.http2_socket import open_tunnel
from greenimi.servers.outbox import LINGERING, OPEN
from greenimi.servers.stream import StreamConnection
from greenimi.servers.timed import AT_WORK, TOO_MUCH

if TYPE_CHECKING:
    from greenimi.servers.entrance.tls import TlsFacts
    from greenimi.servers.http import HttpServer
    from greenimi.servers.live import LiveStream

log = logging.getLogger("greenimi.servers")

_READ = 65536
_NO_PARAMS: Mapping[str, Any] = {}


@implementer(IConnection)
class Http2Stream(StreamCodec):
    """One request and its answer.  ``data`` and ``address`` are those of its connection; the identity is its own."""

    __slots__ = (
        "_changed",
        "_unwanted_before",
        "began",
        "below",
        "handler",
        "identity",
        "incoming",
        "lives",
        "outgoing",
        "server",
    )

    parting = False
    waiting = True  # it is the connection that says goodbye: an answer on a stream is never the last because of that
    params = _NO_PARAMS
    dialect = None  # nothing can be pushed to it
    subprotocol = ""
    links: Any = None

    def __init__(self, link: Http2Link, number: int, request: Request | None, below: Http2Connection) -> None:
        super().__init__(link, number, request)
        self.below = below
        self.server: HttpServer = below.server  # type: ignore[assignment]  # only that makes such connections
        self.identity: Identity | None = None
        self.lives: tuple[LiveStream, ...] = ()
        self.handler: greenlet | None = None
        self.began: float = 0
        self.incoming: Pace | None = None  # of the body; made by the sweep
        self.outgoing: Pace | None = None  # of the answer, while a window keeps it
        self._changed: Event | None = None
        self._unwanted_before = False

    # -- what applications see -----------------------------------------------------------------------------------------
    @property
    def id(self) -> str:
        return f"{self.below.id}-{self.number}"

    @property
    def address(self) -> Any:
        return self.below.address

    @property
    def local_address(self) -> Any:
        return self.below.local_address

    @property
    def tls(self) -> TlsFacts | None:
        return self.below.tls

    @property
    def opened_at(self) -> float:
        return self.below.opened_at

    @property
    def last_seen(self) -> float:
        return self.below.last_seen

    @property
    def secure(self) -> bool:
        return self.below.tls is not None

    @property
    def data(self) -> dict[str, Any]:
        return self.below.data

    @property
    def is_open(self) -> bool:
        return not self.closing

    def send(self, data: Any) -> bool:
        raise TypeError("an HTTP connection has no messages of its own accord")

    def push(self, framed: bytes, key: str | None = None) -> bool:
        """Never: there is no dialect to frame anything."""
        return False

    def request(self, data: Mapping[str, Any], timeout: float = 10.0) -> Any:
        raise TypeError("an HTTP connection has no messages of its own accord")

    @property
    def payload(self) -> IPayload:
        raise TypeError("an HTTP connection has no messages of its own accord")

    @payload.setter
    def payload(self, payload: str | IPayload) -> None:
        raise TypeError("an HTTP connection has no messages of its own accord")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End this stream; the others go on."""
        self.give_up(ErrorCodes.CANCEL)
        self.below.settle()

    def __repr__(self) -> str:
        return f"<stream {self.number} of {self.below!r}>"

    # -- what handlers need of a connection ----------------------------------------------------------------------------
    @property
    def codec(self) -> Http2Stream:
        return self

    @property
    def out(self) -> list[bytes]:
        return self._link.out

    def answer(self, request: Request, response: Response) -> None:
        """Answer in the hub.  For what must not wait for a handler."""
        self.respond(request, response)

    def flush(self) -> None:
        """Send what is queued."""
        self.below.settle(at_once=True)

    def wait_drained(self) -> None:
        """Park the calling handler while too much of its answer waits to be sent.  Raises ConnectionClosed."""
        self.began = monotonic_ns()
        below = self.below
        below.settle(at_once=True)
        limit = self._link.limits.room // 4
        while (self.pending > limit or (below.congested and self.pending)) and not self.local_done:
            self._park()
        if self.local_done:
            raise lost()

    def wait_for_data(self) -> None:
        """Park the calling handler until more of the body arrived.  The ``pull`` of a request body."""
        if self._orphan:
            raise lost()
        self.consumed()
        self._park()

    def _park(self) -> None:
        self.below.settle(at_once=True)
        if self._orphan:
            return
        if self._changed is None:
            self._changed = Event()
        self._changed.clear()
        self.wake = self._changed.set
        self.began = inf  # the client's time, not the handler's
        try:
            self._changed.wait()
        finally:
            self.wake = None
            self.began = monotonic_ns()

    def send_beat(self, size: int) -> bool:
        """Whether ``size`` bytes that only keep the client patient should be sent now: nothing is waiting before them."""
        return not self.pending and not self.closing and self.below.send_beat(size)

    def upgrade(self, response: Response) -> tuple[StreamConnection, bytes]:
        """Answer an extended CONNECT: the connection that speaks the new protocol, and nothing that came behind the request."""
        return open_tunnel(self, response), b""

    def cut(self, error: Exception) -> None:
        super().cut(error)
        for live in self.lives:
            live.leave()

    # -- once a second -------------------------------------------------------------------------------------------------
    def look(self, now: float) -> None:
        """Cut what takes too long."""
        if self.unwanted:
            if self._unwanted_before:
                self.stop()
            self._unwanted_before = True
            return
        if not self.pending:
            self.outgoing = None
        elif self.outgoing is None:
            self.outgoing = Pace(monotonic(), self.server.write_time, self.server.min_rate, -self.sent)
        else:
            self.outgoing.passed = self.sent
            if self.outgoing.late(now):
                log.info("%r: the client reads too slowly, reset", self)
                self.give_up(ErrorCodes.CANCEL)
                return
        body = self.body
        if body is None or self.remote_done or self.tunnel or body.wanted is not None:
            self.incoming = None
            return
        if self.incoming is None:
            self.incoming = Pace(monotonic(), self.server.body_time, self.server.min_rate, -body.received)
        self.incoming.passed = body.received
        if body.size and self.given:
            self.incoming.put_off(now)  # it is our handler who does not read
        elif self.incoming.late(now):
            self._too_late()

    def _too_late(self) -> None:
        error = ProtocolError("the message took too long to arrive", status=408, code=1008)
        log.info("%r: %s", self, error.text)
        if self.body is not None and self.given:
            self.body.abort(error)
            if self.wake is not None:
                self.wake()
        else:
            self.fail(error)


class Http2Connection(StreamConnection):
    """A client's link that speaks HTTP/2.  It never has a handler of its own: its streams have."""

    __slots__ = ("_pumping",)

    codec: Http2Codec

    def __init__(self, server: HttpServer, sock: Any, address: Any, endpoint: Any, tls: TlsFacts | None = None) -> None:
        codec = Http2Codec(server.http2_limits, server.runtime.heads, self._new_stream)
        super().__init__(server, sock, address, codec, endpoint, tls)
        self._pumping = False  # a call that goes on with sending is on its way

    def _new_stream(self, link: Http2Link, number: int, request: Request | None) -> Http2Stream:
        return Http2Stream(link, number, request, self)

    def begin(self, unsent: bytes, data: bytes, request: Request | None = None, settings: bytes = b"") -> None:
        """Take over from a connection that spoke HTTP/1.1: ``unsent`` goes out first, ``data`` came behind it.

        ``request`` is the one that asked for HTTP/2, with these ``settings``.
        """
        if unsent:
            self.codec.out.append(unsent)
        if request is not None and self.codec.upgrade(request, settings):
            self._take(request)
        if data:
            self._readable(data)
        self.settle()

    # -- reading: in the hub -------------------------------------------------------------------------------------------
    def _readable(self, data: bytes | None = None) -> None:
        try:
            if data is None:
                try:
                    data = self._sock.recv(_READ)
                except BlockingIOError:
                    return
                except OSError:
                    data = b""
            if self._state == LINGERING:
                self._linger_read(data)
            elif not data:
                self.shut()
            else:
                self._receive(data)
        except Exception:  # the hub would only tell of it, and nobody would ever close the connection
            log.exception("%r cannot be served any more", self)
            self.shut()

    def _receive(self, data: bytes) -> None:
        codec = self.codec
        requests = codec.receive(data)
        if codec.partial or self._incoming is not None:
            self._time_incoming(len(data), anew=bool(requests))
        for request in requests:
            if type(request) is ProtocolError:
                log.info("%r: %s", self, request.text)
                codec.fail(request)
            else:
                self._take(request)
        if not self._leaving:
            self.deadline = AT_WORK if codec.streams else self._silence.until
        self._busy = bool(codec.streams)
        if codec.ended:
            self._pause()
            self._incoming = None
        if codec.out or codec.closing:
            self.flush()
        if codec.starved:
            self._pump_later()
        if self.congested:
            self._pause()  # its pings would be answered into our memory

    def _take(self, request: Any) -> None:
        """Have a request handled."""
        server: Any = self.server
        handlers = server.handlers
        if handlers.crowded:
            stream = request.connection
            if server.answer_at_once(stream, (request,)):
                stream.release()
                return
            if handlers.overloaded:
                server.refuse(TOO_MUCH)
                stream.turn_away()
                stream.release()
                return
        handlers.start(_serve, request)

    # -- sending -------------------------------------------------------------------------------------------------------
    @property
    def congested(self) -> bool:
        """The socket takes no more for now."""
        return self._outbox is not None and len(self._outbox) > self.server.high_water

    def settle(self, *, at_once: bool = False) -> None:
        """Streams have said something, or have ended: send that at the end of the turn, or ``at_once``."""
        codec = self.codec
        if not codec.streams and self._busy:
            self._busy = False
            if not self._leaving:
                self.deadline = self._silence.until
        if codec.out or codec.closing:
            if at_once:
                self.flush()
            else:
                self.flush_later()
        if codec.starved:
            self._pump_later()

    def _pump_later(self) -> None:
        if not self._pumping:
            self._pumping = True
            get_hub().loop.run_callback(self._pump)

    def _pump(self) -> None:
        """In the hub: what was queued goes out, and then more may be queued."""
        self._pumping = False
        self.flush()
        if self._state == OPEN and not self.congested:
            self.codec.pump(self.codec.limits.room)
            self.settle(at_once=True)

    def _go_on(self) -> None:
        self._pump_later()
        for stream in list(self.codec.streams.values()):
            if stream.wake is not None:
                stream.wake()
        if not self._read_on and not self.codec.ended:
            self._resume()

    # -- deadlines and the end -----------------------------------------------------------------------------------------
    @property
    def waiting(self) -> bool:
        return bool(self.codec.streams or self.codec.partial)

    @property
    def unfinished(self) -> bool:
        return self._outbox is not None or any(stream.pending for stream in self.codec.streams.values())

    def look(self, now: float) -> bool:
        streams: Any = self.codec.streams
        if streams:
            for stream in list(streams.values()):
                if type(stream) is Http2Stream:
                    stream.look(now)
            self.settle()
        return super().look(now)

    def _break_off(self) -> None:
        error = ProtocolError("a frame took too long to arrive", status=408, code=1008)
        log.info("%r: %s", self, error.text)
        self.codec.fail(error)
        self._pause()
        self._incoming = None
        self.settle(at_once=True)

    def depart(self, code: int, reason: str, *, at_last: bool) -> bool:
        """Announce that we are leaving; close when no stream is left.  False: the client has not said that it knows."""
        codec = self.codec
        if not self.parting:
            self.parting = True
            codec.part()
            for stream in list(codec.streams.values()):
                for live in getattr(stream, "lives", ()):
                    live.depart()
            self.settle(at_once=True)
        if at_last and not codec.leaving:
            self.close(code, reason)
        return codec.leaving or self._state != OPEN

    def shut(self) -> None:
        super().shut()
        self._busy = False


def _serve(request: Request) -> None:
    """The job of a handler: one request."""
    stream: Http2Stream = request.connection  # type: ignore[assignment]  # the codec has put it there
    server = stream.server
    stream.handler = getcurrent()
    stream.began = began = monotonic_ns()
    server.at_work.add(stream)
    try:
        stream.below.endpoint.process(stream, request)  # type: ignore[arg-type]  # it stands where a connection does
    finally:
        server.at_work.discard(stream)
        stream.handler = None
        spent = monotonic_ns() - began
        latency = server.latency
        latency.buckets[(spent // 1000).bit_length()] += 1
        latency.nanoseconds += spent
        stream.release()
        stream.below.settle()
