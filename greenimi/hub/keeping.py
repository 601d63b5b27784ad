"""Clients that come back: what is kept of a lost connection, and restored once to who shows its token.

A token is the number of a connection and 128 bits that only its client was told; the store knows a digest of it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from typing import TYPE_CHECKING, Any

from greenimi.errors import Refused
from greenimi.hub import packets
from greenimi.hub.events import ConnectionRestored
from greenimi.hub.groups import GroupFull
from greenimi.hub.ids import parse, process_of
from greenimi.hub.links import Links, links_of
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.histories import _Missed
    from greenimi.hub.hub import Hub

log = logging.getLogger("greenimi.hub")

TAKEN_OVER = 4409
"""The code with which a connection is closed whose client is back on another one."""

_MOST_FAILURES = 3
_LONGEST_TOKEN = 64


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Keeping:
    """For the connections of this process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._on_the_way: dict[bytes, bytes] = {}  # records that the store does not have yet
        self.kept_count = 0
        self.restored_count = 0
        self._missed: dict[int, list[tuple[str, _Missed]]] = {}  # to be sent behind an answer, by connection

    def token(self, connection: IConnection) -> str:
        """A new token for its client; an older one means nothing any more."""
        token = f"{connection.number}.{secrets.token_urlsafe(16)}"
        links_of(connection).digest = _digest(token)
        return token

    # -- what is lost ------------------------------------------------------------------------------------------------
    def gone(self, connection: IConnection, links: Links) -> float:
        """A connection is closed: for how many seconds it is kept.  Does not wait."""
        hub = self._hub
        self._missed.pop(connection.number, None)
        if links.digest is None or not hub.settings.keep:
            return 0.0
        digest, record = links.digest, _record(connection, links)
        self._on_the_way[digest] = record
        self.kept_count += 1
        hub.later.add(lambda: self._keep(digest, record))
        return hub.settings.keep

    def _keep(self, digest: bytes, record: bytes) -> None:
        if digest in self._on_the_way:  # its client was not faster
            try:
                self._hub.store.keep(digest, record, self._hub.settings.keep)
            finally:
                self._on_the_way.pop(digest, None)

    def surrender(self, number: int, digest: bytes) -> bytes:
        """The record of a connection that is, or was a moment ago, of this process, which is closed; empty for a wrong token."""
        record = self._on_the_way.pop(digest, None)
        if record is not None:
            return record
        connection = self._hub.connections.get(number)
        links = None if connection is None else connection.links
        if connection is None or links is None or links.digest is None or not hmac.compare_digest(links.digest, digest):
            return b""
        record = _record(connection, links)
        links.digest = None
        connection.close(TAKEN_OVER, "taken over")
        self._hub.give_up(connection)
        return record

    # -- who is back -------------------------------------------------------------------------------------------------
    def restore(self, connection: IConnection, token: str, places: dict[str, tuple[int, str]] | None = None) -> bool:
        """Give a connection what is kept under a token, which is used up: data, user, groups, and what was said in them meanwhile.

        ``places``: the last offset and the epoch that its client knows of groups with history.  False for a token that nothing is kept
        under (any more).  Raises Refused, and closes the connection, after too many of those.  May wait for other processes and the store.
        """
        links = links_of(connection)
        record = self._find(token)
        if not record:
            links.failures += 1
            if links.failures >= _MOST_FAILURES:
                log.warning("%r shows tokens that nothing is kept under", connection)
                connection.close(4000 + Refused.status, "too many wrong tokens")
                raise Refused("too many wrong tokens")
            return False
        self._apply(connection, links, packets.decode_value(record), places or {})
        self.restored_count += 1
        return True

    def _find(self, token: str) -> bytes:
        hub = self._hub
        number = parse(token.partition(".")[0]) if len(token) <= _LONGEST_TOKEN else -1
        if number < 0 or not token.isascii():
            return b""
        digest = _digest(token)
        process = process_of(number)
        if process == hub.process:
            record = self.surrender(number, digest)
        else:
            calls = hub.relay.call([process], packets.encode(packets.Surrender(number, digest)))
            record = b"".join(answer for _, answer in calls.wait(hub.settings.wait)) if calls.number else b""
        return record or hub.store.take(digest) or b""

    def _apply(self, connection: IConnection, links: Links, kept: dict[str, Any], places: dict[str, tuple[int, str]]) -> None:
        hub = self._hub
        old, user = kept["number"], kept["user"]
        identity = connection.identity
        if identity is not None and user is not None and identity.id != user:
            raise Refused("this token is another user's")
        connection.data.update(kept["data"])
        if user is not None:
            if kept["claimed"] and not hub.store.inherit(user, old, connection.number, hub.process):
                log.info("%r is back, but somebody else has the user now", connection)
            else:
                hub.users.bind(user, connection)
        links.name = kept["name"]
        for name, info in kept["groups"].items():
            hub.groups.make_room(name, old)
            found = places.get(name) or kept["places"].get(name)
            place = None if found is None else (found[0], found[1])
            try:
                if not hub.groups.join(name, connection, info, place=place) and place is not None:
                    hub.histories.go_back(name, connection, place)  # it was put in when it connected
            except GroupFull as error:
                log.info("%r is back, but %s", connection, error.text)
        hub.events.emit(ConnectionRestored(connection, old))

    # -- what was said meanwhile -------------------------------------------------------------------------------------
    def recovered(self, connection: IConnection, name: str, missed: _Missed) -> None:
        """Send what was missed when the answer to the message at hand is on its way."""
        self._missed.setdefault(connection.number, []).append((name, missed))
        links_of(connection).after = lambda: self.send_missed(connection)

    def told(self, connection: IConnection) -> dict[str, Any]:
        """What will be sent, by group: for the answer."""
        return {name: missed.told() for name, missed in self._missed.get(connection.number, ())}

    def send_missed(self, connection: IConnection) -> None:
        """May wait for the store."""
        for name, missed in self._missed.pop(connection.number, ()):
            self._hub.histories.go_on(name, connection, missed)


def _record(connection: IConnection, links: Links) -> bytes:
    """What is kept; data that have no MessagePack are not."""
    data = {}
    for name, value in connection.data.items():
        try:
            packets.encode_value(value)
        except (TypeError, OverflowError, RecursionError):
            log.info("%r: its %s cannot be kept", connection, name)
        else:
            data[name] = value
    return packets.encode_value(
        {
            "number": connection.number,
            "data": data,
            "user": links.user,
            "claimed": links.claimed,
            "name": links.name or connection.id,
            "groups": links.groups,
            "places": links.places,
        }
    )
