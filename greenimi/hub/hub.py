"""The Hub: any code, in any process, reaches any connection.

Each process has one, with the connections that it holds.  Hubs tell each other through a relay only what they hold members of, so a push
goes where somebody is for whom it is meant.  What they have to agree on, and what outlives a process, is in a store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextvars import Context
from typing import Any

from greenimi.container.service import Tier
from greenimi.errors import GreenimiError, Overloaded
from greenimi.event import Events
from greenimi.green import Event, is_of_this_thread, spawn
from greenimi.hub import packets, users
from greenimi.hub.contexts import Contexts
from greenimi.hub.delivery import Delivery
from greenimi.hub.groups import Groups, target_of
from greenimi.hub.histories import Histories
from greenimi.hub.ids import process_of
from greenimi.hub.keeping import Keeping
from greenimi.hub.later import Later
from greenimi.hub.links import Links, links_of
from greenimi.hub.members import Members
from greenimi.hub.memory_store import MemoryStore
from greenimi.hub.outgoing import Outgoing
from greenimi.hub.relay import NoRelay
from greenimi.hub.requests import Requests
from greenimi.hub.run_folder import folder_of
from greenimi.hub.settings import HubSettings
from greenimi.hub.targets import Everyone, Group, OneConnection, User, Worker, Workers
from greenimi.interfaces import IConnection, IHubStore, IPayload, IRelay

log = logging.getLogger("greenimi.hub")

_ALIVE = 10.0  # seconds that the store believes a process to be there without hearing of it
_BEAT = 1.0  # seconds between two looks at what changes by itself
_LEAVE = 5.0  # seconds at most for what has to be stored when a process ends

_MOST_EVENTS = 100_000
"""Events that may wait for slow listeners."""

_MOST_CHANGES = 10_000
"""Changes that other processes ask for and that may wait; they take further ones for not done."""

_NOBODY = Members()


def server_target(name: str) -> str:
    return f"s:{name}"


class Hub:
    """A service.  Applications take their way in by ``connection``, ``user``, ``group``, ``everyone``, ``worker`` and ``workers``.

    connections  those of this process that messages are spoken on, by number
    payloads     what messages are encoded by here, by name
    servers      the names of those in conf; empty: it is not known
    drivers      gives the relay and the store that are used from the start on
    """

    tier = Tier.WORK

    def __init__(
        self,
        settings: HubSettings | None = None,
        events: Events | None = None,
        relay: IRelay | None = None,
        store: IHubStore | None = None,
    ) -> None:
        self.settings = settings = settings or HubSettings()
        self.events = events or Events()
        self.relay: IRelay = relay or NoRelay(settings)
        self.store: IHubStore = store or MemoryStore()
        self.drivers: Callable[[], tuple[IRelay, IHubStore]] = lambda: (self.relay, self.store)
        self.connections: dict[int, IConnection] = {}
        self.payloads: dict[str, IPayload] = {}
        self.servers: list[str] = []
        self.later = Later()
        self._changes = Later(_MOST_CHANGES)  # that others ask for
        self._told = Later(_MOST_EVENTS)
        self.groups = Groups(self)
        self.users = users.Users(self)
        self.histories = Histories(self)
        self.contexts = Contexts(self)
        self.keeping = Keeping(self)
        self.requests = Requests(self)
        self._targets: dict[str, Members] = {}
        self._counts = {"g": 0, "s": 0, "u": 0}  # of targets, by kind
        self._wanted: set[str] = set()  # what others were told that we want
        self._pulse: Any = None
        self._ending = Event()

    @property
    def process(self) -> int:
        """The number of this process in the cluster."""
        return self.relay.process

    # -- for applications --------------------------------------------------------------------------------------------
    def connection(self, connection: IConnection | str | int) -> OneConnection:
        """One connection of any process, by its id, by its number, or itself."""
        return OneConnection(self, connection)

    def user(self, key: str) -> User:
        """All connections of a user."""
        return User(self, key)

    def group(self, name: str) -> Group:
        """All connections in a group."""
        return Group(self, name)

    def everyone(self, server: str | None = None) -> Everyone:
        """All connections that messages are spoken on; those of one server, by its name in conf: LookupError without such a server."""
        if server is not None and self.servers and server not in self.servers:
            raise LookupError(f"there is no server {server!r}; servers in conf: {', '.join(self.servers)}")
        return Everyone(self, server)

    def worker(self, process: int) -> Worker:
        """One process of the cluster."""
        return Worker(self, process)

    @property
    def workers(self) -> Workers:
        """All processes of the cluster, this one too."""
        return Workers(self)

    def restore(self, connection: IConnection, token: str) -> bool:
        """See ``Keeping.restore``.  For clients with a protocol of their own; greenimi.js and its like say ``$hello``."""
        restored = self.keeping.restore(connection, token)
        self.keeping.send_missed(connection)
        return restored

    def token(self, connection: IConnection) -> str:
        """See ``Keeping.token``."""
        return self.keeping.token(connection)

    # -- for servers -------------------------------------------------------------------------------------------------
    def add(self, connection: IConnection) -> None:
        """A connection of this process speaks messages from now on."""
        self.connections[connection.number] = connection
        self.attach(server_target(connection.server.name), connection)

    def identified(self, connection: IConnection) -> None:
        """It is known whose it is, perhaps.  May wait for the store."""
        identity = connection.identity
        links: Links | None = connection.links
        if identity is None:
            if links is not None and links.user is not None and links.user == links.identity:  # it was bound by that
                self.users.free(connection)
            return
        links_of(connection).identity = identity.id
        if not self.users.bind(identity.id, connection):
            log.info("%r is not bound to its user: another connection has claimed him, or it is closed", connection)

    def gone(self, connection: IConnection, seconds: float | None = None) -> None:
        """It is closed.  Does not wait; does nothing for one that is not here.

        ``seconds``: for how long its places are kept, when its client has its record already.
        """
        if self.connections.pop(connection.number, None) is None:
            return
        self.detach(server_target(connection.server.name), connection)
        links: Links | None = connection.links
        if links is not None:
            kept = self.keeping.gone(connection, links)
            seconds = kept if seconds is None else seconds
            self.groups.gone(connection, links, seconds)
            self.users.gone(connection, links, seconds)
            self.contexts.gone(connection)

    # -- targets -----------------------------------------------------------------------------------------------------
    @property
    def groups_count(self) -> int:
        """Groups that have members in this process."""
        return self._counts["g"]

    def has(self, target: str) -> bool:
        """Whether somebody of this process is in it."""
        return target in self._targets

    def of(self, target: str) -> Members:
        """The members of this process; not to be changed."""
        return self._targets.get(target, _NOBODY)

    def want(self, target: str) -> None:
        """Tell the others that there will be members here."""
        if target not in self._wanted:
            self._wanted.add(target)
            self.relay.interest(target, here=True)

    def attach(self, target: str, connection: IConnection) -> None:
        members = self._targets.get(target)
        if members is None:
            members = self._targets[target] = Members()
            self._counts[target[0]] += 1
            self.want(target)
        members.add(connection)

    def detach(self, target: str, connection: IConnection) -> None:
        members = self._targets.get(target)
        if members is not None:
            members.discard(connection)
            if members:
                return
            del self._targets[target]
            self._counts[target[0]] -= 1
        if target in self._wanted:
            self._wanted.discard(target)
            self.relay.interest(target, here=False)
            if target.startswith("g:"):
                self.histories.forget(target[2:])

    def numbers(self) -> dict[str, float]:
        """For the metrics."""
        counts = self._counts
        return {
            "connections": len(self.connections),
            "groups": counts["g"],
            "users": counts["u"],
            "processes": len(self.relay.processes()),
            "pending": len(self.later),
            "kept_total": self.keeping.kept_count,
            "restored_total": self.keeping.restored_count,
            "dropped_total": self.relay.dropped,
        }

    @property
    def meets(self) -> bool:
        """Whether there may be other processes."""
        return self.settings.relay not in ("auto", "none") or folder_of(self.settings) is not None

    # -- pushing -----------------------------------------------------------------------------------------------------
    def push(self, target: str, message: Outgoing, skip: Collection[int] = ()) -> Delivery:
        """Queue a message for the members of a target, here and elsewhere.  Never waits.  Raises TypeError when nobody could be told it."""
        members = self._targets.get(target)
        here = 0 if members is None else members.push(message, skip)
        others = self.relay.interested(target)
        if others:
            return self._publish(others, target, (), message, skip, here)
        if message.error is not None and not here:
            raise message.error
        return Delivery(here)

    def push_to(self, numbers: Iterable[int], message: Outgoing) -> Delivery:
        """The same for connections by number."""
        here = 0
        elsewhere: dict[int, list[int]] = {}
        for number in numbers:
            connection = self.connections.get(number)
            if connection is not None:
                framed = None if connection.dialect is None else message.framed(connection.dialect)
                here += framed is not None and connection.push(framed, message.key)
            elif process_of(number) != self.process:
                elsewhere.setdefault(process_of(number), []).append(number)
        if message.error is not None and not here:
            raise message.error
        deliveries = [self._publish([process], "", found, message, (), 0) for process, found in elsewhere.items()]
        return Delivery.joined(here, deliveries)

    def _publish(
        self, processes: Sequence[int], target: str, numbers: Sequence[int], message: Outgoing, skip: Collection[int], here: int
    ) -> Delivery:
        raw = message.raw
        bodies = {} if raw is not None or not self.payloads else message.bodies(self.payloads.values())
        value = message.value() if raw is None and not self.payloads else None
        text = isinstance(raw, str)
        packet = packets.encode(
            packets.Push(target, list(numbers), bodies, value, raw.encode() if isinstance(raw, str) else raw, text, list(skip), message.key)
        )
        return Delivery(here, self.relay.call(processes, packet), self.settings.wait)

    def ask(self, processes: Sequence[int], packet: Any) -> Sequence[tuple[int, bytes]]:
        """What other processes answer to a packet, those that do in time.  Blocks the calling greenlet."""
        if not processes:
            return ()
        return self.relay.call(processes, packets.encode(packet)).wait(self.settings.wait)

    def close_all(self, target: str, numbers: Collection[int], code: int, reason: str) -> int:
        """Say goodbye to the members of this process, or to those connections; to how many."""
        found = [self.connections[number] for number in numbers if number in self.connections] if numbers else self.local(target)
        for connection in found:
            connection.close(code, reason)
        return len(found)

    def local(self, target: str) -> Sequence[IConnection]:
        """The members of this process; ``*`` are all connections."""
        return list(self.connections.values()) if target == "*" else list(self.of(target))

    # -- from other processes: IRelayReceiver, in the hub of gevent ----------------------------------------------------
    def told(self, packet: bytes, sender: int) -> None:
        self.called(packet, sender, lambda answer: None)

    def called(self, packet: bytes, sender: int, answer: Callable[[bytes], None]) -> None:
        try:
            found = packets.decode(packet)
        except ValueError:
            log.warning("the process %d sent something that is no packet", sender)
            return
        if type(found) is packets.Push:
            answer(packets.number(self._take(found)))
        elif type(found) is packets.News:
            self.histories.news(found.group, found.offset, found.epoch, found.message)
            answer(packets.number(len(self.of(target_of(found.group)))))
        elif type(found) is packets.Count:
            answer(packets.number(len(self.local(found.target))))
        elif type(found) is packets.List:
            answer(packets.encode_value([each.number for each in self.local(found.target)]))
        elif type(found) is packets.Close:
            answer(packets.number(self.close_all(found.target, found.numbers, found.code, found.reason)))
        elif type(found) is packets.Shared:
            self.contexts.called(found, sender, answer)
        elif type(found) is packets.Request:
            self.requests.called(found, answer)
        elif type(found) is packets.Surrender:
            self.keeping.surrender(found.number, found.digest, answer)
        elif type(found) is packets.Change:
            self._changes.add(lambda: answer(self._change(found)))
        elif type(found) is packets.Say:
            answer(packets.number(1))
            self.say(found.action, packets.decode_value(found.data))

    def _take(self, push: packets.Push) -> int:
        message = push.outgoing(self.payloads)
        if push.numbers:
            members = Members()
            for number in push.numbers:
                if number in self.connections:
                    members.add(self.connections[number])
            return members.push(message, push.skip)
        if push.target == "*":
            return sum(self.of(target).push(message, push.skip) for target in self._servers())
        return self.of(push.target).push(message, push.skip)

    def _servers(self) -> list[str]:
        return [target for target in self._targets if target.startswith("s:")]

    def _change(self, change: packets.Change) -> bytes:
        """[done, what was wrong, its HTTP status]"""
        try:
            connection = self.connections.get(change.number)
            done = connection is not None and self.change(connection, change.what, change.name, change.info)
        except GreenimiError as error:
            return packets.encode_value([False, error.text, error.status])
        except (TypeError, ValueError) as error:
            return packets.encode_value([False, str(error), 400])
        return packets.encode_value([done, "", 0])

    def change(self, connection: IConnection, what: str, name: str, info: Any = None) -> bool:
        """See ``packets.Change``.  May wait for the store."""
        if what == "join":
            return self.groups.join(name, connection, info)
        if what == "part":
            return self.groups.part(name, connection)
        if what == "bind":
            return self.users.bind(name, connection)
        if what == "claim":
            return self.users.claim(name, connection)
        links = connection.links
        return links is not None and links.user == name and self.users.free(connection)

    def say(self, action: str, data: Any) -> None:
        """Tell the listeners of this process, in a greenlet of their own that has none of the caller's context."""
        Context().run(spawn, self._emit, f"worker.{action}", data)

    def _emit(self, name: str, data: Any) -> None:
        try:
            self.events.emit(name, data=data)
        except Exception:
            log.exception("a listener of %s failed", name)

    def tell(self, event: object) -> None:
        """Tell listeners of this process what happened, soon, one event after the other: they hold up and break nothing else.

        Where they are so slow that more wait than may, further ones are not told.
        """
        self._told.add(lambda: self.events.emit(event))

    def push_to_everyone(self, message: Outgoing, skip: Collection[int]) -> Delivery:
        here = sum(self.of(target).push(message, skip) for target in self._servers())
        others = self.relay.processes()
        if others:
            return self._publish(others, "*", (), message, skip, here)
        if message.error is not None and not here:
            raise message.error
        return Delivery(here)

    def joined(self, process: int) -> None:
        log.debug("process %d is there", process)

    def lost(self, process: int) -> None:
        log.debug("process %d is gone", process)
        self.contexts.lost(process)
        if not self.relay.lives(process):  # else its time in the store runs out, when it does not come back
            self.later.add(lambda: self._bury(process))

    def _bury(self, process: int) -> None:
        for group, member, info in self.store.bury(process):
            self.groups.left(group, member, info)

    # -- service -----------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Join the others."""
        self.relay, self.store = self.drivers()
        self.relay.start(self)
        self.store.alive(self.process, _ALIVE)
        self._ending.clear()
        self._pulse = spawn(self._beat)

    def drain(self) -> None:
        """Nothing: connections end one by one, and what they leave is kept."""

    def stop(self) -> None:
        """Store what is left to be stored, and leave the others."""
        pulse, self._pulse = self._pulse, None
        if pulse is not None and is_of_this_thread(pulse):  # else that thread and its greenlets are gone
            self._ending.set()
            pulse.join(_LEAVE)
            if not self.later.wait(_LEAVE):
                log.warning("%d things could not be stored in time", len(self.later))
            self._told.wait(_LEAVE)
            self.relay.stop()
        self.store.close()

    def _enter_again(self) -> None:
        """The store may have given up this process: say anew who is here."""
        for connection in list(self.connections.values()):
            if connection.links is not None:
                self.users.claim_again(connection, connection.links)
                self.groups.enter_again(connection, connection.links)

    def _beat(self) -> None:
        turn = 0
        while not self._ending.wait(_BEAT):
            turn += 1
            try:
                if not turn % 3 and not self.store.alive(self.process, _ALIVE):
                    log.warning("the others took this process for gone: it stood still, or nobody heard of it")
                    self.later.add(self._enter_again)
                self.keeping.close_expired()
                self.histories.look_again()
                self.groups.tell_expired()
                if not turn % 3:
                    self.store.collect(1000)
            except Overloaded as error:
                log.warning("%s", error.text)
            except Exception:
                log.exception("the store cannot be used")
