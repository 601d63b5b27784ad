"""The last messages of groups that keep some.  The store is the log: what this process sends on, it reads there, in order.

For each group with members here there is a cursor, up to which they were told.  Who comes back is first told what he missed up to the
cursor, and is one of the members from then on: so nothing is lost or told twice, whoever sends or dies meanwhile.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from greenimi.hub import packets
from greenimi.hub.delivery import Delivery
from greenimi.hub.groups import target_of
from greenimi.hub.later import Later
from greenimi.hub.links import links_of
from greenimi.hub.outgoing import Outgoing, envelope
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub

log = logging.getLogger("greenimi.hub")

_BATCH = 256


class _Cursor:
    """Up to where the members of this process were told."""

    __slots__ = ("busy", "epoch", "fresh", "offset")

    def __init__(self, offset: int, epoch: str) -> None:
        self.offset = offset
        self.epoch = epoch
        self.busy = False  # its news are about to be read
        self.fresh = True  # others may not have known of us when we looked


class _Missed:
    """What a client missed.  Sent when the answer to its message is on its way."""

    __slots__ = ("epoch", "messages", "offset", "recovered")

    def __init__(self, offset: int, epoch: str, *, recovered: bool, messages: list[tuple[int, bytes]]) -> None:
        self.offset = offset  # where it goes on
        self.epoch = epoch
        self.recovered = recovered
        self.messages = messages

    def told(self) -> dict[str, Any]:
        return {"recovered": self.recovered, "offset": self.offset, "epoch": self.epoch, "missed": len(self.messages)}


class Histories:
    """The cursors of this process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._cursors: dict[str, _Cursor] = {}
        self._reader = Later()

    # -- sending -----------------------------------------------------------------------------------------------------
    def send(self, name: str, data: Any, event: str | None, skip: list[int]) -> Delivery:
        """Add to the history and have all processes with members tell them.  May wait for the store, and raises what that raises."""
        hub = self._hub
        rules = hub.groups.rules(name)
        message = packets.encode_value([event, data, skip])
        offset, epoch = hub.store.append(name, message, rules.history, rules.history_age)
        self.news(name, offset, epoch)
        others = hub.relay.interested(target_of(name))
        here = len(hub.of(target_of(name)))
        if not others:
            return Delivery(here)
        return Delivery(here, hub.relay.call(others, packets.encode(packets.News(name, offset, epoch))), hub.settings.wait)

    def news(self, name: str, offset: int, epoch: str) -> None:
        """The history has grown up to an offset: tell the members soon.  Does not wait."""
        cursor = self._cursors.get(name)
        if cursor is None:
            return
        if cursor.epoch != epoch:  # the store began anew
            cursor.offset, cursor.epoch = offset - 1, epoch
            self._say_where(name, cursor)
        if not cursor.busy and cursor.offset < offset:
            cursor.busy = True
            self._reader.add(lambda: self._read(name, cursor))

    def _read(self, name: str, cursor: _Cursor) -> None:
        cursor.busy = False
        hub = self._hub
        while True:
            found = hub.store.since(name, cursor.offset, _BATCH)
            for offset, message in found:
                if offset <= cursor.offset:
                    continue  # somebody else was faster
                cursor.offset = offset
                outgoing, skip = _outgoing(name, offset, message)
                hub.of(target_of(name)).push(outgoing, skip)
            if len(found) < _BATCH:
                return

    def look_again(self) -> None:
        """Look whether news were missed while others did not know yet that we want them.  Called once a second."""
        for name, cursor in list(self._cursors.items()):
            if cursor.fresh:
                cursor.fresh = False
                self._reader.add(lambda name=name: self.news(name, *self._hub.store.position(name)))  # type: ignore[misc]

    # -- coming and going --------------------------------------------------------------------------------------------
    def attach(self, name: str, connection: IConnection, place: tuple[int, str] | None) -> None:
        """Make a connection one of the members, from now on or from a place that its client remembers.  May wait for the store."""
        hub = self._hub
        hub.want(target_of(name))
        cursor = self._cursors.get(name)
        if cursor is None:
            offset, epoch = hub.store.position(name)
            cursor = self._cursors.setdefault(name, _Cursor(offset, epoch))
        links = links_of(connection)
        if place is None:
            links.places[name] = (cursor.offset, cursor.epoch)
            hub.attach(target_of(name), connection)
            if links.digest is not None:
                connection.send(envelope({"offset": cursor.offset, "epoch": cursor.epoch}, "$position", name))
            return
        missed = self._missed(name, cursor, place)
        links.places[name] = (missed.offset, missed.epoch)
        hub.keeping.recovered(connection, name, missed)

    def go_back(self, name: str, connection: IConnection, place: tuple[int, str]) -> None:
        """Send a member what came behind a place, and go on from there.  What it was sent already comes again, with its offset.

        May wait for the store.
        """
        self._hub.of(target_of(name)).discard(connection)
        self.attach(name, connection, place)

    def _missed(self, name: str, cursor: _Cursor, place: tuple[int, str]) -> _Missed:
        offset, epoch = place
        if epoch == cursor.epoch and offset <= cursor.offset:
            messages = self._hub.store.since(name, offset, self._hub.groups.rules(name).history)
            found = [each for each in messages if each[0] <= cursor.offset]
            if [each[0] for each in found] == list(range(offset + 1, cursor.offset + 1)):
                return _Missed(cursor.offset, cursor.epoch, recovered=True, messages=found)
        return _Missed(cursor.offset, cursor.epoch, recovered=False, messages=[])

    def go_on(self, name: str, connection: IConnection, missed: _Missed) -> None:
        """Send what was missed, and what came since; the connection is one of the members then.  May wait for the store."""
        hub = self._hub
        offset = missed.offset
        self._send(name, connection, missed.messages)
        while connection.links is not None and name in connection.links.groups and connection.number in hub.connections:
            cursor = self._cursors.get(name)
            if cursor is None or cursor.epoch != missed.epoch or cursor.offset <= offset:
                hub.attach(target_of(name), connection)
                return
            found = [each for each in hub.store.since(name, offset, _BATCH) if each[0] <= cursor.offset]
            if not found:  # what was kept did not suffice: say so
                offset = cursor.offset
                self._say(name, connection, cursor)
            else:
                self._send(name, connection, found)
                offset = found[-1][0]

    @staticmethod
    def _send(name: str, connection: IConnection, messages: list[tuple[int, bytes]]) -> None:
        for offset, message in messages:
            outgoing, skip = _outgoing(name, offset, message)
            framed = None if connection.dialect is None else outgoing.framed(connection.dialect)
            if framed is not None and connection.number not in skip:
                connection.push(framed)

    def _say_where(self, name: str, cursor: _Cursor) -> None:
        log.warning("the history of %s began anew", name)
        for connection in self._hub.of(target_of(name)):
            self._say(name, connection, cursor)

    @staticmethod
    def _say(name: str, connection: IConnection, cursor: _Cursor) -> None:
        connection.send(envelope({"offset": cursor.offset, "epoch": cursor.epoch, "recovered": False}, "$position", name))

    def forget(self, name: str) -> None:
        """Nobody of this process is in the group any more."""
        self._cursors.pop(name, None)


def _outgoing(name: str, offset: int, message: bytes) -> tuple[Outgoing, list[int]]:
    event, data, skip = packets.decode_value(message)
    return Outgoing(envelope(data, event, name, offset)), skip
