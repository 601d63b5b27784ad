"""What clients of ours can beyond redis-py: scans, scripts, shared subscriptions, names that stay together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from greenimi.pool.redis.pubsub import Heard, Subscription
from greenimi.pool.redis.scans import Scans
from greenimi.pool.redis.scripts import Script
from greenimi.pool.redis.settings import RedisSettings
from greenimi.pool.redis.subscriptions import Name, Subscriptions

__all__ = ["Helpers"]

T = TypeVar("T", str, bytes)


class Helpers(Scans):
    """Beside one of redis-py's clients.  ``settings`` and ``open_connection`` are the client's."""

    settings: RedisSettings
    is_cluster = False

    _subscriptions: Subscriptions | None = None

    def open_connection(self, **more: Any) -> Any:
        """A new connection of redis-py to the server that answers commands, logged in; ``more``: other arguments for it."""
        raise NotImplementedError

    def register_script(self, script: Any) -> Any:
        """A :class:`Script` to be called on this client."""
        return Script(script, self)

    def tag(self, name: T) -> T:
        """The beginning of names of keys that have to be together: on a Cluster in braces, else as it is."""
        return name

    def subscribe(
        self,
        names: Name | Sequence[Name],
        callback: Callable[[Heard], object] | None = None,
        *,
        pattern: bool = False,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> Subscription:
        """Hear what is published on channels: see :meth:`Subscriptions.subscribe`.  All subscribers of this client share a connection."""
        return self.subscriptions.subscribe(names, callback, pattern=pattern, limit=limit, timeout=timeout)

    @property
    def subscriptions(self) -> Subscriptions:
        if self._subscriptions is None:
            settings = self.settings
            self._subscriptions = Subscriptions(
                self._open_subscription,
                heartbeat=settings.heartbeat,
                timeout=settings.connect_timeout,
                limit=settings.subscriber_queue,
            )
        return self._subscriptions

    def subscriptions_elsewhere(self, reason: str) -> None:
        """Listen to another server: ``open_connection`` knows which."""
        if self._subscriptions is not None:
            self._subscriptions.reconnect(reason)

    def close_subscriptions(self) -> None:
        if self._subscriptions is not None:
            self._subscriptions.close()

    def _open_subscription(self) -> Any:
        return self.open_connection(protocol=2, decode_responses=False)
