"""The connections of this process that a push is for: those of a group, of a user, of a server."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from greenimi.hub.outgoing import Outgoing
from greenimi.interfaces import IConnection, IDialect


class Members:
    """In the order in which they came."""

    __slots__ = ("_connections", "_fixed")

    def __init__(self) -> None:
        self._connections: dict[IConnection, None] = {}
        self._fixed: tuple[IConnection, ...] | None = None  # those to push to, until somebody comes or goes

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, connection: IConnection) -> bool:
        return connection in self._connections

    def __iter__(self) -> Iterator[IConnection]:
        """Those that are in it now, also when some come or go meanwhile."""
        fixed = self._fixed
        if fixed is None:
            fixed = self._fixed = tuple(self._connections)
        return iter(fixed)

    def add(self, connection: IConnection) -> None:
        self._connections[connection] = None
        self._fixed = None

    def discard(self, connection: IConnection) -> None:
        self._connections.pop(connection, None)
        self._fixed = None

    def push(self, message: Outgoing, skip: Collection[int] = ()) -> int:
        """Queue it for all of them but those whose numbers are to be skipped; for how many."""
        count = 0
        key = message.key
        skip = frozenset(skip)
        dialect: IDialect | None = None
        framed: bytes | None = None
        for connection in self:
            if connection.dialect is not dialect:
                dialect = connection.dialect
                framed = None if dialect is None else message.framed(dialect)
            if framed is not None and connection.number not in skip and connection.push(framed, key):
                count += 1
        return count
