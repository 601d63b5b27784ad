"""Users: connections of this process by who their clients are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenimi.hub.groups import GroupFull
from greenimi.hub.links import Links, links_of
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub

_LONGEST_NAME = 255


def target_of(user: str) -> str:
    return f"u:{user}"


class Users:
    """Binds and frees, for the connections of this process.  A connection is bound to one user at most, a user has any number of them."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def bind(self, user: str, connection: IConnection) -> bool:
        """Bind a connection, which is freed from another user.  False when it is closed, or another one has claimed the user.

        May wait for the store.  Raises GroupFull when the user has as many connections as one may have.
        """
        owner = self._hub.store.owner(user)
        if owner is not None and owner != connection.number:
            return False
        return self._bind(user, connection, claimed=owner is not None)

    def claim(self, user: str, connection: IConnection) -> bool:
        """Bind a connection to a user whom nobody else has, and keep others away.  False when somebody has him.  May wait for the store."""
        hub = self._hub
        if connection.number not in hub.connections:
            return False
        links = links_of(connection)
        if hub.store.claim(user, connection.number, hub.process) is not None:
            return False
        others = [each for each in hub.of(target_of(user)) if each is not connection]
        if others or hub.relay.interested(target_of(user)) or not self._bind(user, connection, claimed=True):
            if not (links.user == user and links.claimed):
                hub.store.release(user, connection.number)
            return False
        return True

    def _bind(self, user: str, connection: IConnection, *, claimed: bool) -> bool:
        hub = self._hub
        if not user or len(user) > _LONGEST_NAME:
            raise ValueError(f"a user's key has 1 to {_LONGEST_NAME} characters, not {len(user)}")
        if connection.number not in hub.connections:
            return False
        links = links_of(connection)
        if links.user == user:
            links.claimed = links.claimed or claimed
            return True
        most = hub.settings.user_connections
        if most and len(hub.of(target_of(user))) >= most:
            raise GroupFull(f"{user} has {most} connections, the limit")
        if links.user is not None:
            self.free(connection)
        links.user = user
        links.claimed = claimed
        hub.attach(target_of(user), connection)
        return True

    def free(self, connection: IConnection, seconds: float = 0.0) -> bool:
        """Bind it to nobody; whom it had claimed is free for others after that many seconds.  False when it was not bound.

        May wait for the store.
        """
        links = connection.links
        if links is None or links.user is None:
            return False
        user, links.user = links.user, None
        self._hub.detach(target_of(user), connection)
        if links.claimed:
            links.claimed = False
            self._hub.store.release(user, connection.number, seconds)
        return True

    def claim_again(self, connection: IConnection, links: Links) -> None:
        """Have the store know again whom it has claimed; who is another's by now is so."""
        if links.user is not None and links.claimed:
            owner = self._hub.store.claim(links.user, connection.number, self._hub.process)
            if owner is not None and owner != connection.number:
                links.claimed = False
                self.free(connection)

    def gone(self, connection: IConnection, links: Links, seconds: float) -> None:
        """A connection is closed.  Does not wait."""
        if links.user is not None:
            user = links.user
            self._hub.detach(target_of(user), connection)
            if links.claimed:
                self._hub.later.add(lambda: self._hub.store.release(user, connection.number, seconds))
