"""What every server has: a name, settings, a container, the sockets it accepts on and the connections it holds."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent import get_hub

from greenimi.container.registry import Container
from greenimi.servers.acceptor import Acceptor, Gate
from greenimi.servers.deadlines import Silence
from greenimi.servers.entrance.entrance import Entrance, entrance_for
from greenimi.servers.farewell import REASONS, Farewell
from greenimi.servers.latency import Latency
from greenimi.servers.rates import Rates
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings
from greenimi.servers.sockets import tune
from greenimi.servers.stream import StreamConnection
from greenimi.servers.timed import TOO_MUCH, due

if TYPE_CHECKING:
    from greenimi.codec.base import Codec
    from greenimi.servers.endpoint import Endpoint
    from greenimi.servers.entrance.tls import TlsFacts

log = logging.getLogger("greenimi.servers")

_SLICE = 0.001
"""Seconds at a stretch for connections that are due: to end one whose peer did not read may take the kernel half of that."""

_BREATH = 0.002
"""Seconds until the next stretch."""


def pinged(settings: ServerSettings, now: float) -> Silence:
    """The silence of connections whose clients can be asked for a sign of life."""
    interval = settings.ping_interval
    if not interval:
        return Silence(settings.idle, now)
    spread = interval * settings.ping_jitter
    return Silence(interval - spread, now, spread=spread, answer=settings.ping_timeout)


class StreamHost:
    """A server of stream connections: HTTP or TCP.  Subclasses say which codec and endpoint a new connection gets.

    accepted_count  sockets accepted so far
    refused         clients sent away: over a limit, or too much to do
    dropped         messages that were left out for clients that read too slowly
    cut_count       clients that were cut because too much was pushed to them that they did not read
    now             the monotonic clock of the runtime, as it was at the last sweep
    late_replies    replies of clients to requests of the server that nobody waited for any more
    latency         how long messages took to be handled, and how many there were
    draining        nobody is let in any more; clients are asked to go when they are done
    """

    def __init__(self, name: str, kind: str, settings: ServerSettings, container: Container, runtime: Runtime) -> None:
        self.name = name
        self.kind = kind
        self.settings = settings
        self.container = container
        self.runtime = runtime
        self.connections: set[StreamConnection] = set()
        self.handlers = runtime.handlers
        self.left: set[StreamConnection] = set()  # gone, but a handler is still at work for them
        self.latency = Latency()
        self.now = runtime.now
        self.accepted_count = 0
        self.refused = 0
        self.draining = False
        self.idle = Silence(settings.idle, runtime.now)
        self.keep_alive = self.idle  # of a connection that has not switched to another protocol
        self.pinged = pinged(settings, runtime.now)
        self.first_byte = Silence(settings.first_byte or settings.idle, runtime.now)
        self.head_time = settings.head_time
        self.body_time = settings.body_time
        self.write_time = settings.write_time
        self.min_rate = settings.min_rate
        self.handler_time = settings.handler_time or inf
        self.inbox_limit = settings.inbox
        self.outbox_limit = settings.outbox
        self.outbox_messages = settings.outbox_messages
        self.drops = settings.slow != "close"
        self.conflates = settings.slow == "conflate"
        self.dropped = 0
        self.cut_count = 0
        self.high_water = settings.high_water
        self.rates = Rates(settings, runtime.user_messages) if settings.message_rate or settings.user_rate else None
        self.half_closed: Silence | None = None  # of clients that ended their side and may still listen
        self.late_replies = 0
        self.entrance: Entrance | None = entrance_for(settings, self)
        self.gate = Gate(name, settings, self._held)
        self._farewell: Farewell | None = None
        self._due: list[StreamConnection] = []  # still to be looked at,
        self._again: Any = get_hub().loop.timer(_BREATH)  # then

    @property
    def handled(self) -> int:
        """Messages handled so far."""
        return self.latency.count

    def _held(self) -> int:
        return len(self.connections) + (self.entrance.count if self.entrance is not None else 0)

    def new_codec(self) -> Codec:
        raise NotImplementedError

    def new_endpoint(self) -> Endpoint:
        raise NotImplementedError

    def new_connection(self, sock: Any, address: Any, endpoint: Endpoint, tls: TlsFacts | None) -> StreamConnection:
        return StreamConnection(self, sock, address, self.new_codec(), endpoint, tls)

    # -- doors -----------------------------------------------------------------------------------------------------
    def attach(self, listening: socket.socket, *, share: bool = False) -> None:
        """Accept connections on a bound, listening socket.  ``share``: other processes accept on it too, so take one at a time."""
        tune(listening, self.settings.tcp_keepalive)
        acceptor = Acceptor(listening, self)
        acceptor.shared = share
        self.gate.add(acceptor)

    def start(self) -> None:
        self._move_deadlines(self.runtime.now)
        self.runtime.each_second.append(self.sweep)
        if self.rates is not None:
            self.runtime.each_second.append(self.rates.tick)
        self.runtime.overtime.sources.append(self._working)
        self.runtime.unfinished.append(self.unfinished)
        self.gate.open()

    def drain(self) -> None:
        """Accept no more.  HTTP answers say ``Connection: close`` from now on, once nothing more of their client waits; with a ``farewell``
        under way those whose turn it is."""
        self.draining = True
        self.gate.close()

    def asks_to_go(self, connection: StreamConnection) -> bool:
        """Whether the next answer on a connection should say that it is the last: nobody is let in, and it is this client's turn."""
        return self.draining and (self._farewell is None or connection.parting)

    def farewell(self, code: int, seconds: float) -> None:
        """Say goodbye to every connection in its protocol's way, spread over ``seconds``, the oldest first; all at once when that is 0.

        Connections with something to do are left to it; they go when it is done.  Goes on until ``stop``.
        """
        if self._farewell is not None:
            self._farewell.end()
        oldest_first = sorted(self.connections, key=lambda connection: connection.number)
        self._farewell = Farewell(oldest_first, lambda: self.connections, code, seconds)

    def stop(self, code: int = 1001) -> None:
        """Say goodbye to every connection in its protocol's way, also to those with something to do."""
        self.drain()
        if self._farewell is not None:
            self._farewell.end()
            self._farewell = None
        if self.entrance is not None:
            self.entrance.close()
            self.entrance = None
        if self.sweep in self.runtime.each_second:
            self.runtime.each_second.remove(self.sweep)
            self._again.stop()
            self._again.close()
            self.runtime.overtime.sources.remove(self._working)
            self.runtime.unfinished.remove(self.unfinished)
        for connection in list(self.connections):
            connection.close(code, REASONS.get(code, ""))
        if self.rates is not None and self.rates.tick in self.runtime.each_second:
            self.runtime.each_second.remove(self.rates.tick)
            self.rates.tick(self.runtime.now)

    def shut(self) -> None:
        """Close what is still open, answered or not."""
        for connection in list(self.connections):
            connection.shut()

    # -- connections -----------------------------------------------------------------------------------------------
    def accepted(self, sock: Any, address: Any) -> None:
        """Take over a raw non-blocking socket that somebody connected to.  Called in the hub."""
        self.accepted_count += 1
        if self.entrance is None:
            self.admit(sock, address)
        else:
            self.entrance.enter(sock, address)

    def admit(self, sock: Any, address: Any, data: bytes = b"", tls: TlsFacts | None = None) -> None:
        """Make a connection of a raw non-blocking socket, or what looks like one, which is through the entrance.

        ``data`` was read behind its handshake; ``tls`` are the facts of that.
        """
        endpoint = self.new_endpoint()
        if endpoint.has_opened and self.handlers.overloaded:
            self.refuse(TOO_MUCH)
            sock.close()
            return
        if not self.gate.admits(address):
            self.refuse(f"one address has {self.settings.per_address} connections, its limit")
            sock.close()
            return
        connection = self.new_connection(sock, address, endpoint, tls)
        self.connections.add(connection)
        if data:
            connection.feed(data)

    def answer_at_once(self, connection: StreamConnection, messages: Sequence[Any]) -> bool:
        """Answer without a handler what must be answered although all of them are busy; False when it is nothing of the kind."""
        return False

    def refuse(self, reason: str) -> None:
        """Count somebody who is sent away; the log tells it once a second."""
        self.refused += 1
        self.gate.refused(reason)

    def forget(self, connection: StreamConnection) -> None:
        self.connections.discard(connection)
        if connection.handler is not None:
            self.left.add(connection)
        self.gate.forget(connection.address)

    def _working(self) -> list[Any]:
        return [connection for connection in self.connections if connection.handler is not None] + list(self.left)

    def unfinished(self) -> bool:
        return any(connection.unfinished for connection in self.connections)

    def _move_deadlines(self, now: float) -> None:
        self.now = now
        for silence in (self.idle, self.keep_alive, self.first_byte, self.pinged):
            silence.move(now)

    def sweep(self, now: float) -> None:
        """Cut what takes too long.  Ping what was silent past its deadline, and close it when there is no answer, or no way to ping."""
        self._move_deadlines(now)
        self.gate.each_second()
        self._due = due(self.connections, now)
        self._look_on(now)

    def _look_on(self, now: float) -> None:
        """Look at those that are due; when many have to be cut, at the others a moment later."""
        until = monotonic() + _SLICE
        while self._due:
            connection = self._due.pop()
            try:
                if connection.look(now) and not connection.is_waited_for(now):
                    connection.expire()
            except Exception:
                log.exception("%r cannot be served any more", connection)
                connection.shut()
            if monotonic() > until:
                break
        if self._due:
            self._again.start(self._look_on, now)
