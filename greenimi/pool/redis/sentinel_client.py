"""A client of the primary that Sentinels watch, wherever that is at the moment."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Any

from redis.exceptions import BusyLoadingError, ReadOnlyError, RedisError

from greenimi import green
from greenimi.pool.pool import Pool
from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.connections import open_connection
from greenimi.pool.redis.errors import NotSent
from greenimi.pool.redis.link import Link
from greenimi.pool.redis.own import MakePool
from greenimi.pool.redis.sentinel import Sentinels, check_role
from greenimi.pool.redis.settings import RedisSettings

__all__ = ["SentinelRedis"]

log = logging.getLogger("greenimi.redis")

_PAUSE = 0.05
"""Seconds between two tries of a command that a server refuses which is no primary any more, or not yet."""


class _PrimaryLink(Link):
    """The shared connection to whoever is the primary when it is made."""

    def __init__(self, client: SentinelRedis) -> None:
        super().__init__(client.settings, client.address)
        self._client = client

    def open(self) -> Any:
        connection = self._client.open_connection()
        self.address = self._client.address
        return connection


class SentinelRedis(Redis):
    """Each connection is made to the server that the Sentinels call the primary, and only if that sees itself so.

    After a fail-over the connections to the old primary are given up.  A command that a server refused because it is not the primary any
    more, or not ready yet, was not executed: it is tried again for ``wait`` seconds.
    """

    def __init__(self, settings: RedisSettings, name: str = "default", make_pool: MakePool = Pool) -> None:
        self.sentinels = Sentinels(settings)
        self._listening = False
        super().__init__(settings, name, make_pool, self.sentinels.addresses[0])  # whose address is known only when it is connected to

    def make_link(self) -> Link:
        return _PrimaryLink(self)

    def open_connection(self, **more: Any) -> Any:
        address = self.sentinels.primary()
        connection = open_connection(self.settings, address, **more)
        try:
            check_role(connection)
        except BaseException:
            connection.disconnect()
            raise
        self._set(address)
        if not self._listening:
            self._listening = True
            self.sentinels.listen(self._look)
        return connection

    def is_current(self, connection: Any) -> bool:
        return (connection.host, connection.port) == (self.address.host, self.address.port)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)
        except (ReadOnlyError, BusyLoadingError) as error:
            refused: Exception = error
        until = monotonic() + self.settings.wait
        while monotonic() < until:
            if isinstance(refused, ReadOnlyError):
                self.link.give_up("it is no primary any more")
            green.sleep(_PAUSE)
            try:
                return super().execute_command(*args, **options)
            except (ReadOnlyError, BusyLoadingError, NotSent) as error:
                refused = error
        raise refused

    def close(self) -> None:
        if "sentinels" in vars(self):
            self.sentinels.close()
        super().close()

    def _look(self) -> None:
        """A Sentinel has told of another primary, or may have: ask all."""
        try:
            self._set(self.sentinels.primary())
        except RedisError as error:
            log.warning("%s", error)

    def _set(self, address: Address) -> None:
        if address == self.address:
            return
        before, self.address = self.address, address
        if self._listening:
            log.warning("the primary %s is %s, no longer %s", self.settings.service, address, before)
        if self._link is not None and self._link.address != address:
            self._link.give_up(f"the primary is {address} now")
        self.subscriptions_elsewhere(f"the primary is {address} now")
