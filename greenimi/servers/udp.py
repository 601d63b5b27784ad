"""UDP: one datagram is one message; the answer goes to its sender, who is remembered for a while."""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from itertools import islice
from math import inf
from time import monotonic, monotonic_ns
from typing import Any

from gevent import get_hub, getcurrent
from greenlet import greenlet

from greenimi.codec.datagram import MAX_UDP, DatagramCodec, DatagramDialect
from greenimi.container.context import Scope, enter
from greenimi.container.registry import Container
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.errors import ConfigError, HandlerTimeout
from greenimi.message import Datagram, Reply
from greenimi.servers.datagram import DatagramReader
from greenimi.servers.latency import Latency
from greenimi.servers.messages import MessageEndpoint, too_late
from greenimi.servers.peers import Peers, UdpPeer
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings

log = logging.getLogger("greenimi.servers")

_MOST = 10_000
"""Peers at most that are forgotten in a second because they were silent; what is left has its turn in the next."""

_SLICE = 0.001
"""Seconds at a stretch for peers that are to be forgotten."""

_BREATH = 0.002
"""Seconds until the next stretch."""


class Arrival(Datagram):
    """A datagram and the handler at work on it, see ``overtime.Work``; an empty one stands for the beginning and the end of a peer."""

    __slots__ = ("began", "handler")

    handler: greenlet | None
    began: float

    @property
    def server(self) -> UdpServer:
        return self.connection.server  # type: ignore[no-any-return]  # a peer's


class UdpServer:
    """``kind = "udp"``.

    connections     the peers that are remembered
    at_work         what is being handled, by the greenlet
    accepted_count  datagrams read so far
    refused         those of them that were malformed
    dropped         datagrams that had no room: in a peer's inbox, its allowance or the socket
    late_replies    replies to requests of ours that nobody waited for any more
    latency         how long datagrams took to be handled, and how many there were
    """

    def __init__(self, name: str, settings: ServerSettings, container: Container, runtime: Runtime, pipeline: MessagePipeline) -> None:
        self.name = name
        self.kind = "udp"
        self.settings = settings
        self.container = container
        self.runtime = runtime
        self.pipeline = pipeline
        self.dialect = DatagramDialect(pipeline.payload)
        self.remembers = settings.peers > 0 and settings.peer_time > 0
        self.allowance = settings.peer_bytes or inf
        self.in_turn = pipeline.has_opened or settings.in_order
        self._check_memory()
        self.connections = Peers(settings.peers)
        self.at_work: dict[greenlet, Arrival] = {}
        self.handler_time = settings.handler_time or inf
        self.latency = Latency()
        self._buckets = self.latency.buckets
        self.accepted_count = 0
        self.refused = 0
        self.late_replies = 0
        self.dropped = 0
        self.local_address: Any = None
        self._codec = DatagramCodec(min(settings.max_message, MAX_UDP), Arrival)
        self.read_size = self._codec.read_size
        self._endpoint = MessageEndpoint(container, pipeline)
        self._find = self.connections.by_address.get
        self._readers: list[DatagramReader] = []
        self._reads: frozenset[int] = frozenset()  # the slots that are read
        self._share = False
        self._sendto: Any = None
        self._due: list[UdpPeer] = []  # to be forgotten,
        self._again: Any = None  # and the timer of the next stretch of that

    def _check_memory(self) -> None:
        wanted = {"in_order": self.settings.in_order, "@opened": self.pipeline.has_opened, "@closed": self.pipeline.has_closed}
        for what, is_wanted in wanted.items():
            if is_wanted and not self.remembers:
                raise ConfigError(f"{what} needs peers that are remembered", hint="peers and peer_time say how many, and how long")

    # -- sockets ---------------------------------------------------------------------------------------------------
    def attach(self, bound: socket.socket, *, share: bool = False) -> None:
        """Read from a bound datagram socket, the next slot of this server.  ``share``: not before ``read`` tells to."""
        bound.setblocking(False)
        self._share = share
        reader = DatagramReader(bound, len(self._readers), self, self.runtime.handlers)
        self._readers.append(reader)
        self.local_address = reader.address
        self._sendto = getattr(bound, "_sock", bound).sendto

    def start(self) -> None:
        if self._again is None:
            self._again = get_hub().loop.timer(_BREATH)
            self.runtime.each_second.append(self.sweep)
            self.runtime.overtime.sources.append(self._working)
        self.read(() if self._share else range(len(self._readers)))

    def read(self, slots: Collection[int]) -> None:
        """Read from these slots, by the order in which they were attached, and from no others.  Answers go out all the same.

        The peers of the others are forgotten: who reads them from now on will know them.
        """
        for reader in self._readers:
            if reader.slot in slots:
                reader.go_on()
            else:
                reader.drain()
        lost = self._reads.difference(slots)
        self._reads = frozenset(slots)
        if lost:
            for peer in self.connections:
                if peer.slot in lost:
                    self._let_go(peer)

    def drain(self) -> None:
        """Read no more; the sockets stay open for the answers of what was read."""
        self.read(())

    def stop(self) -> None:
        if self._again is not None:
            self._again.stop()
            self._again.close()
            self._again = None
            self.runtime.each_second.remove(self.sweep)
            self.runtime.overtime.sources.remove(self._working)
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        for peer in self.connections:
            self.forget(peer)

    def shut(self) -> None:
        """Nothing is open."""

    def send(self, framed: bytes, address: Any) -> bool:
        """Hand a datagram to the kernel, now.  False when it does not take it."""
        try:
            self._sendto(framed, address)
        except BlockingIOError:
            self.dropped += 1
            return False
        except OSError as error:
            log.info("server %s: no answer to %s: %s", self.name, address, error)
            return False
        return True

    # -- peers -----------------------------------------------------------------------------------------------------
    def _new_peer(self, address: Any, slot: int) -> UdpPeer:
        peer = UdpPeer(self, address, slot)
        if self.remembers:
            longest = self.connections.one_too_many()
            if longest is not None:
                self.forget(longest)
            self.connections.add(peer)
            self.runtime.hub.add(peer)
        return peer

    def identified(self, peer: UdpPeer) -> None:
        """A remembered peer has another identity than before; when that expires the peer is forgotten."""
        if peer.dialect is None or not peer.is_open:
            return
        identity = peer.identity
        if identity is None or identity.expires is None:
            self.runtime.expiries.forget(peer)
        else:
            self.runtime.expiries.watch(peer, identity.expires, peer.expired)
        self.runtime.hub.identified(peer)

    def forget(self, peer: UdpPeer) -> None:
        """It is closed.  Idempotent.  Its `closed` handlers run once nothing is at work for it any more."""
        if not peer.is_open:
            return
        peer.lose()
        if self.connections.discard(peer):
            self._forget(peer)
        if peer.at_work:
            peer.leaving = True
        else:
            self._tell_closed(peer)

    def _forget(self, peer: UdpPeer) -> None:
        """What was remembered of it elsewhere goes as well."""
        self.runtime.expiries.forget(peer)
        self.runtime.hub.gone(peer)

    def _let_go(self, peer: UdpPeer) -> None:
        """Forget it as soon as nothing is at work for it."""
        if peer.at_work:
            peer.leaving = True
        else:
            self.forget(peer)

    def _left(self, peer: UdpPeer) -> None:
        """Nothing is at work any more for a peer that was to leave."""
        peer.leaving = False
        if peer.is_open:
            self.forget(peer)
        else:
            self._tell_closed(peer)

    def _tell_closed(self, peer: UdpPeer) -> None:
        if peer.told and self.pipeline.has_closed:
            peer.told = False
            self.runtime.handlers.start(self._say_closed, peer)

    def sweep(self, now: float) -> None:
        """Forget who was silent for too long.  A peer for which something is at work is not silent."""
        silent = self.connections.silent(now - self.settings.peer_time)
        self._due = [peer for peer in islice(silent, _MOST) if not peer.at_work]
        self._sweep_on()

    def _sweep_on(self) -> None:
        """When there are many, some now and the others a moment later."""
        until = monotonic() + _SLICE
        since = self.runtime.now - self.settings.peer_time
        while self._due:
            peer = self._due.pop()
            if peer.heard <= since:  # otherwise it spoke meanwhile
                self._let_go(peer)
            if monotonic() > until:
                break
        if self._due:
            self._again.start(self._sweep_on)

    # -- datagrams: in a pooled greenlet -----------------------------------------------------------------------------
    def _working(self) -> list[Arrival]:
        return list(self.at_work.values())

    @property
    def handled(self) -> int:
        """Datagrams handled so far."""
        return self.latency.count

    def received(self, slot: int, item: tuple[bytes, Any]) -> None:
        """Handle a datagram that came by that slot, and its sender's address.  In a handler greenlet, as all below."""
        self.accepted_count += 1
        data, address = item
        message = self._codec.receive(data)
        if not isinstance(message, Arrival):
            self.refused += 1
            log.info("server %s, from %s: %s", self.name, address, message)
            return
        peer = self._find(address)
        if peer is None:
            peer = self._new_peer(address, slot)
        elif peer.heard != self.runtime.now:
            self.connections.heard(peer, self.runtime.now)
        peer.allowance = self.allowance
        message.connection = peer
        if peer.calls is not None and peer.replied(message):
            return
        if not peer.in_turn:
            self._handle(peer, message)
        elif peer.waiting is None:
            self._take_turn(peer, message)
        elif len(peer.waiting) < self.settings.inbox:
            peer.waiting.append(message)
        else:
            self.dropped += 1

    def _take_turn(self, peer: UdpPeer, message: Arrival) -> None:
        """Handle the first datagram of a peer behind its ``opened`` handlers, and in order those that come meanwhile, if so asked."""
        waiting: deque[Arrival] = deque([message])
        peer.waiting = waiting
        peer.at_work += 1  # also in between, or its `closed` handlers could run there
        try:
            if not peer.told:
                peer.told = True
                with self._work(peer) as beginning:
                    self._endpoint.opened(peer, beginning)
            if self.settings.in_order:
                while waiting:
                    self._handle(peer, waiting.popleft())
            elif waiting:  # otherwise it was refused
                peer.in_turn = False
                for late in islice(waiting, 1, None):
                    self.runtime.handlers.start(self._handle_late, late)
                self._handle(peer, message)
        finally:
            peer.waiting = None
            self._done(peer)

    def _handle_late(self, message: Arrival) -> None:
        """It waited while its peer was opened."""
        peer: UdpPeer = message.connection  # type: ignore[assignment]
        if peer.is_open:
            self._handle(peer, message)
        else:
            self.dropped += 1

    @contextmanager
    def _work(self, peer: UdpPeer) -> Iterator[Arrival]:
        """A handler is at work that is not for a datagram."""
        me = getcurrent()
        work = self.at_work[me] = Arrival(b"", peer)
        work.handler = me
        work.began = monotonic_ns()
        peer.at_work += 1
        try:
            yield work
        finally:
            work.handler = None
            del self.at_work[me]
            self._done(peer)

    def _done(self, peer: UdpPeer) -> None:
        peer.at_work -= 1
        if peer.leaving and not peer.at_work:
            self._left(peer)

    def _handle(self, peer: UdpPeer, message: Arrival) -> None:
        """Handle a datagram, and answer it.  Of each part that costs a call only what is needed stands here."""
        me = message.handler = getcurrent()
        self.at_work[me] = message
        message.began = began = monotonic_ns()
        peer.at_work += 1
        try:
            try:
                found = Context().run(enter, Scope(self.container, peer, message), self.pipeline.handle, message)
            except HandlerTimeout as error:
                found = self._in_scope(message, partial(too_late, self.pipeline, error))
            spent = monotonic_ns() - began
            self._buckets[(spent // 1000).bit_length()] += 1  # Latency.add
            self.latency.nanoseconds += spent
            if type(found) is bytes and len(found) <= MAX_UDP:
                self.send(found, peer.address)
            elif found is not None:
                self._answer(message, found)
            if peer.links is not None and peer.links.after is not None:
                after, peer.links.after = peer.links.after, None
                after()
        finally:
            message.handler = None
            del self.at_work[me]
            peer.at_work -= 1
            if peer.leaving and not peer.at_work:
                self._left(peer)

    def _answer(self, message: Datagram, found: bytes | Reply) -> None:
        """With what may not fit a datagram: then with an error, if one was asked for."""
        try:
            framed = self._framed(found)
        except ValueError as error:
            failed = self._in_scope(message, partial(self.pipeline.failed, error))
            if failed is None:
                return
            framed = self._framed(failed)
        self.send(framed, message.connection.address)

    def _framed(self, found: bytes | Reply) -> bytes:
        return self.dialect.frame_raw(found.raw) if isinstance(found, Reply) else self.dialect.frame(found)

    def _in_scope(self, message: Datagram, function: Callable[[Any], Any]) -> Any:
        return Context().run(enter, Scope(self.container, message.connection, message), function, message)

    def _say_closed(self, peer: UdpPeer) -> None:
        with self._work(peer):
            self._endpoint.closed(peer)
