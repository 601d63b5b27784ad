"""The client: every command of redis-py's, with the same replies, over a connection that all greenlets share."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import redis
from redis.client import EMPTY_RESPONSE, NEVER_DECODE, Monitor
from redis.exceptions import ResponseError

from greenimi.pool.pool import Pool
from greenimi.pool.redis.addresses import Address, address_of, resolved
from greenimi.pool.redis.connections import open_connection
from greenimi.pool.redis.errors import UNKNOWN, LateAnswer, LostConnection, Unanswered
from greenimi.pool.redis.helpers import Helpers
from greenimi.pool.redis.link import Link
from greenimi.pool.redis.own import MakePool, OwnConnections
from greenimi.pool.redis.pipeline import Pipeline
from greenimi.pool.redis.replies import pack
from greenimi.pool.redis.routing import Plan, Way, plan_for, refuse, seconds_of
from greenimi.pool.redis.settings import RedisSettings

__all__ = ["Redis", "SingleClient"]

_MOST_PLANS = 4096
_NOT_FOR_CALLBACKS = ("keys", EMPTY_RESPONSE, NEVER_DECODE)
"""Options of redis-py's command methods that are for others."""


class SingleClient(redis.Redis):
    """redis-py's client on a connection of its own, which may be changed at will: it is closed at the end."""

    def close(self) -> None:
        connection = getattr(self, "connection", None)
        if connection is not None:
            connection.disconnect()
        super().close()


class Redis(Helpers, redis.Redis):
    """A client of one server.  It belongs to the operating-system thread that uses it first; greenlets of that thread share it.

    Commands of all greenlets travel together on one connection.  Those that wait at the server, carry large values, or had large replies
    lately, take a connection of their own.  Nothing is sent twice unless it only reads.
    """

    def __init__(self, settings: RedisSettings, name: str = "default", make_pool: MakePool = Pool, address: Address | None = None) -> None:
        """``address``: of the server, when it is another than that in the settings."""
        self.name = name
        self.settings = resolved(settings)
        self.address = address or address_of(self.settings)
        self._plans: dict[Any, Plan] = {}
        self._link: Link | None = None
        self._large = self.settings.large if self.settings.shared else 0
        self._again = self.settings.retry_reads
        self.own = OwnConnections(name, self.settings, self.address, make_pool, self)
        pool: Any = self.own  # which does what redis-py asks of its pools
        super().__init__(connection_pool=pool)

    @classmethod
    def from_url(cls, url: str, **settings: Any) -> Redis:
        """``settings``: keys of ``[redis.NAME]``."""
        return cls(RedisSettings(url=url, **settings))

    def __repr__(self) -> str:
        return f"<Redis {self.name} at {self.address}>"

    @property
    def link(self) -> Link:
        """The shared connection."""
        if self._link is None:
            self._link = self.make_link()
        return self._link

    def own_thread(self) -> None:
        """Belong to the calling thread from now on, unless another one was first.  Nothing is connected."""
        self.link.check_thread()

    def is_current(self, connection: Any) -> bool:
        """Whether an open connection is still to the right server."""
        return True

    def make_link(self) -> Link:
        """The shared connection, not connected yet."""
        return Link(self.settings, self.address)

    def open_connection(self, **more: Any) -> Any:
        return open_connection(self.settings, self.address, **more)

    def connection_to(self, name: Any) -> object:
        return self.link.address, self.link.losses

    def close(self) -> None:
        """Whoever waits gets an error, and so does who comes later.  Closing twice does nothing."""
        self.close_subscriptions()
        link = getattr(self, "_link", None)
        if link is not None:
            link.close()
        own = getattr(self, "own", None)
        if own is not None:
            own.close()

    # -- commands --------------------------------------------------------------------------------------------------

    def execute_command(self, *args: Any, **options: Any) -> Any:
        plan = self._plans.get(args[0]) or self.plan(args)
        if plan.way is not Way.SHARED:
            return self._elsewhere(plan, args, options)
        data = pack(args if plan.words is None else plan.words + args[1:])
        link = self._link or self.link
        if len(data) >= self._large or (link.large and self._is_large(link, data)):
            return self._on_own(plan, args, options)
        if options and NEVER_DECODE in options and self.settings.decode:
            return self._on_own(plan, args, options)
        try:
            reply = link.send(data)
        except Unanswered:
            if not (self._again and plan.reads):
                raise
            reply = link.send(data)
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        if plan.callback is None:
            return reply
        for key in _NOT_FOR_CALLBACKS:
            options.pop(key, None)
        return plan.callback(reply, **options)

    def plan(self, args: tuple[Any, ...]) -> Plan:
        """How a command travels, as it is given to ``execute_command``."""
        found = self._plans.get(args[0])
        if found is not None:
            return found
        plan, common = plan_for(args, self.response_callbacks)
        if common:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[args[0]] = plan
        return plan

    def set_response_callback(self, command: str, callback: Callable[..., Any]) -> None:
        super().set_response_callback(command, callback)
        self._plans.clear()

    def _is_large(self, link: Link, data: bytes) -> bool:
        until = link.large.get(data)
        if until is None:
            return False
        if until > monotonic():
            return True
        del link.large[data]
        return False

    def _elsewhere(self, plan: Plan, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if plan.hint:
            raise refuse(args, plan)
        seconds = seconds_of(args) if plan.way is Way.BLOCKING else None
        if seconds is None:
            return self._on_own(plan, args, options)
        with self.own.lend(blocking=True) as connection:
            return self._ask(connection, args, options, seconds + self.settings.timeout if seconds else None)

    def _on_own(self, plan: Plan, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            with self.own.lend() as connection:
                return self._ask(connection, args, dict(options), self.settings.timeout)
        except Unanswered:
            if not (self._again and plan.reads):
                raise
        with self.own.lend() as connection:
            return self._ask(connection, args, options, self.settings.timeout)

    def _ask(self, connection: Any, args: tuple[Any, ...], options: dict[str, Any], timeout: float | None) -> Any:
        """What redis-py makes of the reply, which may take ``timeout`` seconds (None: any time)."""
        connection._sock.settimeout(timeout)
        try:
            return self._send_command_parse_response(connection, args[0], *args, **options)  # type: ignore[no-untyped-call]
        except LostConnection as error:
            if type(error) is LostConnection:
                raise Unanswered(f"{self.address}: {error}; {UNKNOWN}") from error
            raise
        except LateAnswer as error:
            raise LateAnswer(f"{self.address} did not answer within {timeout or 0:g} s; {UNKNOWN}") from error
        finally:
            if connection.is_connected:
                connection._sock.settimeout(self.settings.timeout)

    def execute_asking(self, *args: Any, **options: Any) -> Any:
        """Like ``execute_command``, for a node of a Cluster that is just getting the key and must be told that this is known."""
        return self.pipeline(transaction=False).execute_asking(args, options)

    # -- what is more than a command -------------------------------------------------------------------------------

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        return Pipeline(self, transaction, shard_hint)

    def client(self) -> SingleClient:
        """redis-py's client on a connection of its own, until it is closed: for commands that change their connection."""
        pool: Any = self.own
        return SingleClient(connection_pool=pool, single_connection_client=True)

    def monitor(self) -> Monitor:
        monitor = Monitor(self.own)
        monitor.connection._sock.settimeout(None)
        return monitor
