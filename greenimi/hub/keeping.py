"""Clients that come back: what is kept of a lost connection, and restored once to who shows its token.

A token is the number of a connection and 128 bits that only its client was told; the store knows a digest of it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from greenimi.errors import Overloaded, Refused, Unauthorized
from greenimi.green import Event
from greenimi.hub import packets
from greenimi.hub.events import ConnectionRestored
from greenimi.hub.groups import BACK, GroupFull
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


def _expires(connection: IConnection, links: Links) -> float | None:
    """When what it was let in for is over: by its own identity, or that of the lost connection that it goes on for."""
    identity = connection.identity
    return links.expires if identity is None else identity.expires


def _is_over(moment: float | None) -> bool:
    return moment is not None and moment <= time.time()


class Keeping:
    """For the connections of this process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._on_the_way: dict[bytes, bytes] = {}  # records that the store does not have yet
        self.kept_count = 0
        self.restored_count = 0
        self._storing: bytes | None = None  # the one that it is about to get
        self._missed: dict[int, dict[str, _Missed]] = {}  # to be sent behind an answer, by connection and group
        self._expiring: dict[int, IConnection] = {}  # those that go on for an identity that will expire

    def token(self, connection: IConnection) -> str:
        """A new token for its client; an older one means nothing any more."""
        token = f"{connection.number}.{secrets.token_urlsafe(16)}"
        links_of(connection).digest = _digest(token)
        return token

    # -- what is lost ------------------------------------------------------------------------------------------------
    def gone(self, connection: IConnection, links: Links) -> float:
        """A connection is closed: for how many seconds it is kept.  Does not wait."""
        self._missed.pop(connection.number, None)
        self._expiring.pop(connection.number, None)
        links.after = None
        if links.digest is None or not self._hub.settings.keep or _is_over(_expires(connection, links)):
            return 0.0
        record = self._record(connection, links)
        if not record:
            return 0.0
        if len(self._on_the_way) >= self._hub.settings.kept:  # the store takes nothing
            del self._on_the_way[next(iter(self._on_the_way))]
        self._on_the_way[links.digest] = record
        self.kept_count += 1
        self._hub.later.add(partial(self._keep, links.digest))
        return self._hub.settings.keep

    def _keep(self, digest: bytes) -> None:
        record = self._on_the_way.pop(digest, None)
        if record is not None:  # its client was not faster
            self._storing = digest
            try:
                self._hub.store.keep(digest, record, self._hub.settings.keep)
            except Overloaded:
                self._on_the_way[digest] = record  # for the next try, and for its client until then
                raise
            finally:
                self._storing = None

    def surrender(self, number: int, digest: bytes, answer: Callable[[bytes], object]) -> None:
        """Answer with the record of a connection that is, or was a moment ago, of this process, which is closed.

        With nothing for a wrong token, and when the store has the record: the answer comes when that is so.  Does not wait.
        """
        record = self._on_the_way.pop(digest, None)
        if record is None and digest == self._storing:
            self._hub.later.add(lambda: answer(b""))
            return
        answer(self._give_up(number, digest) if record is None else record)

    def _give_up(self, number: int, digest: bytes) -> bytes:
        connection = self._hub.connections.get(number)
        links = None if connection is None else connection.links
        if connection is None or links is None or links.digest is None or not hmac.compare_digest(links.digest, digest):
            return b""
        record = self._record(connection, links)
        if not record:
            return b""
        links.digest = None
        self._hub.gone(connection, BACK)
        connection.close(TAKEN_OVER, "taken over")
        return record

    def _record(self, connection: IConnection, links: Links) -> bytes:
        """What is kept; data that have no MessagePack are not.  Nothing when what others were told of it has none (any more)."""
        data = {}
        for name, value in connection.data.items():
            try:
                packets.encode_value(value)
            except packets.UNTELLABLE:
                log.info("%r: its %s cannot be kept", connection, name)
            else:
                data[name] = value
        kept = {
            "number": connection.number,
            "data": data,
            "user": links.user,
            "claimed": links.claimed,
            "expires": _expires(connection, links),
            "name": links.name or connection.id,
            "groups": links.groups,
            "seats": links.seats,
            "places": {name: self._hub.histories.place(name, connection, place) for name, place in links.places.items()},
        }
        try:
            return packets.encode_value(kept)
        except packets.UNTELLABLE as error:
            log.warning("%r cannot be kept: %s", connection, error)
            return b""

    # -- who is back -------------------------------------------------------------------------------------------------
    def restore(self, connection: IConnection, token: str, places: dict[str, tuple[int, str]] | None = None) -> bool:
        """Give a connection what is kept under a token, which is used up: data, user, groups, and what was said in them meanwhile.

        ``places``: the last offset and the epoch that its client knows of groups with history.  False for a token that nothing is kept
        under (any more).  Raises Refused, and closes the connection, after too many of those.  May wait for other processes and the store.

        What an identity was let in for is over with it, also while it is kept.  When this raises, or the connection is lost meanwhile, the
        token is good for another time.
        """
        links = links_of(connection)
        digest = _digest(token) if token.isascii() and len(token) <= _LONGEST_TOKEN else b""
        record = self._find(parse(token.partition(".")[0]), digest) if digest and digest != links.digest else b""
        kept = packets.decode_value(record) if record else {}
        if not kept or _is_over(kept["expires"]):
            links.failures += 1
            if links.failures >= _MOST_FAILURES:
                log.warning("%r shows tokens that nothing is kept under", connection)
                connection.close(4000 + Refused.status, "too many wrong tokens")
                raise Refused("too many wrong tokens")
            return False
        whole = False
        try:
            if connection.number in self._hub.connections:
                self._apply(connection, links, kept, places or {})
            whole = connection.number in self._hub.connections
        finally:
            if not whole:
                self._hub.later.add(partial(self._hub.store.keep, digest, record, self._hub.settings.keep))
        self.restored_count += whole
        return whole

    def _find(self, number: int, digest: bytes) -> bytes:
        hub = self._hub
        if number < 0:
            return b""
        found: list[bytes] = []
        process = process_of(number)
        if process == hub.process:
            done = Event()

            def answer(record: bytes) -> None:
                found.append(record)
                done.set()

            self.surrender(number, digest, answer)
            done.wait(hub.settings.wait)
        else:
            found += [answer for _, answer in hub.ask([process], packets.Surrender(number, digest))]
        return b"".join(found) or hub.store.take(digest) or b""

    def _apply(self, connection: IConnection, links: Links, kept: dict[str, Any], places: dict[str, tuple[int, str]]) -> None:
        hub = self._hub
        old, user = kept["number"], kept["user"]
        identity = connection.identity
        if identity is not None and user is not None and identity.id != user:
            raise Refused("this token is another user's")
        links.expires = kept["expires"]
        if links.expires is not None:
            self._expiring[connection.number] = connection
        connection.data.update(kept["data"])
        if user is not None:
            bound = hub.users.take_over(user, old, connection) if kept["claimed"] else hub.users.bind(user, connection)
            if not bound:
                log.info("%r is back, but somebody else has its user now, or it is closed", connection)
        links.name = kept["name"]
        for name, info in kept["groups"].items():
            hub.groups.make_room(name, old)
            found = places.get(name) or kept["places"].get(name)
            place = None if found is None else (found[0], found[1])
            try:
                if not hub.groups.join(name, connection, info, place=place, seat=kept.get("seats", {}).get(name)) and place is not None:
                    hub.histories.go_back(name, connection, place)  # it was put in when it connected
            except GroupFull as error:
                log.info("%r is back, but %s", connection, error.text)
        hub.tell(ConnectionRestored(connection, old))

    def close_expired(self) -> None:
        """Close those that go on for an identity which has expired, and have none of their own.  Called once a second."""
        for connection in list(self._expiring.values()):
            if connection.identity is None and _is_over(connection.links.expires):
                connection.close(4000 + Unauthorized.status, "the identity has expired")

    # -- what was said meanwhile -------------------------------------------------------------------------------------
    def recovered(self, connection: IConnection, name: str, missed: _Missed) -> None:
        """Send what was missed when the answer to the message at hand is on its way."""
        self._missed.setdefault(connection.number, {})[name] = missed
        links_of(connection).after = lambda: self.send_missed(connection)

    def told(self, connection: IConnection) -> dict[str, Any]:
        """What will be sent, by group: for the answer."""
        return {name: missed.told() for name, missed in self._missed.get(connection.number, {}).items()}

    def send_missed(self, connection: IConnection) -> None:
        """May wait for the store."""
        waiting = self._missed.get(connection.number, {})
        while waiting:
            name = next(iter(waiting))
            self._hub.histories.go_on(name, connection, waiting.pop(name))
        self._missed.pop(connection.number, None)
