"""What a subscriber gets: what was published, and where something is missing a gap that says so."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from types import TracebackType
from typing import NamedTuple, TypeAlias

from greenimi.green import Event

__all__ = ["Gap", "Published", "Subscription"]

log = logging.getLogger("greenimi.redis")


class Published(NamedTuple):
    """``data`` as it was published, on ``channel``.  ``pattern``: the one it was found by, where a pattern was subscribed."""

    channel: str
    data: bytes
    pattern: str | None = None


class Gap(NamedTuple):
    """Messages may be missing here: ``lost`` of them, None where nobody can know.

    Whoever keeps a copy of something by these messages reads it anew.  A gap after a lost connection comes when messages flow again, so
    nothing can slip through between the two.
    """

    reason: str
    lost: int | None = None


Heard: TypeAlias = "Published | Gap"


class Subscription:
    """One subscriber of one or more channels (or patterns).  Iterate over it, or :meth:`get`; with a callback there is nothing to get.

    At most once: what is published while the connection is lost is lost, and told as a :class:`Gap`.  The order of one channel is kept.
    One that is read too slowly loses its oldest messages, also told as a gap; the others are not held up.
    """

    __slots__ = (
        "_callback",
        "_close",
        "_gap",
        "_limit",
        "_lost",
        "_promised",
        "_queue",
        "_ready",
        "answered",
        "closed",
        "error",
        "live",
        "names",
        "pattern",
    )

    def __init__(
        self,
        names: Sequence[bytes],
        pattern: bool,
        callback: Callable[[Heard], object] | None,
        limit: int,
        close: Callable[[Subscription], None],
    ) -> None:
        self.names = tuple(dict.fromkeys(names))
        self.pattern = pattern
        self.live = Event()
        """Set while the server is known to send everything: ``live.is_set()``, ``live.wait(seconds)``."""
        self.answered = Event()
        """Set by the first answer of the server, be it an error."""
        self.error: Exception | None = None
        """Why the server has ended it, such as a missing right."""
        self.closed = False
        self._callback = callback
        self._close = close
        self._limit = limit
        self._queue: deque[Heard] = deque()
        self._ready = Event()
        self._lost = 0  # before the first in the queue
        self._gap: Gap | None = None  # a gap that was pushed out of the queue
        self._promised = False

    # -- for the subscriber ------------------------------------------------------------------------------------------------
    def get(self, timeout: float | None = None) -> Heard | None:
        """The next; None when there was none for ``timeout`` seconds, or the subscription is closed."""
        until = None if timeout is None else monotonic() + timeout
        while True:
            if self._lost or self._gap is not None:
                return self._missed()
            if self._queue:
                return self._queue.popleft()
            if self.closed:
                return None
            self._ready.clear()
            left = None if until is None else until - monotonic()
            if (left is not None and left <= 0) or not self._ready.wait(left):
                return None

    def __iter__(self) -> Iterator[Heard]:
        """All that comes, until the subscription is closed."""
        while (heard := self.get()) is not None:
            yield heard

    def close(self) -> None:
        """Unsubscribe.  What has come already can still be got.  Closing twice does nothing."""
        if not self.closed:
            self.closed = True
            self.live.clear()
            self._close(self)
            self._ready.set()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # -- for the connection ------------------------------------------------------------------------------------------------
    def deliver(self, heard: Heard) -> None:
        """Hand it over: to the callback at once, whose errors are logged; else into the queue.  Does not block."""
        if self._callback is not None:
            try:
                self._callback(heard)
            except Exception:
                log.exception("a subscriber of %s failed", self)
            return
        self._queue.append(heard)
        if len(self._queue) > self._limit:
            oldest = self._queue.popleft()
            if isinstance(oldest, Gap):
                self._gap = oldest
            else:
                self._lost += 1
        self._ready.set()

    def promise(self) -> None:
        """Whatever is missed from now on is told, not only after the first confirmation."""
        self._promised = True

    def confirm(self) -> None:
        """Everything is being sent (again)."""
        if self.live.is_set() or self.closed:
            return
        self.live.set()
        self.answered.set()
        if self._promised:
            self.deliver(Gap("there was no connection"))
        self._promised = True

    def fail(self, error: Exception) -> None:
        """The server refuses it."""
        self.error = error
        self.answered.set()
        self.close()

    def interrupt(self) -> None:
        """Nothing is being sent: the connection is lost."""
        self.live.clear()

    def _missed(self) -> Gap:
        lost, gap = self._lost, self._gap
        self._lost, self._gap = 0, None
        if gap is not None:  # nobody knows how many were missed before that
            return Gap(gap.reason)
        return Gap("this subscriber is too slow", lost)

    def __str__(self) -> str:
        return ", ".join(name.decode(errors="replace") for name in self.names)
