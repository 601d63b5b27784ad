"""The last messages of groups that keep some.  The store is the log: what this process sends on, it reads there, in order.

For each group with members here there is a cursor, up to which they were told.  News of the next message are told as they come, what lies
between is read in the store.  Who comes back is first told what he missed up to the cursor, and is one of the members from then on: so
nothing is lost or told twice, whoever sends or dies meanwhile.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from greenimi.errors import Overloaded
from greenimi.green import sleep
from greenimi.hub import packets
from greenimi.hub.delivery import Delivery
from greenimi.hub.groups import check_name, target_of
from greenimi.hub.later import Later
from greenimi.hub.links import links_of
from greenimi.hub.outgoing import Outgoing, envelope
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub

log = logging.getLogger("greenimi.hub")

_BATCH = 256
_AT_ONCE = 64  # messages that one client is sent before others get their turn


class _Cursor:
    """Up to where the members of this process were told."""

    __slots__ = ("busy", "epoch", "fresh", "offset")

    def __init__(self, offset: int, epoch: str) -> None:
        self.offset = offset
        self.epoch = epoch
        self.busy = False  # its news are about to be read
        self.fresh = True  # news may have been missed: others did not know of us when we looked, or the store could not be read


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
        check_name(name)
        rules = hub.groups.rules(name)
        message = packets.encode_value([event, data, skip])
        offset, epoch = hub.store.append(name, message, rules.history, rules.history_age)
        self.news(name, offset, epoch, message)
        others = hub.relay.interested(target_of(name))
        here = len(hub.of(target_of(name)))
        if not others:
            return Delivery(here)
        news = packets.encode(packets.News(name, offset, epoch, message))
        return Delivery(here, hub.relay.call(others, news), hub.settings.wait)

    def news(self, name: str, offset: int, epoch: str, message: bytes) -> None:
        """The history has grown up to an offset.  The next message is told at once, others when the store was read.  Does not wait."""
        cursor = self._cursors.get(name)
        if cursor is None:
            return
        if cursor.epoch == epoch and cursor.offset + 1 == offset:
            self._tell(name, cursor, offset, message)
        elif cursor.epoch != epoch or cursor.offset < offset:
            self._read_soon(name, cursor)

    def _tell(self, name: str, cursor: _Cursor, offset: int, message: bytes) -> None:
        cursor.offset = offset
        outgoing, skip = _outgoing(name, offset, message)
        members = self._hub.of(target_of(name))
        members.push(outgoing, skip)
        for number in skip:
            connection = self._hub.connections.get(number)
            if connection is not None and connection in members and _keeps_offsets(connection):
                _push(connection, _skipped(name, offset))

    def _read_soon(self, name: str, cursor: _Cursor) -> None:
        if not cursor.busy:
            cursor.busy = True
            self._reader.add(partial(self._read, name, cursor))

    def _read(self, name: str, cursor: _Cursor) -> None:
        """Tell the members what the store has behind the cursor; those that are lost there are told so.  May wait for the store."""
        cursor.busy = False
        cursor.fresh = True  # until it is done
        store = self._hub.store
        last, epoch = store.position(name)
        if self._cursors.get(name) is not cursor:
            return
        if epoch != cursor.epoch:  # the store began anew
            cursor.offset, cursor.epoch = 0, epoch
            self._say_where(name, cursor)
        while cursor.offset < last and cursor.epoch == epoch:
            found = store.since(name, cursor.offset, _BATCH, epoch)
            if self._cursors.get(name) is not cursor or cursor.epoch != epoch:
                return
            found = [each for each in found if each[0] > cursor.offset]  # somebody else may have been faster
            if cursor.offset < last and (not found or found[0][0] > cursor.offset + 1):  # there were more than are kept
                cursor.offset = found[0][0] - 1 if found else last
                self._say_where(name, cursor)
            for offset, message in found:
                self._tell(name, cursor, offset, message)
        cursor.fresh = False

    def look_again(self) -> None:
        """Look whether news were missed.  Called once a second."""
        for name, cursor in list(self._cursors.items()):
            if cursor.fresh:
                self._read_soon(name, cursor)

    # -- coming and going --------------------------------------------------------------------------------------------
    def attach(self, name: str, connection: IConnection, place: tuple[int, str] | None) -> None:
        """Make a connection one of the members, from now on or from a place that its client remembers.  May wait for the store."""
        cursor = self._cursor(name)
        links = links_of(connection)
        if place is None:
            if self._is_in(name, connection):
                self._attach(name, connection, cursor)
                if links.digest is not None:
                    _push(connection, Outgoing(envelope({"offset": cursor.offset, "epoch": cursor.epoch}, "$position", name)))
            return
        missed = self._missed(name, cursor, place)
        if self._is_in(name, connection):
            links.places[name] = (missed.offset, missed.epoch)
            self._hub.of(target_of(name)).discard(connection)
            self._hub.keeping.recovered(connection, name, missed)

    def _cursor(self, name: str) -> _Cursor:
        """That of a group, made on demand.  May wait for the store."""
        self._hub.want(target_of(name))
        cursor = self._cursors.get(name)
        if cursor is None:
            offset, epoch = self._hub.store.position(name)
            self._hub.want(target_of(name))  # the last member may have left meanwhile
            cursor = self._cursors.setdefault(name, _Cursor(offset, epoch))
        return cursor

    def _is_in(self, name: str, connection: IConnection) -> bool:
        """Whether a connection that enters is still there."""
        links = connection.links
        return links is not None and name in links.groups and connection.number in self._hub.connections

    def _attach(self, name: str, connection: IConnection, cursor: _Cursor) -> None:
        links_of(connection).places[name] = (cursor.offset, cursor.epoch)
        self._hub.attach(target_of(name), connection)

    def place(self, name: str, connection: IConnection, entered: tuple[int, str]) -> tuple[int, str]:
        """Up to where a connection was told, which entered at that place."""
        cursor = self._cursors.get(name)
        if cursor is None or connection not in self._hub.of(target_of(name)):
            return entered
        return cursor.offset, cursor.epoch

    def go_back(self, name: str, connection: IConnection, place: tuple[int, str]) -> None:
        """Send a member what came behind a place, and go on from there.  What it was sent already comes again, with its offset.

        May wait for the store.
        """
        self.attach(name, connection, place)

    def _missed(self, name: str, cursor: _Cursor, place: tuple[int, str]) -> _Missed:
        offset, epoch = place
        if epoch == cursor.epoch and offset > cursor.offset:  # another process told its client sooner
            self._read(name, cursor)
        until = cursor.offset
        if epoch == cursor.epoch and offset <= until:
            messages = self._hub.store.since(name, offset, self._hub.groups.rules(name).history, epoch)
            found = [each for each in messages if each[0] <= until]
            if [each[0] for each in found] == list(range(offset + 1, until + 1)):
                return _Missed(until, epoch, recovered=True, messages=found)
        return _Missed(cursor.offset, cursor.epoch, recovered=False, messages=[])

    def go_on(self, name: str, connection: IConnection, missed: _Missed) -> None:
        """Send what was missed, and what came since; the connection is one of the members then.  May wait for the store."""
        offset = missed.offset
        if self._is_in(name, connection):
            self._send(name, connection, missed.messages)
        try:
            while self._is_in(name, connection):
                cursor = self._cursor(name)
                if cursor.epoch != missed.epoch:
                    break
                if cursor.offset <= offset:
                    self._attach(name, connection, cursor)
                    return
                found = [each for each in self._hub.store.since(name, offset, _BATCH, missed.epoch) if each[0] <= cursor.offset]
                if not found or found[0][0] != offset + 1:  # what was kept did not suffice
                    break
                self._send(name, connection, found)
                offset = found[-1][0]
        except Overloaded:
            log.warning("what was said in %s meanwhile cannot be read for %r", name, connection)
        if self._is_in(name, connection):
            cursor = self._cursors.setdefault(name, _Cursor(offset, missed.epoch))
            self._attach(name, connection, cursor)
            if (cursor.offset, cursor.epoch) != (offset, missed.epoch):
                _push(connection, _lost(name, cursor))

    @staticmethod
    def _send(name: str, connection: IConnection, messages: list[tuple[int, bytes]]) -> None:
        for place, (offset, message) in enumerate(messages, 1):
            outgoing, skip = _outgoing(name, offset, message)
            if connection.number not in skip:
                _push(connection, outgoing)
            elif _keeps_offsets(connection):
                _push(connection, _skipped(name, offset))
            if not place % _AT_ONCE:
                sleep(0)  # it is not one of the members yet, so nothing overtakes the rest

    def _say_where(self, name: str, cursor: _Cursor) -> None:
        log.warning("members of %s were not told all messages: its history began anew, or there were more than are kept", name)
        self._hub.of(target_of(name)).push(_lost(name, cursor))

    def forget(self, name: str) -> None:
        """Nobody of this process is in the group any more."""
        self._cursors.pop(name, None)


def _push(connection: IConnection, outgoing: Outgoing) -> None:
    framed = None if connection.dialect is None else outgoing.framed(connection.dialect)
    if framed is not None:
        connection.push(framed)


def _keeps_offsets(connection: IConnection) -> bool:
    """Whether its client has said that it may come back: others would not know what to make of an offset alone."""
    return connection.links is not None and connection.links.digest is not None


def _skipped(name: str, offset: int) -> Outgoing:
    """In place of a message that a member is not sent, so that it misses no offset."""
    return Outgoing({"group": name, "offset": offset})


def _lost(name: str, cursor: _Cursor) -> Outgoing:
    """That something was not told, and where it goes on."""
    return Outgoing(envelope({"offset": cursor.offset, "epoch": cursor.epoch, "recovered": False}, "$position", name))


def _outgoing(name: str, offset: int, message: bytes) -> tuple[Outgoing, list[int]]:
    event, data, skip = packets.decode_value(message)
    return Outgoing(envelope(data, event, name, offset)), skip
