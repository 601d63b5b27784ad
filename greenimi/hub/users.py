"""Users: connections of this process by who their clients are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from greenimi.errors import Overloaded
from greenimi.hub import packets
from greenimi.hub.groups import GroupFull, check_name
from greenimi.hub.links import Links, links_of
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub


def target_of(user: str) -> str:
    return f"u:{user}"


def _check(user: str) -> None:
    check_name(user, "a user's key")


class Users:
    """Binds and frees, for the connections of this process.  A connection is bound to one user at most, a user has any number of them."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def bind(self, user: str, connection: IConnection) -> bool:
        """Bind a connection, which is freed from another user.  False when it is closed, or another one has claimed the user.

        May wait for the store.  Raises GroupFull when the user has as many connections as one may have.
        """
        _check(user)
        while True:
            owner = self._hub.store.owner(user)
            if owner is not None and owner != connection.number:
                return False
            links = self._may_have(user, connection)
            if links is None:
                return False
            if links.user is None or links.user == user:
                break
            self.free(connection)  # which may wait: look again
        self._bind(user, connection, links)
        return True

    def claim(self, user: str, connection: IConnection) -> bool:
        """Bind a connection to a user whom nobody else has, and keep others away.  False when somebody has him.  May wait for the store."""
        _check(user)
        hub = self._hub
        if connection.number not in hub.connections:
            return False
        links = links_of(connection)
        if links.user == user and links.claimed:
            return True
        done = False
        try:
            if hub.store.claim(user, connection.number, hub.process) is not None:
                done = True  # nothing to give back
                return False
            if links.user is not None and links.user != user:
                self.free(connection)
            if self._has_others(user, connection) or self._may_have(user, connection) is None or links.user not in (None, user):
                return False
            self._bind(user, connection, links)
            links.claimed = done = True
            return True
        finally:
            if not done:
                self._give_back(user, connection, links)

    def _has_others(self, user: str, connection: IConnection) -> bool:
        """Whether any process has another connection of his.  Waits for those that have one, perhaps, to say so."""
        hub = self._hub
        target = target_of(user)
        answers = hub.ask(hub.relay.processes(), packets.Count(target))  # who binds now sees our claim
        return any(any(answer) for _, answer in answers) or any(each is not connection for each in hub.of(target))

    def _give_back(self, user: str, connection: IConnection, links: Links) -> None:
        def release() -> None:
            if not (links.user == user and links.claimed):
                self._hub.store.release(user, connection.number)

        try:
            release()
        except Overloaded:
            self._hub.later.add(release)

    def _may_have(self, user: str, connection: IConnection) -> Links | None:
        """None: it is closed.  GroupFull: the user has as many as he may."""
        hub = self._hub
        if connection.number not in hub.connections:
            return None
        links = links_of(connection)
        most = hub.settings.user_connections
        if most and links.user != user and len(hub.of(target_of(user))) >= most:
            raise GroupFull(f"{user} has {most} connections, the limit")
        return links

    def _bind(self, user: str, connection: IConnection, links: Links) -> None:
        links.user = user
        self._hub.attach(target_of(user), connection)

    def take_over(self, user: str, old: int, connection: IConnection) -> bool:
        """Claim a user whom another connection of the same client had claimed, which is gone.  Otherwise as ``claim``."""
        hub = self._hub
        if connection.number not in hub.connections:
            return False
        inherited = hub.store.inherit(user, old, connection.number, hub.process)
        done = self.claim(user, connection)
        if inherited and not done:
            hub.store.release(user, connection.number)
        return done

    def free(self, connection: IConnection) -> bool:
        """Bind it to nobody; whom it had claimed is free for others.  False when it was not bound.  May wait for the store."""
        links = connection.links
        if links is None or links.user is None:
            return False
        user = links.user
        if links.claimed:
            self._hub.store.release(user, connection.number)
        if links.user != user or connection.number not in self._hub.connections:  # somebody else was faster
            return False
        links.user = None
        links.claimed = False
        self._hub.detach(target_of(user), connection)
        return True

    def claim_again(self, connection: IConnection, links: Links) -> None:
        """Have the store know again whom it has claimed; who is another's by now is so."""
        user = links.user
        if user is not None and links.claimed:
            owner = self._hub.store.claim(user, connection.number, self._hub.process)
            if owner is not None:
                links.claimed = False
                self.free(connection)
            elif links.user != user or connection.number not in self._hub.connections:  # it left meanwhile
                self._hub.store.release(user, connection.number)

    def gone(self, connection: IConnection, links: Links, seconds: float) -> None:
        """A connection is closed.  Does not wait."""
        if links.user is not None:
            self._hub.detach(target_of(links.user), connection)
            if links.claimed:
                self._hub.later.add(partial(self._hub.store.release, links.user, connection.number, seconds))
