"""What the sweep of a server sees of a connection: what is under way, and whether that takes too long."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable
from math import inf
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from gevent import monkey

from greenimi.codec.base import HEAD
from greenimi.errors import ProtocolError, Unauthorized
from greenimi.message import Identity
from greenimi.servers.deadlines import Pace
from greenimi.servers.expiry import OVER
from greenimi.servers.outbox import CLOSED, LINGER, LINGERING, OPEN, Outbox

if TYPE_CHECKING:
    from greenimi.codec.base import Codec
    from greenimi.servers.base import StreamHost

log = logging.getLogger("greenimi.servers")

_poll = monkey.get_original("select", "poll")  # a look that does not wait

TOO_MUCH = "clients were told to come back later, there was too much to do"

T = TypeVar("T", bound="Timed")

_LATELY = 2.0  # seconds, of deadlines that move once a second
AT_WORK = -inf  # the deadline of silence where something is under way

GOODBYE = 5
"""Seconds that the peer's goodbye waits for the answers to what it said before."""


class Timed(Outbox):
    """A connection that is looked at once a second: see ``due`` and ``look``.

    A peer may be silent until ``deadline``, which each read moves on; what it has begun to send or to read has a pace to keep.
    """

    __slots__ = ("_front", "_given", "_identity", "_inbox", "_incoming", "_pinged", "_read_on", "_silence", "deadline", "parting")

    def __init__(self, server: StreamHost, sock: Any, codec: Codec) -> None:
        super().__init__(server, sock, codec)
        self.deadline = server.first_byte.until
        self._silence = server.keep_alive  # what it is moved on to
        self._given = 0.0  # the last deadline that silence was given; it still stands when nothing was heard since
        self._pinged = False  # and whether it is for the answer to a ping
        self._incoming: Pace | None = None  # of what has begun to arrive
        self.parting = False  # its turn to be said goodbye to has come
        self._read_on = True
        self._inbox: list[Any] = []
        self._front: list[Any] = []  # what is before the inbox, turned round: a list is taken from at its end
        self._identity: Identity | None = None

    @abstractmethod
    def close(self, code: int = 1000, reason: str = "") -> None: ...

    @abstractmethod
    def _pause(self) -> None: ...

    @abstractmethod
    def _last_read(self, *, left: bool) -> None: ...

    @abstractmethod
    def _goodbye(self) -> None: ...

    @property
    def identity(self) -> Identity | None:
        """Who the client is; when that expires the connection is closed."""
        return self._identity

    @identity.setter
    def identity(self, identity: Identity | None) -> None:
        self._identity = identity
        expiries = self.server.runtime.expiries
        if identity is None or identity.expires is None or self._state == CLOSED:
            expiries.forget(self)
        else:
            expiries.watch(self, identity.expires, self._expired)

    def _expired(self) -> None:
        self.close(4000 + Unauthorized.status, OVER)

    @property
    def waiting(self) -> bool:
        """More of the peer is here than the message at hand, or on its way."""
        return bool(self._inbox or self._front or self.codec.partial)

    @property
    def unfinished(self) -> bool:
        """Messages wait to be handled, or answers to be sent."""
        return bool(self._inbox or self._front) or self._outbox is not None

    def _forget_waiting(self) -> None:
        self._inbox.clear()
        self._front.clear()

    def _bow_out(self) -> None:
        """We said goodbye: the peer has a moment to say it, too."""
        self._leaving = True
        self._incoming = None
        self.deadline = self.server.runtime.now + LINGER

    def _said_all(self) -> None:
        if self._leaving:
            self.deadline = self.server.runtime.now + LINGER

    def _time_incoming(self, size: int, *, anew: bool) -> None:
        """A message has begun to arrive, goes on by ``size`` bytes, or is complete.  ``anew``: it is another one than before."""
        partial = self.codec.partial
        if not partial:
            self._incoming = None
        elif anew or self._incoming is None or self._incoming.what != partial:
            server = self.server
            if partial == HEAD:
                self._incoming = Pace(monotonic(), server.head_time, inf, what=HEAD)
            else:
                self._incoming = Pace(monotonic(), server.body_time, server.min_rate, what=partial)
        else:
            self._incoming.passed += size

    def _turn_away(self) -> None:
        """There is too much to do: say so at once, without a handler."""
        self.server.refuse(TOO_MUCH)
        self._inbox.clear()
        self.codec.turn_away()
        self._bow_out()
        self.flush()

    def look(self, now: float) -> bool:
        """Cut what takes too long.  True: nothing is under way, and it has been silent for too long."""
        if self._reads_too_slowly(now):
            log.info("%r reads too slowly, closed", self)
            self.cut()
            return False
        incoming = self._incoming
        if incoming is not None:
            if not self._read_on:
                incoming.put_off(now)  # it is us who do not read
            elif incoming.late(now):
                self._break_off()
                return False
        if self.deadline >= now:
            return False
        if self._outgoing is not None or incoming is not None or self._is_at_work():
            self.deadline = AT_WORK
        elif self._busy and self.codec.pings and (self.codec.ended or self.codec.closing) and self._state == OPEN:
            self._part_busily()
        elif self.deadline == AT_WORK:  # silence begins now
            self.deadline = now + LINGER if self._leaving else self._silence.until
        else:
            return True
        return False

    def _is_at_work(self) -> bool:
        """Whether silence of the peer says nothing.  Of one that can be asked for a sign of life it does, unless nobody listens."""
        if self.codec.pings:
            return not self._read_on and not self._leaving and not self.codec.ended
        return self._busy and not self._parked

    def _part_busily(self) -> None:
        """Both said goodbye, or the peer did, and a handler is still at work for it.  Do not let it wait for that any longer."""
        if not self.codec.closing:
            error = next((each for each in reversed(self._inbox) if isinstance(each, ProtocolError)), None)
            if error is not None:
                self.codec.fail(error)
            else:
                self._goodbye()
        self.flush()
        if self._state == OPEN and self._outbox is None:
            self._linger()

    def _break_off(self) -> None:
        """What the peer has begun takes too long to arrive."""
        error = ProtocolError("the message took too long to arrive", status=408, code=1008)
        found = self.codec.break_off(error)
        if self._busy or self._inbox or self._front:
            self._inbox += found  # what came before it is answered first
            if self._drained is not None:
                self._drained.set()  # a handler waits for it
            self._last_read(left=False)
        else:
            log.info("%r: %s", self, error.text)
            self._pause()
            self._incoming = None
            self.codec.fail(error)
            self.flush()

    def expire(self) -> None:
        """Nothing was heard for too long."""
        if self._parked or self._leaving or self.codec.closing or self._state == LINGERING:
            self.shut()  # a handler that waits gets ConnectionClosed
        else:
            self.close(1001, "idle")

    def is_waited_for(self, now: float) -> bool:
        """It was silent past its deadline: give it another where there is something left to wait for.

        That is its turn to be asked for a sign of life, so that not all who came at the same moment are asked at the same moment again, and
        then the sign: anything at all.
        """
        if not self.is_open:
            return False
        silence = self._silence
        if self.deadline != self._given:  # it was heard of since
            self._pinged = False
            if silence.spread:
                self.deadline = self._given = now + silence.spread * random()  # noqa: S311
                return True
        if self._pinged or not silence.answer or not self.probe():
            return False
        self._pinged = True
        self.deadline = self._given = now + silence.answer + random()  # noqa: S311  # a fraction that no other deadline has
        return True

    def probe(self) -> bool:
        """Ask for a sign of life, where the protocol has a question for that."""
        if not self.is_open or not self.codec.probe():
            return False
        self.flush()
        return True

    def depart(self, code: int, reason: str, *, at_last: bool) -> bool:
        """Say goodbye; False when that should wait: there is something to do, or something may be on its way to us that would be lost.

        ``at_last``: nothing is waited for any longer that is not here.
        """
        self.parting = True
        for live in self.lives:
            live.depart()
        if self.is_open:
            if self._busy or self.waiting:
                return False
            if not self.codec.parts_well and (self._has_more() or (self._heard_lately and not at_last)):
                return False
        self.close(code, reason)
        return True

    def _has_more(self) -> bool:
        """Something is here that was not read yet."""
        if not self._read_on:
            return False
        look = _poll()
        look.register(self._sock.fileno(), 1)
        return bool(look.poll(0))

    @property
    def _heard_lately(self) -> bool:
        """It connected or said something within the last second or two."""
        return any(silence.until - _LATELY < self.deadline <= silence.until for silence in (self._silence, self.server.first_byte))


def due(connections: Iterable[T], now: float) -> list[T]:
    """Those that have to be looked at: silent for too long, or with something on its way."""
    return [each for each in connections if each.deadline < now or each._incoming is not None or each._outgoing is not None]
