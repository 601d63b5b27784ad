"""Plain reads from replicas, where conf chooses so: what may be read there, from which of them, and what happens when none can answer."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextvars import Context, ContextVar
from math import inf
from time import monotonic
from typing import Any

from redis.commands import READ_COMMANDS
from redis.exceptions import BusyLoadingError, MasterDownError, RedisError

from greenimi import green
from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.errors import LateAnswer, LostConnection

__all__ = ["Replicas", "is_plain_read", "is_read", "note_write", "wrote_lately"]

log = logging.getLogger("greenimi.redis")

_LOOK = 1.0
"""Seconds between two looks at how the replicas are."""

_STATEFUL = frozenset({"SCAN", "HSCAN", "SSCAN", "ZSCAN", "XREAD", "XPENDING"})
"""They go on where they were, which must be on the same server, or wait."""

_READS = READ_COMMANDS | {name.lower() for name in READ_COMMANDS} | {name.encode() for name in READ_COMMANDS}
_PLAIN_READS = frozenset(name for name in _READS if (name if isinstance(name, str) else name.decode()).upper() not in _STATEFUL)

_wrote_at: ContextVar[float] = ContextVar("greenimi.redis.wrote_at", default=-inf)


def is_plain_read(name: Any) -> bool:
    """Whether a command of that name gives the same answer on a replica that is up to date."""
    return name in _PLAIN_READS


def is_read(name: Any) -> bool:
    """Whether a command of that name changes nothing."""
    return name in _READS


def note_write() -> None:
    """This message has written."""
    _wrote_at.set(monotonic())


def wrote_lately(seconds: float) -> bool:
    """Whether this message, or who started this greenlet, has written within the last ``seconds``."""
    return monotonic() - _wrote_at.get() < seconds


class _Replica:
    """One replica, and whether it is connected with its primary as far as is known."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.good = False

    def look(self) -> None:
        try:
            found = self.client.info("replication")
        except (RedisError, OSError):
            self.good = False
        else:
            self.good = found.get("role") == "slave" and found.get("master_link_status") == "up"


class Replicas:
    """The replicas of a primary, in turn, those that are connected with it.  When there is none the primary answers.

    Every second, as long as there are reads, they are looked at in the background; one that fails is left out at once.
    """

    def __init__(self, find: Callable[[], list[Address]], make: Callable[[Address], Any], *, primary_too: bool = False) -> None:
        """``find`` says where they are, ``make`` makes the client of one.  ``primary_too``: it takes its share of the reads."""
        self._find = find
        self._make = make
        self._primary_too = primary_too
        self._replicas: dict[Address, _Replica] = {}
        self._turn = random.randrange(1 << 16)  # noqa: S311 - so that not all processes begin with the same
        self._look_at = 0.0
        self._looking = False
        self._closed = False

    def read(self, primary: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The answer of a replica to a plain read, or of ``primary(*args, **options)``."""
        replica = self._next()
        if replica is None:
            return primary(*args, **options)
        try:
            return replica.client.execute_command(*args, **options)
        except (LostConnection, LateAnswer, BusyLoadingError, MasterDownError) as error:
            if replica.good:  # else others were told already
                replica.good = False
                log.warning("a replica does not answer, the primary does: %s", error)
            return primary(*args, **options)

    def look(self) -> None:
        """See which replicas there are, and how they are.  Does nothing while somebody else does it."""
        if self._looking:
            return
        self._looking = True
        try:
            addresses = self._find()
            for address in [address for address in self._replicas if address not in addresses]:
                self._replicas.pop(address).client.close()
            for address in addresses:
                if address not in self._replicas and not self._closed:
                    self._replicas[address] = _Replica(self._make(address))
            looks = [green.spawn(replica.look) for replica in self._replicas.values()]
            for each in looks:
                each.join()
        except (RedisError, OSError) as error:
            log.warning("nobody says which replicas there are: %s", error)
        finally:
            self._look_at = monotonic() + _LOOK
            self._looking = False

    def close(self) -> None:
        self._closed = True
        for replica in self._replicas.values():
            replica.client.close()

    def _next(self) -> _Replica | None:
        """The next in turn; None for the primary."""
        if monotonic() > self._look_at and not self._looking and not self._closed:
            self._look_at = monotonic() + _LOOK
            Context().run(green.spawn, self.look)
        good = [replica for replica in self._replicas.values() if replica.good]
        self._turn += 1
        number = self._turn % (len(good) + self._primary_too or 1)
        return good[number] if number < len(good) else None
