"""The client of one node of a Cluster."""

from __future__ import annotations

from typing import Any

from greenimi.pool.redis.client import Redis
from greenimi.pool.redis.link import Link
from greenimi.pool.redis.replies import pack
from greenimi.pool.redis.routing import Way

__all__ = ["ClusterNodeClient"]

_ASKING = pack(("ASKING",))


class _NodeLink(Link):
    """The shared connection to one node, with what the client does on each connection."""

    def __init__(self, client: ClusterNodeClient) -> None:
        super().__init__(client.settings, client.address)
        self._client = client

    def open(self) -> Any:
        return self._client.open_connection()


class ClusterNodeClient(Redis):
    """Commands about one node, or for it.  Where reads go to replicas its connections are allowed to read on one."""

    def make_link(self) -> Link:
        return _NodeLink(self)

    def open_connection(self, **more: Any) -> Any:
        connection = super().open_connection(**more)
        if self.settings.read_from != "primary":
            try:
                connection.send_command("READONLY")
                connection.read_response()
            except BaseException:
                connection.disconnect()
                raise
        return connection

    def execute_asking(self, *args: Any, **options: Any) -> Any:
        """A command for a key that is on its way to this node, by ``ASKING``, with nothing of others between the two."""
        plan = self.plan(args)
        if plan.way is not Way.SHARED:
            with self.own.lend(blocking=True) as connection:
                connection.send_command("ASKING")
                connection.read_response()
                return self._send_command_parse_response(connection, args[0], *args, **options)  # type: ignore[no-untyped-call]
        words = args if plan.words is None else plan.words + args[1:]
        reply = self.link.send_many(_ASKING + pack(words), 2)[1]
        if isinstance(reply, Exception):
            raise reply
        options.pop("keys", None)
        return reply if plan.callback is None else plan.callback(reply, **options)
