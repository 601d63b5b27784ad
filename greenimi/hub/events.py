"""What the Hub tells listeners: ``@listener def greet(event: UserJoined)``.

They are called soon after it happened, in order, in a greenlet of their own: a slow one holds up the later events of its process only, and
the error of one is logged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from greenimi.interfaces import IConnection


@dataclass(frozen=True, slots=True)
class GroupJoined:
    """A connection of this process was put into a group."""

    group: str
    connection: IConnection


@dataclass(frozen=True, slots=True)
class GroupLeft:
    """A connection of this process is not in a group any more; it may be closed."""

    group: str
    connection: IConnection


@dataclass(frozen=True, slots=True)
class UserJoined:
    """Somebody entered a group with presence, by the first of his connections.  Told in one process of the cluster.

    ``user`` is whom the connection is bound to, or else the connection's id; ``info`` what was told when it was put in.
    """

    group: str
    user: str
    info: Any


@dataclass(frozen=True, slots=True)
class UserLeft:
    """Somebody is not in a group with presence any more: his last connection left, and did not come back in time.

    Told in one process of the cluster.
    """

    group: str
    user: str
    info: Any


@dataclass(frozen=True, slots=True)
class ConnectionRestored:
    """A client is back on a new connection, which has the data, user and groups of the one numbered ``old`` now."""

    connection: IConnection
    old: int
