"""One connection to a Redis that all greenlets share: their commands travel together, and each gets its own reply.

Commands of one turn of the loop leave in one send; replies come back in the order of the commands.  A greenlet that stops waiting leaves
its place in the queue, whose reply is thrown away when it comes: nobody ever gets the reply of another.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import weakref
from collections import deque
from collections.abc import Callable
from contextvars import Context
from time import monotonic
from typing import Any

from redis.exceptions import AuthenticationError, ResponseError

from greenimi import green
from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.connections import open_connection
from greenimi.pool.redis.errors import UNKNOWN, LateAnswer, NotSent, Unanswered
from greenimi.pool.redis.replies import MORE, Push, Reader, new_reader, pack
from greenimi.pool.redis.settings import RedisSettings
from greenimi.pool.redis.waiting import Replies, Waiting, nobody
from greenimi.pool.redis.wire import Wire

log = logging.getLogger("greenimi.redis")

MOST_SENT = 4096
"""Commands that may be under way; what comes beyond them waits here until replies have come."""

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_TICKS = 8
_SHORTEST_TICK = 0.01
_LONGEST_KEPT = 512
_MOST_KEPT = 1024
_KEPT_FOR = 60.0


class Link:
    """A connection to one server, made when it is first needed and anew when it was lost.  It belongs to the thread that made it.

    on_push   called in the hub with what the server says without being asked; it must not block
    large     commands whose replies were large, and until when that is remembered: they should travel elsewhere
    losses    how many connections it had and has no more
    """

    def __init__(self, settings: RedisSettings, address: Address, on_push: Callable[[list[Any]], object] | None = None) -> None:
        self.settings = settings
        self.address = address
        self.on_push = on_push
        self.large: dict[bytes, float] = {}
        self.losses = 0
        self._hub = green.current_hub()
        self._soon: Callable[..., object] = self._hub.loop.run_callback
        self._unsent: list[Waiting] = []  # who waits, and
        self._out: list[bytes] = []  # what is to be sent for him: of several commands in one piece the first place has all bytes
        self._bytes = 0
        self._most_bytes = settings.queue_bytes
        self._limit = settings.queue  # 0 while commands are refused
        self._sent: deque[Waiting] = deque()
        self._wire: Wire | None = None
        self._reader: Reader | None = None
        self._part = 0  # bytes of a reply that has not come whole
        self._size = 0  # bytes of the reply that is being handed over, when they were many
        self._done = 0  # commands that nobody waits for any more, one way or another
        self._marks: deque[tuple[float, int]] = deque()  # when how many commands had come
        self._timer = green.timer(max(min(settings.timeout, settings.wait or settings.timeout) / _TICKS, _SHORTEST_TICK))
        self._ticking = False
        self._heard = 0.0
        self._connecting: Any = None
        self._error: BaseException | None = None  # why connecting failed last
        self._lost_at = 0.0
        self._pause = _FIRST_PAUSE
        self._try_at = 0.0
        self._closed = False
        _links.add(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self.is_open else "not connected"
        return f"<Link to {self.address}, {state}, {len(self._sent)} commands under way, {len(self._unsent)} to be sent>"

    @property
    def is_open(self) -> bool:
        """It is connected, as far as is known."""
        return self._wire is not None

    # -- commands --------------------------------------------------------------------------------------------------

    def execute(self, *words: Any) -> Any:
        """Send one command and wait for its raw reply.  What the server answers as an error is raised as redis-py's exception.

        NotSent: it was not executed.  Unanswered: the connection was lost, nobody knows whether it was.  TimeoutError of redis-py: no reply
        came in time, nobody knows either.
        """
        return self.send(pack(words))

    def send(self, data: bytes) -> Any:
        """Like :meth:`execute`, for a command that is packed already."""
        hub = green.current_hub()
        unsent = self._unsent
        if hub is not self._hub or len(unsent) >= self._limit or self._bytes > self._most_bytes:
            self._check()
        if not unsent:
            self._soon(self._flush)
        switch = green.current_greenlet().switch
        unsent.append(switch)
        self._out.append(data)
        self._bytes += len(data)
        try:
            reply = hub.switch()
        except BaseException:
            self._forget(switch)
            raise
        if self._size:
            self._remember(data)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def send_many(self, data: bytes, count: int) -> list[Any]:
        """Send ``count`` commands in one piece and wait for all replies; errors of the server stand among them, not raised.

        Nothing of others comes between them.
        """
        hub = green.current_hub()
        if hub is not self._hub or len(self._unsent) >= self._limit or self._bytes > self._most_bytes:
            self._check()
        if not self._unsent:
            self._soon(self._flush)
        replies = Replies(green.current_greenlet().switch, count)
        self._unsent.extend([replies] * count)
        self._out.append(data)
        self._out.extend([b""] * (count - 1))
        self._bytes += len(data)
        try:
            found = hub.switch()
        except BaseException:
            self._forget(replies)
            raise
        if isinstance(found, Exception):
            raise found
        result: list[Any] = found
        return result

    def _check(self) -> None:
        """Raise unless the command may be taken after all."""
        self.check_thread()
        if self._limit or self._closed or monotonic() < self._try_at:
            raise self._not_sent()
        self._limit = self.settings.queue  # this one tries it

    def check_thread(self) -> None:
        """Raise in another operating-system thread than that which made it."""
        if green.current_hub() is not self._hub:
            raise RuntimeError(f"the connection to {self.address} belongs to another thread; each thread needs a client of its own")

    def _forget(self, waiting: Waiting) -> None:
        """Nobody waits any more.  What was not sent is not sent at all."""
        if isinstance(waiting, Replies):
            waiting.switch = None
        try:
            first = self._unsent.index(waiting)
        except ValueError:
            if not isinstance(waiting, Replies) and waiting in self._sent:
                self._sent[self._sent.index(waiting)] = nobody
            return
        self._take_back(first, self._unsent.count(waiting))

    def _take_back(self, first: int, count: int) -> None:
        """Remove commands that were not sent."""
        part = slice(first, first + count)
        self._bytes -= sum(map(len, self._out[part]))
        del self._unsent[part], self._out[part]
        self._done += count

    def _remember(self, data: bytes) -> None:
        if len(data) <= _LONGEST_KEPT:
            if len(self.large) >= _MOST_KEPT:
                del self.large[next(iter(self.large))]
            self.large[data] = monotonic() + _KEPT_FOR

    # -- sending and handing over, in the hub ----------------------------------------------------------------------

    def _flush(self) -> None:
        """Send what has come together."""
        if not self._unsent:
            return
        if not self._ticking:
            self._ticking = True
            self._timer.start(self._tick)
        if self._wire is None:
            self._connect_soon()
            return
        if self._wire.full or len(self._sent) >= MOST_SENT:
            return
        data = b"".join(self._out)
        self._sent.extend(self._unsent)
        self._unsent.clear()
        self._out.clear()
        self._bytes = 0
        self._wire.send(data)

    def _arrived(self, data: bytes) -> None:
        """Give all whole replies to those who wait for them; they run at once, one after the other."""
        reader, sent = self._reader, self._sent
        if reader is None:
            return
        self._heard = monotonic()
        reader.feed(data)
        reply = self._next(reader)
        if reply is MORE:
            self._part += len(data)
            return
        if self._part:
            self._size, self._part = (self._part if self._part >= self.settings.large else 0), 0
        while reply is not MORE:
            if type(reply) is Push:
                self._pushed(reply)
            elif sent:
                self._done += 1
                self._wake(sent.popleft(), reply)
            else:
                self._lose("a reply came that belongs to no command")
            self._size = 0
            if self._reader is not reader:  # it was lost meanwhile
                return
            reply = self._next(reader)
        if self._unsent:
            self._flush()

    def _wake(self, waiting: Waiting, outcome: Any) -> None:
        """It runs now, until it waits for something else or ends; when that is by an error the others get theirs nevertheless."""
        try:
            waiting(outcome)
        except BaseException:
            self._hub.handle_error(waiting, *sys.exc_info())

    def _next(self, reader: Reader) -> Any:
        """The next reply, or MORE."""
        try:
            return reader.gets()
        except UnicodeDecodeError as error:
            return error  # the matter of who asked
        except Exception as error:
            self._lose(error)
            return MORE

    def _pushed(self, message: list[Any]) -> None:
        if self.on_push is not None:
            try:
                self.on_push(message)
            except Exception:
                log.exception("what %s pushed could not be handled", self.address)

    # -- connecting ------------------------------------------------------------------------------------------------

    def open(self) -> Any:
        """A new connection of redis-py to the right server, ready for commands; for one whose address may change this is the place.

        Called in a greenlet of its own; after an error it is tried again for a while.
        """
        return open_connection(self.settings, self.address)

    def give_up(self, reason: str) -> None:
        """Let go of the connection for another: what was sent fails, what was not is sent on the next."""
        if self._wire is not None:
            self._soon(self._give_up, self._wire, reason)

    def _give_up(self, wire: Wire, reason: str) -> None:
        if self._wire is wire:
            self._lose(reason)

    def _connect_soon(self) -> None:
        if self._connecting is None and not self._closed:
            self._connecting = Context().run(green.spawn, self._connect)  # it belongs to no message

    def _connect(self) -> None:
        """Try until it is connected, or nobody waits any more, or waiting is no use."""
        try:
            while self._unsent and self._limit:
                try:
                    connection = self.open()
                except Exception as error:
                    self._failed(error)
                else:
                    self._adopt(connection)
                    break
                if self._limit:
                    green.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        finally:
            self._connecting = None
        self._soon(self._flush)

    def _failed(self, error: Exception) -> None:
        if self._error is None:
            log.warning("there is no connection to %s: %s", self.address, error)
        self._error = error
        now = monotonic()
        self._lost_at = self._lost_at or now
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        useless = isinstance(error, AuthenticationError | ResponseError)
        if useless or now - self._lost_at >= self.settings.wait:
            self._limit = 0
            self._try_at = now + self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            self._soon(self._fail_unsent, len(self._unsent))

    def _adopt(self, connection: Any) -> None:
        if self._closed:
            connection.disconnect()
            return
        if self._error is not None:
            log.info("connected with %s again", self.address)
        self._error = None
        self._pause = _FIRST_PAUSE
        self._limit = self.settings.queue
        self._reader = new_reader(self.settings.decode)
        self._part = 0
        self._wire = Wire(connection, self._arrived, self._flush, self._lose)

    def _lose(self, error: BaseException | str, late: int = 0) -> None:
        """In the hub: it is gone.  What was sent fails, the first ``late`` commands as late; what was not goes to the next connection."""
        sent = self._drop()
        if sent or isinstance(error, BaseException):
            log.warning("the connection to %s was lost with %d commands under way: %s", self.address, len(sent), error)
        self._done += len(sent)
        for number, waiting in enumerate(sent):
            self._fail(waiting, self._late() if number < late else Unanswered.by(self.address, error))
        self._flush()

    def _drop(self) -> deque[Waiting]:
        """Let go of the connection; who waited on it is returned."""
        if self._wire is not None:
            self.losses += 1
            self._wire.close()
        self._wire = self._reader = None
        self._lost_at = monotonic()
        sent, self._sent = self._sent, deque()
        return sent

    def close(self) -> None:
        """Whoever waits gets an error, and so does who comes later.  May be called anywhere; closing twice does nothing."""
        if not self._closed:
            self._closed = True
            self._limit = 0
            self._hub.loop.run_callback_threadsafe(self._end)

    def _end(self) -> None:
        self._timer.stop()
        self._timer.close()
        self._ticking = True  # there is nothing to start any more
        self._lose("the client was closed")
        self._fail_unsent(len(self._unsent))

    def abandon(self) -> None:
        """In a forked child: begin anew; the connection and those who wait on it are the parent's."""
        self._drop()
        if self._connecting is not None:
            self._connecting.kill(block=False)
            self._connecting = None
        self._unsent.clear()
        self._out.clear()
        self._bytes = 0

    # -- time, in the hub ------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Fail what has waited too long.  One look at the queue a tick, for all commands, in place of a timer for each."""
        total = self._done + len(self._sent) + len(self._unsent)
        if total == self._done:
            self._ticking = False
            self._timer.stop()
            self._marks.clear()
            return
        now = monotonic()
        timeout = self.settings.timeout
        self._marks.append((now, total))
        late = min(self._came_before(now - timeout) - self._done, len(self._sent))
        if late > 0:
            if now - self._heard >= timeout:
                self._lose(self._late(), late)
            else:
                self._skip(late)
        patience = self.settings.wait if self._wire is None else timeout
        unsent = self._came_before(now - patience) - self._done - len(self._sent)
        if unsent > 0:
            self._fail_unsent(unsent)
        while len(self._marks) > 1 and self._marks[1][0] <= now - max(timeout, self.settings.wait):
            self._marks.popleft()

    def _came_before(self, moment: float) -> int:
        """How many commands there had been by then."""
        return max((total for when, total in self._marks if when <= moment), default=0)

    def _skip(self, count: int) -> None:
        """The first commands are late while others' replies come, or parts of a large one: they leave their places in the queue."""
        for number in range(count):
            waiting = self._sent[number]
            if not isinstance(waiting, Replies):
                self._sent[number] = nobody
            self._fail(waiting, self._late())

    def _fail_unsent(self, count: int) -> None:
        failed = self._unsent[:count]
        self._take_back(0, len(failed))
        for waiting in failed:
            self._fail(waiting, self._not_sent())

    def _fail(self, waiting: Waiting, error: Exception) -> None:
        self._wake(waiting.wake if isinstance(waiting, Replies) else waiting, error)

    # -- errors ----------------------------------------------------------------------------------------------------

    def _not_sent(self) -> NotSent:
        if self._closed:
            why = f"the client of {self.address} was closed"
        elif self._wire is None and not self._unsent_full():
            why = f"there is no connection to {self.address}: {self._error or 'it takes long to connect'}"
        else:
            why = f"{len(self._unsent)} commands ({self._bytes} bytes) wait to be sent to {self.address}"
        error = NotSent(f"{why}; the command was not sent")
        error.__cause__ = self._error
        return error

    def _unsent_full(self) -> bool:
        return bool(self._limit) and (len(self._unsent) >= self._limit or self._bytes > self._most_bytes)

    def _late(self) -> Exception:
        return LateAnswer(f"{self.address} did not answer within {self.settings.timeout:g} s; {UNKNOWN}")


_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _forked() -> None:
    """A child must not talk on the sockets of its parent, nor send what the parent will send."""
    for link in list(_links):
        link.abandon()


os.register_at_fork(after_in_child=_forked)
