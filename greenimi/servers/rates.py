"""How many messages of a connection, and of a user, are handled in a second."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from greenimi.message import Message, Request

if TYPE_CHECKING:
    from greenimi.servers.settings import ServerSettings
    from greenimi.servers.stream import StreamConnection


class Rates:
    """The limits of one server.  Whoever is over one waits for the next second of the clock; nothing is lost, its messages wait as well.

    Requests of HTTP are not counted.

    held  how often a connection had to wait
    """

    def __init__(self, settings: ServerSettings, users: dict[str, int]) -> None:
        """``users``: messages of each user in this second, counted for all servers of the process together."""
        self.held = 0
        self._most = settings.message_rate or inf
        self._most_of_user = settings.user_rate or inf
        self._users = users
        self._counts: dict[StreamConnection, int] = {}
        self._over: set[StreamConnection] = set()
        self._waiting: list[StreamConnection] = []

    def take(self, connection: StreamConnection, message: Any) -> bool:
        """Count a message that is to be handled now; False: not in this second."""
        if not isinstance(message, Message) or isinstance(message, Request):
            return True
        count = self._counts.get(connection, 0)
        user = None if self._most_of_user == inf else _user_of(connection)
        if count >= self._most or (user is not None and self._users.get(user, 0) >= self._most_of_user):
            self._over.add(connection)
            return False
        self._counts[connection] = count + 1
        if user is not None:
            self._users[user] = self._users.get(user, 0) + 1
        return True

    def hold(self, connection: StreamConnection) -> bool:
        """Whether a connection, which no handler is at work for, has to wait; then it is started in the next second."""
        if connection not in self._over:
            return False
        self.held += 1
        self._waiting.append(connection)
        return True

    def tick(self, now: float) -> None:
        """To be called once a second, in the hub."""
        self._counts.clear()
        self._users.clear()
        self._over.clear()
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.start_later()


def _user_of(connection: StreamConnection) -> str | None:
    """The user that it is bound to in the Hub, else its identity; None: nobody knows whose it is."""
    links = connection.links
    if links is not None and links.user is not None:
        user: str = links.user
        return user
    identity = connection.identity
    return None if identity is None else identity.id
