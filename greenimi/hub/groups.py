"""Groups: who of this process is in them, their limits, and who is present across all processes."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from greenimi.errors import Overloaded, Refusal
from greenimi.green import sleep
from greenimi.hub import packets
from greenimi.hub.events import GroupJoined, GroupLeft, UserJoined, UserLeft
from greenimi.hub.links import Links, links_of
from greenimi.hub.outgoing import Outgoing, envelope
from greenimi.hub.settings import GroupSettings
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub

log = logging.getLogger("greenimi.hub")

_MOST_TOLD = 100  # users who left for good, told in one look,
_LOOKS = 100  # and so many looks at a stretch, as long as there are more
_LONGEST_NAME = 255

BACK = 10.0
"""Seconds for a client that is back to take its places again."""


class BadName(Refusal, ValueError):
    """It cannot be the name of a group or the key of a user (400)."""


class GroupFull(Refusal):
    """A group, or a connection, has as many as it may (409)."""

    status = 409


def target_of(group: str) -> str:
    return f"g:{group}"


def check_name(name: str, what: str = "a group's name") -> None:
    """Raises BadName."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise BadName(f"{what} is no text") from None
    if not 0 < size <= _LONGEST_NAME:
        raise BadName(f"{what} has 1 to {_LONGEST_NAME} bytes, not {size}")


class Groups:
    """Joins and leaves, for the connections of this process."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._kinds = hub.settings.groups
        self._plain = GroupSettings()

    def rules(self, name: str) -> GroupSettings:
        """What conf says of groups of that kind."""
        kinds = self._kinds
        if not kinds:
            return self._plain
        return kinds.get(name) or kinds.get(name.partition(":")[0]) or self._plain

    # -- coming ------------------------------------------------------------------------------------------------------
    def join(
        self, name: str, connection: IConnection, info: Any = None, *, place: tuple[int, str] | None = None, seat: str | None = None
    ) -> bool:
        """Put a connection into a group; False when it is in it, or closed.

        ``place`` (offset, epoch): where its client stopped reading the history; what came since is sent to it.  ``seat``: as whom its
        client entered before.  May wait for the store.
        Raises GroupFull over a limit, Overloaded when there are too many groups, or the store cannot tell, TypeError for an ``info``
        that has no MessagePack.
        """
        hub = self._hub
        if connection.number not in hub.connections:
            return False
        links = links_of(connection)
        if name in links.groups:
            return False
        self._check(name, links)
        rules = self.rules(name)
        encoded = packets.encode_value(info)
        member = seat or _member(links, connection)
        links.groups[name] = info
        try:
            first = self._enter(name, member, connection.number, encoded, rules)
            if rules.presence:
                links.seats[name] = member
            if first:
                hub.tell(UserJoined(name, _user_of(member), info))
            if rules.history:
                hub.histories.attach(name, connection, place)
        except BaseException as error:
            links.groups.pop(name, None)
            self._undo(name, connection, rules, entered=not isinstance(error, GroupFull))
            raise
        if name not in links.groups or connection.number not in hub.connections:  # it left while we waited
            self._undo(name, connection, rules, entered=True)
            return False
        if not rules.history:
            hub.attach(target_of(name), connection)
        hub.tell(GroupJoined(name, connection))
        if first and rules.announce:
            self._announce(name, "$join", _user_of(member), info)
        return True

    def _check(self, name: str, links: Links) -> None:
        hub = self._hub
        check_name(name)
        if len(links.groups) >= hub.settings.groups_each:
            raise GroupFull(f"a connection may be in {hub.settings.groups_each} groups, its limit")
        if not hub.has(target_of(name)) and hub.groups_count >= hub.settings.group_count:
            raise Overloaded(f"this process has {hub.settings.group_count} groups, its limit")

    def _enter(self, name: str, member: str, number: int, info: bytes, rules: GroupSettings) -> bool:
        """Whether its user was not there before, and that is to be told."""
        if not (rules.limit or rules.presence):
            return False
        entered, first = self._hub.store.enter(name, member, number, self._hub.process, info, rules.limit)
        if not entered:
            raise GroupFull(f"{name} has {rules.limit} connections, its limit")
        return first and rules.presence

    def _undo(self, name: str, connection: IConnection, rules: GroupSettings, *, entered: bool) -> None:
        """A connection did not come into a group after all."""
        self._hub.detach(target_of(name), connection)
        if entered and (rules.limit or rules.presence):
            self._hub.later.add(partial(self._give_back, name, connection, rules))

    def _give_back(self, name: str, connection: IConnection, rules: GroupSettings) -> None:
        """Its seat, unless it has entered again meanwhile."""
        if connection.number not in self._hub.connections or name not in links_of(connection).groups:
            self._leave_store(name, connection.number, rules)

    def _announce(self, name: str, event: str, user: str, info: Any) -> None:
        try:
            self._hub.push(target_of(name), Outgoing(envelope({"user": user, "info": info}, event, name)))
        except (TypeError, ValueError) as error:
            log.info("nobody in %s can be told %s: %s", name, event, error)

    # -- going -------------------------------------------------------------------------------------------------------
    def part(self, name: str, connection: IConnection) -> bool:
        """Take a connection out of a group; False when it was not in it.  May wait for the store."""
        links = connection.links
        if links is None or name not in links.groups:
            return False
        rules = self.rules(name)
        left = self._hub.store.leave(name, connection.number) if rules.limit or rules.presence else None
        if name not in links.groups or connection.number not in self._hub.connections:  # somebody else was faster
            here = False
        else:
            here = True
            del links.groups[name]
            links.places.pop(name, None)
            links.seats.pop(name, None)
            links.replayed.pop(name, None)
            self._hub.detach(target_of(name), connection)
            self._hub.tell(GroupLeft(name, connection))
        if left is not None:
            self.left(name, *left)
        return here

    def gone(self, connection: IConnection, links: Links, seconds: float) -> None:
        """A connection is closed: it leaves all its groups, as others see it after that many seconds.  Does not wait."""
        hub = self._hub
        number = connection.number
        for name in links.groups:
            hub.detach(target_of(name), connection)
            rules = self.rules(name)
            if rules.limit or rules.presence:
                hub.later.add(partial(self._leave_store, name, number, rules, seconds))
            hub.tell(GroupLeft(name, connection))

    def _leave_store(self, name: str, number: int, rules: GroupSettings, seconds: float = 0.0) -> None:
        if rules.limit or rules.presence:
            left = self._hub.store.leave(name, number, seconds)
            if left is not None:
                self.left(name, *left)

    def enter_again(self, connection: IConnection, links: Links) -> None:
        """Have the store know again in which groups it is, as far as they are not full now: it leaves those."""
        member = _member(links, connection)
        for name, info in list(links.groups.items()):
            rules = self.rules(name)
            if rules.presence:
                links.seats[name] = member
            try:
                if self._enter(name, member, connection.number, packets.encode_value(info), rules):
                    self._hub.tell(UserJoined(name, _user_of(member), info))
                    if rules.announce:
                        self._announce(name, "$join", _user_of(member), info)
            except GroupFull:
                self.part(name, connection)
            if name not in links.groups or connection.number not in self._hub.connections:  # it left meanwhile
                self._leave_store(name, connection.number, rules)

    def make_room(self, name: str, old: int) -> None:
        """The client of an old connection is about to enter again: its place may be taken, and nobody is told that it left."""
        rules = self.rules(name)
        if rules.limit or rules.presence:
            self._leave_store(name, old, rules, BACK)

    def left(self, name: str, member: str, info: bytes) -> None:
        """A user is not there any more."""
        rules = self.rules(name)
        if rules.presence:
            told = packets.decode_value(info)
            self._hub.tell(UserLeft(name, _user_of(member), told))
            if rules.announce:
                self._announce(name, "$leave", _user_of(member), told)

    def tell_expired(self) -> None:
        """Tell of those who did not come back in time.  Called now and then."""
        if any(rules.presence or rules.limit for rules in self._kinds.values()):
            for _ in range(_LOOKS):
                found = self._hub.store.expired(_MOST_TOLD)
                for group, member, info in found:
                    self.left(group, member, info)
                if len(found) < _MOST_TOLD:
                    break
                sleep(0)

    # -- who is there ------------------------------------------------------------------------------------------------
    def present(self, name: str, limit: int) -> list[tuple[str, Any, int]]:
        """User, info and number of connections, in the order in which they came.  ValueError for a group that does not keep it."""
        if not self.rules(name).presence:
            raise ValueError(f"nobody keeps who is in {name}: set presence in [hub.groups.{name.partition(':')[0]}]")
        return [
            (_user_of(member), packets.decode_value(info), connections)
            for member, info, connections in self._hub.store.present(name, limit)
        ]


def _member(links: Links, connection: IConnection) -> str:
    """The name of who enters: users and connections do not mix."""
    return f"c:{links.name or connection.id}" if links.user is None else f"u:{links.user}"


def _user_of(member: str) -> str:
    return member[2:]
