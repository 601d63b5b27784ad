"""One connection that all subscribers of a process share: it comes back, and it notices when the other side has died silently."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from time import monotonic
from typing import Any

from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as LateAnswer

from greenimi import green
from greenimi.green import Event, Greenlet
from greenimi.pool.redis.channels import Channels, Command
from greenimi.pool.redis.pubsub import Heard, Published, Subscription

__all__ = ["Subscriptions"]

log = logging.getLogger("greenimi.redis")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
"""Seconds before the first and, doubling, before any later try to connect."""

_TURN = 256
"""Messages that are handed over before others get to run."""

_ANSWERS = {b"subscribe": True, b"psubscribe": True, b"unsubscribe": False, b"punsubscribe": False}

Name = str | bytes


class Subscriptions:
    """All subscriptions at one server, or at one cluster, over one connection of their own.

    It is made for the first subscriber and stays.  A PING goes out every ``heartbeat`` seconds; when nothing at all has come for
    ``timeout`` seconds more, the connection is given up.  A lost connection is made anew, everything is subscribed again, and each
    subscriber is told of the gap.  All of it belongs to the thread that subscribed first.
    """

    def __init__(self, connect: Callable[[], Any], *, heartbeat: float = 5.0, timeout: float = 2.0, limit: int = 1000) -> None:
        """``connect`` makes a connected ``redis.connection.Connection`` that speaks RESP2.  ``limit``: messages that wait, a subscriber."""
        self._connect = connect
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._limit = limit
        self._channels = Channels()
        self._outbox: deque[Command] = deque()
        self._work = Event()
        self._keeper: Greenlet | None = None
        self._connection: Any = None
        self._reason = ""  # why there is no connection
        self._down = ""  # the same, once it was logged
        self.lost = 0
        """How many times the connection was lost."""

    # -- for everyone --------------------------------------------------------------------------------------------------------
    def subscribe(
        self,
        names: Name | Sequence[Name],
        callback: Callable[[Heard], object] | None = None,
        *,
        pattern: bool = False,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> Subscription:
        """A subscriber of one or more channels, or with ``pattern`` of all channels that match.

        ``callback(heard)`` gets each :class:`Published` and each :class:`Gap` in the greenlet that reads for all: it must not wait.
        Without one they are got from the subscription.  Returns when the server has confirmed; raises redis.TimeoutError where that takes
        more than ``timeout`` seconds.  With 0 it does not wait: ``live`` of the subscription tells, and a gap comes when it is.
        """
        self._start()
        found = [names] if isinstance(names, str | bytes) else list(names)
        encoded = [name.encode(errors="surrogateescape") if isinstance(name, str) else name for name in found]
        if not encoded or not all(encoded):
            raise ValueError("subscribe: name at least one channel, and no empty ones")
        subscription = Subscription(encoded, pattern, callback, self._limit if limit is None else limit, self._remove)
        self._send(self._channels.add(subscription))
        if self._channels.confirmed(subscription):
            subscription.confirm()
        seconds = self._timeout if timeout is None else timeout
        if not seconds:
            subscription.promise()
            return subscription
        try:
            answered = subscription.answered.wait(seconds)
        except BaseException:
            subscription.close()
            raise
        if subscription.error is not None:
            raise subscription.error
        if not answered:
            subscription.close()
            because = f": {self._reason}" if self._reason else ""
            raise LateAnswer(f"not subscribed to {subscription} within {seconds} seconds{because}")
        return subscription

    @property
    def healthy(self) -> bool:
        """Whether everybody gets what they subscribed to."""
        return all(subscription.live.is_set() for subscription in self._channels.everyone())

    def reconnect(self, reason: str) -> None:
        """Give this connection up for another: this server is no longer the one to listen to."""
        if self._connection is not None:
            self._reason = reason
            self._connection.disconnect()

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in self._channels.everyone():
            subscription.close()
        if self._keeper is not None and green.is_of_this_thread(self._keeper):
            self._keeper.kill()

    # -- the connection ------------------------------------------------------------------------------------------------------
    def _start(self) -> None:
        if self._keeper is None:
            self._keeper = Context().run(green.spawn, self._keep)  # with nothing of the message that subscribed first
        elif not green.is_of_this_thread(self._keeper):
            raise RuntimeError("these subscriptions belong to another thread; make a client of its own for this one")

    def _remove(self, subscription: Subscription) -> None:
        self._send(self._channels.remove(subscription))

    def _send(self, commands: Sequence[Command]) -> None:
        if self._connection is not None:  # a new one begins with all that is wanted then
            self._outbox.extend(commands)
        self._work.set()

    def _keep(self) -> None:
        """Connect, read until it fails, and again as long as somebody wants it."""
        pause = _FIRST_PAUSE
        try:
            while len(self._channels):
                began = monotonic()
                try:
                    self._connection = self._connect()
                    self._converse(self._connection)
                except Exception as error:  # also of the driver: whatever it is, a new connection is the way out
                    self._disconnected(error)
                finally:
                    self._give_up()
                if monotonic() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                green.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            self._keeper = None

    def _converse(self, connection: Any) -> None:
        self._outbox.clear()
        self._outbox.extend(self._channels.connected())
        if self._down:
            log.info("what is published is heard again")
        self._down = self._reason = ""
        writer = green.spawn(self._write, connection)
        silence = self._heartbeat + self._timeout
        try:
            while True:
                for _ in range(_TURN):
                    self._read(connection, silence)
                green.sleep(0)
        finally:
            writer.kill(block=False)

    def _read(self, connection: Any, silence: float) -> None:
        try:
            reply = connection.read_response(disable_decoding=True, timeout=silence, disconnect_on_error=False)
        except ResponseError as error:
            for subscription in self._channels.refused():
                subscription.fail(error)
            return
        kind = reply[0]
        if kind == b"message":
            published = Published(_text(reply[1]), reply[2])
            for subscription in self._channels.listeners(reply[1], False):
                subscription.deliver(published)
        elif kind == b"pmessage":
            published = Published(_text(reply[2]), reply[3], _text(reply[1]))
            for subscription in self._channels.listeners(reply[1], True):
                subscription.deliver(published)
        elif kind in _ANSWERS:
            for subscription in self._channels.answered(_ANSWERS[kind]):
                subscription.confirm()

    def _write(self, connection: Any) -> None:
        """Send what is to be sent, and a PING when there was nothing for a while.  When it cannot, the reader is told by the end."""
        try:
            while True:
                while self._outbox:
                    connection.send_command(*self._outbox.popleft())
                self._work.clear()
                if not self._work.wait(self._heartbeat):
                    connection.send_command("PING")
        except (RedisError, OSError) as error:
            self._reason = self._reason or str(error)
            connection.disconnect()

    def _disconnected(self, error: Exception) -> None:
        self._reason = self._reason or str(error)
        if not self._down:
            self._down = self._reason
            self.lost += 1
            log.warning(
                "what is published on %d channels is not heard until there is a connection again: %s", len(self._channels), self._reason
            )

    def _give_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
        self._channels.disconnected()
        for subscription in self._channels.everyone():
            subscription.interrupt()


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")
