"""Which channels are wanted, and which of them the server has confirmed: bookkeeping without I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenimi.pool.redis.pubsub import Subscription

_COMMANDS = {
    (True, False): b"SUBSCRIBE",
    (True, True): b"PSUBSCRIBE",
    (False, False): b"UNSUBSCRIBE",
    (False, True): b"PUNSUBSCRIBE",
}
"""By whether it is wanted, and whether it is a pattern."""

Command = tuple[bytes, bytes]
Name = tuple[bytes, bool]
"""A channel, or with True a pattern of channels."""


class _Channel:
    """One name: who listens, and how many answers of the server are outstanding."""

    __slots__ = ("confirmed", "listeners", "pending")

    def __init__(self) -> None:
        self.listeners: list[Subscription] = []
        self.pending = 0
        self.confirmed = False


class Channels:
    """What all subscribers of one connection want.  A command names one channel, so that each answer, also an error, is about one.

    A channel is confirmed by the *last* of its outstanding answers: between "subscribe, unsubscribe, subscribe" lies a moment without it.
    """

    def __init__(self) -> None:
        self._channels: dict[Name, _Channel] = {}
        self._outstanding: deque[Name] = deque()
        self._wanted = 0

    def __len__(self) -> int:
        """How many channels somebody listens to."""
        return self._wanted

    def add(self, subscription: Subscription) -> list[Command]:
        """The commands to send for a new subscriber.  For channels that others listen to already there are none."""
        commands: list[Command] = []
        for text in subscription.names:
            name = (text, subscription.pattern)
            channel = self._channels.setdefault(name, _Channel())
            if not channel.listeners:
                self._wanted += 1
                commands.append(self._command(name, channel, True))
            channel.listeners.append(subscription)
        return commands

    def remove(self, subscription: Subscription) -> list[Command]:
        """The commands to send when a subscriber has gone.  Removing twice does nothing."""
        commands: list[Command] = []
        for text in subscription.names:
            name = (text, subscription.pattern)
            channel = self._channels.get(name)
            if channel is None or subscription not in channel.listeners:
                continue
            channel.listeners.remove(subscription)
            if not channel.listeners:
                self._wanted -= 1
                commands.append(self._command(name, channel, False))
        return commands

    def connected(self) -> list[Command]:
        """The commands to send first on a new connection: no answer of an old one comes any more."""
        self._outstanding.clear()
        self._channels = {name: channel for name, channel in self._channels.items() if channel.listeners}
        commands: list[Command] = []
        for name, channel in self._channels.items():
            channel.pending = 0
            commands.append(self._command(name, channel, True))
        return commands

    def disconnected(self) -> None:
        """Nothing is confirmed any more."""
        for channel in self._channels.values():
            channel.confirmed = False

    def answered(self, subscribed: bool) -> list[Subscription]:
        """The server has done the next command: those for whom that was the last thing missing."""
        name = self._outstanding.popleft()
        channel = self._channels[name]
        channel.pending -= 1
        if channel.pending:
            return []
        if not channel.listeners:
            del self._channels[name]
            return []
        channel.confirmed = subscribed
        return [subscription for subscription in channel.listeners if self.confirmed(subscription)]

    def refused(self) -> list[Subscription]:
        """The server has refused the next command: those who wanted it."""
        name = self._outstanding.popleft()
        channel = self._channels[name]
        channel.pending -= 1
        return list(channel.listeners)

    def confirmed(self, subscription: Subscription) -> bool:
        """Whether the server sends everything that this subscriber wants."""
        names = reversed(subscription.names)  # the last is confirmed last: of thousands only one is looked at each time
        return all(self._channels[name, subscription.pattern].confirmed for name in names)

    def listeners(self, name: bytes, pattern: bool) -> tuple[Subscription, ...]:
        """Who gets what is published there."""
        channel = self._channels.get((name, pattern))
        return tuple(channel.listeners) if channel is not None else ()

    def everyone(self) -> set[Subscription]:
        return {subscription for channel in self._channels.values() for subscription in channel.listeners}

    def _command(self, name: Name, channel: _Channel, wanted: bool) -> Command:
        channel.pending += 1
        channel.confirmed = False
        self._outstanding.append(name)
        return (_COMMANDS[wanted, name[1]], name[0])
