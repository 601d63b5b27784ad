"""The senders of datagrams: what a UDP server remembers of them, and whom it forgets when they are too many."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from math import inf
from time import monotonic, monotonic_ns, time
from typing import TYPE_CHECKING, Any

from gevent import getcurrent
from zope.interface import implementer

from greenimi.errors import ConnectionClosed
from greenimi.interfaces import IConnection, IDialect, IPayload
from greenimi.message import Datagram, Identity, Reply
from greenimi.servers.calls import Calls
from greenimi.servers.expiry import OVER

if TYPE_CHECKING:
    from greenimi.servers.udp import Arrival, UdpServer

HEADERS = 28
"""Bytes of the IP and UDP headers of a datagram, which even an empty one costs."""

_NO_PARAMS: Mapping[str, Any] = {}


@implementer(IConnection)
class UdpPeer:
    """Who sends datagrams from one address, as long as it is remembered.  Nobody else's object stands for that address meanwhile.

    number, id  asked for, they are given; a sender that nobody remembers has them for one datagram
    slot        of its server that it comes by: the kernel sends it always to the same
    heard       when the last datagram came, by the clock of the runtime that moves once a second
    allowance   bytes that may still be sent to it before it says something again; its answers are not among them
    calls       requests to it that wait for their replies; None: there are none
    at_work     its datagrams that are being handled
    waiting     datagrams that wait for the one at work; None: they do not wait for each other
    in_turn     they do: its `opened` handlers have not run yet, or its server handles one after the other
    told        its `opened` handlers had their turn
    leaving     it is to be forgotten, or to be said to have closed, once nothing is at work for it
    """

    __slots__ = (
        "__weakref__",
        "_data",
        "_identity",
        "_number",
        "address",
        "allowance",
        "at_work",
        "calls",
        "dialect",
        "heard",
        "in_turn",
        "is_open",
        "leaving",
        "links",
        "opened_at",
        "server",
        "slot",
        "told",
        "waiting",
    )
    secure = False
    subprotocol = ""
    tls = None
    params = _NO_PARAMS

    def __init__(self, server: UdpServer, address: Any, slot: int) -> None:
        self.server = server
        self.address = address
        self.slot = slot
        self.is_open = True
        self.opened_at = time()
        self.heard = server.runtime.now
        self.allowance = server.allowance
        self.dialect: IDialect | None = server.dialect if server.remembers else None
        self.links: Any = None
        self.calls: Calls | None = None
        self.at_work = 0
        self.waiting: deque[Arrival] | None = None
        self.in_turn = server.in_turn
        self.told = not server.in_turn
        self.leaving = False
        self._number = 0
        self._data: dict[str, Any] | None = None
        self._identity: Identity | None = None

    # -- what applications see -----------------------------------------------------------------------------------
    @property
    def number(self) -> int:
        if not self._number:
            self._number = self.server.runtime.next_number()
        return self._number

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def local_address(self) -> Any:
        """The address that its server is bound to."""
        return self.server.local_address

    @property
    def data(self) -> dict[str, Any]:
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def payload(self) -> IPayload:
        """That of its server."""
        return self.server.dialect.payload

    @payload.setter
    def payload(self, payload: str | IPayload) -> None:
        raise TypeError("all peers of a UDP server have its payload")

    @property
    def last_seen(self) -> float:
        return time() - (monotonic() - self.heard)

    @property
    def identity(self) -> Identity | None:
        """What one of its datagrams has shown, for pushes to a user: what a datagram may do is decided by what it shows itself."""
        return self._identity

    @identity.setter
    def identity(self, identity: Identity | None) -> None:
        if identity != self._identity:
            self._identity = identity
            self.server.identified(self)

    def send(self, data: Any) -> bool:
        """Encode and send a datagram at once.  At most once, unordered.

        False when the peer is forgotten, has got all that may be sent before it says something again, or the socket takes no more.
        ValueError when the message does not fit a datagram.
        """
        work = self._own_work()
        if work is not None:
            work.began = monotonic_ns()
        dialect = self.server.dialect
        return self.push(dialect.frame_raw(data.raw) if type(data) is Reply else dialect.frame(dialect.payload.encode(data)))

    def _own_work(self) -> Arrival | None:
        """What this greenlet does for the peer."""
        work = self.server.at_work.get(getcurrent())
        return work if work is not None and work.connection is self else None

    def push(self, framed: bytes, key: str | None = None) -> bool:
        """Send a datagram that is framed already; otherwise as ``send``.  Nothing waits here, so nothing takes another's place."""
        if not self.is_open:
            return False
        self.allowance -= len(framed) + HEADERS
        if self.allowance < 0:
            self.server.dropped += 1
            return False
        return self.server.send(framed, self.address)

    def request(self, data: Mapping[str, Any], timeout: float = 10.0) -> Any:
        """See IConnection.  Nothing is sent again: NoReply may as well mean that a datagram was lost."""
        if self.dialect is None or not self.is_open:
            raise ConnectionClosed("a reply of a peer that is not remembered would not be known for one")
        server = self.server
        if self.calls is None:
            self.calls = Calls(server)
        calls = self.calls
        work = self._own_work()

        def ask(number: str) -> bool:
            sent = self.send({**data, server.pipeline.id_field: number})
            if work is not None:
                work.began = inf  # the peer's time, not the handler's
            return sent

        try:
            return calls.call(ask, timeout)
        finally:
            if work is not None:
                work.began = monotonic_ns()
            if calls.idle:
                self.calls = None

    def replied(self, message: Datagram) -> bool:
        """Whether it is a reply to a request of ours, which is met then.  Only while there are ``calls``."""
        calls = self.calls
        assert calls is not None
        pipeline = self.server.pipeline
        try:
            taken = calls.take(pipeline.payload.decode(message.raw), pipeline.id_field)
        except Exception:  # whoever handles it will say so
            taken = False
        calls.forget_late()
        if calls.idle:
            self.calls = None
        return taken

    def lose(self) -> None:
        """It is closed: nobody waits for its replies any more."""
        self.is_open = False
        if self.calls is not None:
            self.calls.lose()
            self.calls = None

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Forget it.  UDP has no goodbye: the peer is not told, and its next datagram opens it anew."""
        self.server.forget(self)

    def refuse(self, code: int, reason: str) -> None:
        """Forget it, and handle none of the datagrams that wait."""
        if self.waiting:
            self.waiting.clear()
        self.close(code, reason)

    def expired(self) -> None:
        """Its identity has."""
        self.close(4401, OVER)

    def __repr__(self) -> str:
        return f"<peer {self.address} of {self.server.name}>"


class Peers:
    """At most ``limit`` of them, by their addresses.

    Those that were heard of in one second of the clock only are strangers, the others are known.  When one too many comes, the stranger
    that was silent for the longest time is forgotten, and one that is known only when there is no stranger.  So a flood of forged addresses
    pushes out itself, and of those who talk it takes one place at most.
    """

    __slots__ = ("_known", "_strangers", "by_address", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.by_address: dict[Any, UdpPeer] = {}
        self._strangers: OrderedDict[UdpPeer, None] = OrderedDict()  # the longest silent first, here
        self._known: OrderedDict[UdpPeer, None] = OrderedDict()  # and here, as exactly as the clock goes

    def __len__(self) -> int:
        return len(self.by_address)

    def __iter__(self) -> Iterator[UdpPeer]:
        """Those that are remembered now, also when some come or go meanwhile."""
        return iter(tuple(self.by_address.values()))

    def one_too_many(self) -> UdpPeer | None:
        """Whom to forget before another one is added; None while there is room."""
        if len(self.by_address) < self.limit:
            return None
        return next(iter(self._strangers or self._known))

    def add(self, peer: UdpPeer) -> None:
        self.by_address[peer.address] = peer
        self._strangers[peer] = None

    def heard(self, peer: UdpPeer, now: float) -> None:
        """It says something in another second than before."""
        peer.heard = now
        if peer in self._known:
            self._known.move_to_end(peer)
        else:
            del self._strangers[peer]
            self._known[peer] = None

    def discard(self, peer: UdpPeer) -> bool:
        """False when it was not remembered."""
        if self.by_address.get(peer.address) is not peer:
            return False
        del self.by_address[peer.address]
        del (self._known if peer in self._known else self._strangers)[peer]
        return True

    def silent(self, since: float) -> Iterator[UdpPeer]:
        """Those that were not heard of after that moment."""
        for line in (self._strangers, self._known):
            for peer in line:
                if peer.heard > since:
                    break
                yield peer
