"""redis-py's pipelines over the shared connection: all commands in one piece, transactions with nothing of others between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from redis.client import NEVER_DECODE
from redis.client import Pipeline as RedisPipeline

from greenimi.pool.redis.replies import pack, split_name
from greenimi.pool.redis.routing import Way, refuse

if TYPE_CHECKING:
    from greenimi.pool.redis.client import Redis
    from greenimi.pool.redis.link import Link

MOST_SHARED = 128
"""Commands of a pipeline that may travel on the shared connection; longer ones take a connection of their own for a moment."""

_WATCHING = ("WATCH", "UNWATCH")


class _TooLarge(Exception):
    """It must not travel on the shared connection."""


class _OneBatch:
    """To redis-py's pipeline a connection: what is sent goes over the shared one, and the replies are read one by one."""

    himport_registry = None

    def __init__(self, link: Link) -> None:
        self._link = link
        self._replies: list[Any] = []

    def pack_commands(self, commands: Iterable[tuple[Any, ...]]) -> list[bytes]:
        packed = [pack(split_name(words)) for words in commands]
        large = self._link.large
        if sum(map(len, packed)) >= self._link.settings.large or (large and any(data in large for data in packed)):
            raise _TooLarge
        return packed

    def send_packed_command(self, commands: list[bytes]) -> None:
        self._replies = self._link.send_many(b"".join(commands), len(commands))
        self._replies.reverse()

    def read_response(self, disable_decoding: bool = False) -> Any:
        reply = self._replies.pop()
        if isinstance(reply, Exception):
            raise reply
        return reply


class Pipeline(RedisPipeline):
    """Commands are collected and sent by ``execute()``.  With ``transaction`` they are one step for all who use the server.

    One that watches keys has a connection of its own from the first ``watch`` on; so has a long one, or one with large values, while it
    runs.  Nothing is sent twice.
    """

    def __init__(self, client: Redis, transaction: bool, shard_hint: Any = None) -> None:
        pool: Any = client.own  # which does what redis-py asks of its pools
        super().__init__(pool, client.response_callbacks, transaction, shard_hint)
        self._client = client
        self._alone = not client.settings.shared

    def execute_command(self, *args: Any, **options: Any) -> Any:
        plan = self._client.plan(args)
        if plan.way is Way.REFUSED and args[0] not in _WATCHING:
            raise refuse(args, plan)
        if plan.way is not Way.SHARED or NEVER_DECODE in options:
            self._alone = True
        return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        stack = self.command_stack
        found: list[Any]
        if stack and self.connection is None:
            if not (self._alone or self.scripts or len(stack) > MOST_SHARED):
                try:
                    found = self._execute_shared(stack, raise_on_error)
                except _TooLarge:
                    pass
                else:
                    return found
            self.connection = self._client.own.keep(self._client.own.lend())
        found = super().execute(raise_on_error)
        return found

    def _execute_shared(self, stack: list[Any], raise_on_error: bool) -> list[Any]:
        batch: Any = _OneBatch(self._client.link)
        whole: Any = self.transaction  # the flag, which has the name of a method
        execute = self._execute_transaction if whole or self.explicit_transaction else self._execute_pipeline
        try:
            found: list[Any] = execute(batch, stack, raise_on_error)
        except _TooLarge:
            raise
        except BaseException:
            self.reset()
            raise
        self.reset()
        return found

    def execute_asking(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The answer to one command that is sent with ASKING before it."""
        self.command_stack.append((("ASKING",), {}))
        self.execute_command(*args, **options)
        reply = self.execute(raise_on_error=False)[1]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def discard(self) -> None:
        """Forget the commands, and the watched keys."""
        self.reset()

    def reset(self) -> None:  # type: ignore[override]  # in redis-py it is also the name of a command
        try:
            super().reset()
        except BaseException:
            self._let_go()
            raise
        self._alone = not self._client.settings.shared

    def _let_go(self) -> None:
        """What could not be made as good as new is closed."""
        connection, self.connection = self.connection, None
        self.watching = False
        if connection is not None:
            connection.disconnect()
            self._client.own.release(connection)
