"""What clients can ask of the Hub itself, in messages whose action begins with ``$``: see docs/client-protocol.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from greenimi.errors import BadMessage, Refused
from greenimi.green import sleep
from greenimi.hub.links import links_of
from greenimi.interfaces import IConnection
from greenimi.message import Message

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub

ACTIONS = ("$hello", "$ping", "$recover", "$bye")
"""The names of all of them."""

_MOST_PLACES = 1024
_REPLAY_PAUSE = 1.0
_Places = dict[str, tuple[int, str]]


class ClientActions:
    """One a server."""

    def __init__(self, hub: Hub, ping: float) -> None:
        """``ping``: seconds of silence after which the server itself asks for a sign of life; told to clients."""
        self._hub = hub
        self._ping = ping

    def all(self) -> dict[str, Callable[[Message], Any]]:
        """By the name of the action."""
        return dict(zip(ACTIONS, (self.hello, self.ping, self.recover, self.bye), strict=True))

    def ping(self, message: Message) -> None:
        """A sign of life, answered for clients that cannot see those of their transport."""

    def bye(self, message: Message) -> None:
        """It leaves and will not come back: nothing is kept of it."""
        links_of(_client_of(message)).digest = None

    def hello(self, message: Message) -> dict[str, Any]:
        """Who it is, by which token it can come back, and what is restored by the token that it shows.

        What it missed follows as ordinary messages, behind the answer.
        """
        connection = _client_of(message)
        hub = self._hub
        token = _text(message.data.get("token"), "token")
        places = _places(message.data.get("positions"))
        restored = bool(token) and hub.keeping.restore(connection, token, places)
        fresh = hub.keeping.token(connection)
        if not restored:
            for name, place in places.items():
                self._go_back(connection, name, place)
        recovered = hub.keeping.told(connection)
        entered = links_of(connection).places
        return {
            "id": connection.id,
            "token": fresh,
            "keep": hub.settings.keep,
            "ping": self._ping,
            "restored": restored,
            "recovered": recovered,
            "positions": {name: {"offset": offset, "epoch": epoch} for name, (offset, epoch) in entered.items() if name not in recovered},
        }

    def recover(self, message: Message) -> dict[str, Any]:
        """Send again what was said in a group behind an offset: for who is in it.  Refused for others (403)."""
        connection = _client_of(message)
        name = _text(message.data.get("group"), "group")
        places = _places({name: {"offset": message.data.get("offset"), "epoch": message.data.get("epoch")}})
        found: dict[str, Any] | None = None
        if self._go_back(connection, name, places[name]):
            found = self._hub.keeping.told(connection).get(name)  # none when it was taken out while the store was asked
        if found is None:
            raise Refused("you are not in this group, or it has no history")
        return found

    def _go_back(self, connection: IConnection, name: str, place: tuple[int, str]) -> bool:
        """Have a member of a group with history hear again what it does not know.  False when it is none.

        Once a second for each of its groups: who asks more often waits.
        """
        hub = self._hub
        links = links_of(connection)
        if name not in links.groups or not hub.groups.rules(name).history:
            return False
        pause = links.replayed.get(name, 0.0) + _REPLAY_PAUSE - time.monotonic()
        if pause > 0:
            sleep(pause)
            if name not in links.groups:
                return False
        links.replayed[name] = time.monotonic()
        hub.histories.go_back(name, connection, place)
        return True


def _client_of(message: Message) -> IConnection:
    """Its connection, when the Hub knows it."""
    connection = message.connection
    if connection.dialect is None or not isinstance(message.data, dict):
        raise BadMessage("this connection cannot be restored")
    return connection


def _text(value: Any, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadMessage(f"{name} must be a text")
    return value


def _places(found: Any) -> _Places:
    """``{group: {"offset": 5, "epoch": "..."}}`` as a client writes it."""
    if found is None:
        return {}
    if not isinstance(found, Mapping) or len(found) > _MOST_PLACES:
        raise BadMessage(f"positions must be a table of at most {_MOST_PLACES} groups")
    places: _Places = {}
    for name, place in found.items():
        offset = place.get("offset") if isinstance(place, Mapping) else None
        epoch = place.get("epoch") if isinstance(place, Mapping) else None
        if type(offset) is not int or not 0 <= offset < 1 << 63 or not isinstance(epoch, str):
            raise BadMessage(f"the position in {str(name)[:50]!r} must have an offset, a number of 0 or more, and an epoch, a text")
        places[name] = (offset, epoch)
    return places
