"""Bodies that are made while the client listens, such as event streams: see :class:`greenimi.web.sse.LiveBody`.

Their handlers wait for most of their lives, so they stand apart from the others, and one call a second looks after all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

from gevent import getcurrent

from greenimi.errors import ConnectionClosed
from greenimi.servers.handlers import HandlerPool
from greenimi.web.sse import LiveBody

if TYPE_CHECKING:
    from greenimi.servers.outbox import Outbox


class LiveStreams:
    """The live bodies that a server sends at this moment."""

    def __init__(self, pool: HandlerPool, heartbeat: float) -> None:
        """``heartbeat``: seconds of silence of a maker after which a beat is sent, where its body does not say; 0: never."""
        self._pool = pool
        self._heartbeat = heartbeat
        self._streams: set[LiveStream] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def follow(self, body: LiveBody, connection: Outbox, beat: Callable[[bytes], None]) -> LiveStream:
        """The parts of ``body``, looked after until ``close``.  To be called, read and closed by the handler that sends them.

        ``beat(data)`` sends what keeps the client patient; it is called in the hub, never before the second part is asked for.  Raises
        Overloaded when too many handlers stand apart already.
        """
        seconds = self._heartbeat if body.heartbeat is None else body.heartbeat
        stream = LiveStream(self._pool, body, connection, beat, seconds, self._streams.discard)
        self._streams.add(stream)
        return stream

    def tick(self, now: float) -> None:
        """To be called once a second with the monotonic time."""
        for stream in list(self._streams):
            stream.tick(now)


class LiveStream(Iterator[bytes]):
    """The parts of a live body on their way to one client."""

    def __init__(
        self,
        pool: HandlerPool,
        body: LiveBody,
        connection: Outbox,
        beat: Callable[[bytes], None],
        heartbeat: float,
        forget: Callable[[LiveStream], object],
    ) -> None:
        self._pool = pool
        self._apart = pool.apart()
        self._apart.__enter__()
        self._body = body
        self._connection = connection
        self._beat = beat
        self._heartbeat = heartbeat
        self._forget = forget
        self._handler = getcurrent()
        self._silent_since: float | None = None  # the maker is waited for, and what it made before was sent
        self._making = False
        self._begun = False
        self._going = False  # the server stops
        self._told = False  # the maker was told to end
        self._done = False
        connection.lives = (*connection.lives, self)

    def __next__(self) -> bytes:
        if self._done:
            raise StopIteration
        if self._going:
            return self._last_words()
        if self._begun:
            self._silent_since = monotonic()
        self._begun = self._making = True
        try:
            return next(self._body)
        except (ConnectionClosed, StopIteration):
            if not self._was_told_to_go():
                raise
        finally:
            self._making = False
            self._silent_since = None
        return self._last_words()

    def _was_told_to_go(self) -> bool:
        """While its maker was at it; the client still listens."""
        return self._going and self._connection.is_open

    def _last_words(self) -> bytes:
        self._done = True
        return self._body.goodbye()

    def tick(self, now: float) -> None:
        """Send a beat when it is time for one."""
        since = self._silent_since
        if self._heartbeat and since is not None and now - since >= self._heartbeat and self._connection.is_open:
            self._silent_since = now
            self._beat(self._body.beat())

    def leave(self) -> None:
        """The client is not there any more: end the maker, wherever it waits."""
        self._interrupt("the client left")

    def depart(self) -> None:
        """The server stops: end the maker, say the last words, end the body."""
        self._going = True
        self._interrupt("the server stops")

    def _interrupt(self, reason: str) -> None:
        """Once: the maker may be cleaning up already.  What is not made at this moment, but sent or closed, ends by itself.

        A maker that goes on has the time of any handler.
        """
        if self._told:
            return
        self._told = True
        self._pool.rejoin(self._handler)
        self._connection.began = monotonic_ns()
        self._pool.interrupt(self._handler, ConnectionClosed(reason), lambda: self._making)

    def close(self) -> None:
        """End the maker; it is not looked after any more."""
        self._done = True
        try:
            self._body.close()
        finally:
            self._connection.lives = tuple(live for live in self._connection.lives if live is not self)
            self._forget(self)
            self._apart.__exit__(None, None, None)
