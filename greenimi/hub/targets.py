"""Whom a push is for: what ``Hub.connection``, ``user``, ``group``, ``everyone``, ``worker`` and ``workers`` give.

They are names, cheap to make, and hold nothing.  What they ask of other processes waits for those at most ``[hub] wait`` seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from greenimi.errors import ConnectionClosed, Refusal
from greenimi.green import spawn
from greenimi.hub import packets
from greenimi.hub.contexts import Context, Unreachable
from greenimi.hub.delivery import Delivery
from greenimi.hub.ids import parse, process_of
from greenimi.hub.outgoing import Outgoing, envelope
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub

Whose = IConnection | str | int
"""A connection, by itself, its id or its number."""


def number_of(connection: Whose) -> int:
    """-1 for an id that nobody can have."""
    return parse(connection) if isinstance(connection, str | int) else connection.number


class _Target:
    """What all of them can."""

    def __init__(self, hub: Hub, target: str) -> None:
        self._hub = hub
        self._target = target

    @staticmethod
    def _named(kind: str, name: str) -> str:
        """The target of a name.  Raises TypeError for what is no text."""
        if not isinstance(name, str):
            raise TypeError(f"names of users and groups are texts, not {type(name).__name__}: {name!r}")
        return f"{kind}:{name}"

    def send(self, data: Any, event: str | None = None, skip: Collection[Whose] = (), key: str | None = None) -> Delivery:
        """Queue a message for all connections that are in it now, but those in ``skip``.  At most once; order kept for who sends.

        ``data`` is encoded by the payload of each; a ``Reply`` goes as it is.  With an ``event``, ``{"event": event, "data": data}`` is
        what goes.  ``key``: see ``IConnection.push``.  Never waits for a client or another process.  Raises TypeError for data that no
        payload can tell.
        """
        return self._hub.push(self._target, Outgoing(envelope(data, event), key), [number_of(each) for each in skip])

    def close(self, code: int = 1000, reason: str = "") -> int:
        """Say goodbye to all of them; to how many."""
        hub = self._hub
        here = hub.close_all(self._target, (), code, reason)
        return here + _sum(hub.ask(self._others(), packets.Close(self._target, [], code, reason)))

    def count(self) -> int:
        """How many connections there are."""
        hub = self._hub
        return len(hub.local(self._target)) + _sum(hub.ask(self._others(), packets.Count(self._target)))

    def connections(self) -> list[str]:
        """Their ids, those of this process first."""
        hub = self._hub
        found = [each.id for each in hub.local(self._target)]
        for _, answer in hub.ask(self._others(), packets.List(self._target)):
            found += [str(number) for number in packets.decode_value(answer)]
        return found

    def _others(self) -> Sequence[int]:
        return self._hub.relay.interested(self._target)

    def _change(self, what: str, connection: Whose, name: str, info: Any = None) -> bool:
        """Have the process that has a connection change what is known of it."""
        hub = self._hub
        number = number_of(connection)
        found = hub.connections.get(number)
        if found is not None:
            return hub.change(found, what, name, info)
        process = process_of(number)
        if number < 0 or process not in hub.relay.processes():
            return False
        answers = hub.ask([process], packets.Change(what, number, name, info))
        if not answers:
            raise Unreachable(f"the process that has the connection {number} does not answer")
        done, wrong, status = packets.decode_value(answers[0][1])
        if wrong:
            raise Refusal(wrong, status=status)
        return bool(done)


class User(_Target):
    """All connections of a user, on any server of any process."""

    def __init__(self, hub: Hub, key: str) -> None:
        super().__init__(hub, self._named("u", key))
        self.key = key

    def add(self, connection: Whose) -> bool:
        """Bind a connection; it was another user's until now, perhaps.  False when it is closed, or another one has claimed the user."""
        return self._change("bind", connection, self.key)

    def claim(self, connection: Whose) -> bool:
        """Bind a connection if the user has none, and keep all others away.  Of several who do that at once, one gets True."""
        return self._change("claim", connection, self.key)

    def discard(self, connection: Whose) -> bool:
        """Let a connection be nobody's.  False when it is not this user's."""
        return self._change("free", connection, self.key)

    def __repr__(self) -> str:
        return f"<user {self.key}>"


class Group(_Target):
    """All connections in a group, of any server and process.  It is there as long as somebody is in it."""

    def __init__(self, hub: Hub, name: str) -> None:
        super().__init__(hub, self._named("g", name))
        self.name = name

    def send(self, data: Any, event: str | None = None, skip: Collection[Whose] = (), key: str | None = None) -> Delivery:
        """As for all; in a group with history it is also kept, and goes as ``{"data": data, "group": name, "offset": n}`` with the event.

        Then the order is the same for all members, whoever sends, and it may wait for the store.
        """
        hub = self._hub
        if hub.groups.rules(self.name).history:
            return hub.histories.send(self.name, data, event, [number_of(each) for each in skip])
        return super().send(data, event, skip, key)

    def add(self, connection: Whose, info: Any = None) -> bool:
        """Put a connection in.  False when it is in it already, or closed.  ``info`` is what others are told of it, where that is kept.

        Raises GroupFull (409) over a limit; Refusal with its status from another process.
        """
        return self._change("join", connection, self.name, info)

    def discard(self, connection: Whose) -> bool:
        """Take a connection out.  False when it was not in it."""
        return self._change("part", connection, self.name)

    def request(self, data: Mapping[str, Any], timeout: float = 10.0) -> dict[str, Any]:
        """Ask all members at the same time: what each replied, by its id, or the exception that ``IConnection.request`` raises for it.

        Blocks the calling greenlet until the last has replied, or its time is over.
        """
        asked = {each: spawn(self._ask, each, data, timeout) for each in self.connections()}
        return {each: greenlet.get() for each, greenlet in asked.items()}

    def _ask(self, connection: str, data: Mapping[str, Any], timeout: float) -> Any:
        try:
            return self._hub.requests.ask(number_of(connection), data, timeout)
        except Exception as error:
            return error

    def members(self) -> list[str]:
        """The ids of the connections in it."""
        return self.connections()

    def present(self, limit: int = 1000) -> list[tuple[str, Any, int]]:
        """Who is in it: user, info and number of connections, in the order in which they came.  ValueError without ``presence``."""
        return self._hub.groups.present(self.name, limit)

    def history(self, offset: int | None = None, limit: int = 100) -> list[tuple[int, Any]]:
        """Offset and data of messages that are kept, in order: those behind ``offset``, or the last ones, ``limit`` of them at most.

        May wait for the store.  ValueError for a group that keeps none.
        """
        store = self._hub.store
        if not self._hub.groups.rules(self.name).history:
            raise ValueError(f"nobody keeps what is said in {self.name}: set history in [hub.groups.{self.name.partition(':')[0]}]")
        begin = max(0, store.position(self.name)[0] - limit) if offset is None else offset
        found = store.since(self.name, begin, limit)
        return [(number, packets.decode_value(message)[1]) for number, message in found]

    def __contains__(self, connection: IConnection) -> bool:
        """Whether a connection of this process is in it."""
        links = connection.links
        return links is not None and self.name in links.groups and connection.number in self._hub.connections

    def __repr__(self) -> str:
        return f"<group {self.name}>"


class Everyone(_Target):
    """All connections that messages are spoken on, or those of one server."""

    def __init__(self, hub: Hub, server: str | None) -> None:
        super().__init__(hub, "*" if server is None else f"s:{server}")

    def send(self, data: Any, event: str | None = None, skip: Collection[Whose] = (), key: str | None = None) -> Delivery:
        if self._target != "*":
            return super().send(data, event, skip, key)
        return self._hub.push_to_everyone(Outgoing(envelope(data, event), key), [number_of(each) for each in skip])

    def _others(self) -> Sequence[int]:
        return self._hub.relay.processes() if self._target == "*" else super()._others()


class OneConnection:
    """One connection, wherever it is."""

    def __init__(self, hub: Hub, connection: Whose) -> None:
        self._hub = hub
        self.number = number_of(connection)

    @property
    def id(self) -> str:
        return str(self.number)

    def send(self, data: Any, event: str | None = None, skip: Collection[Whose] = (), key: str | None = None) -> Delivery:
        """Queue a message for it, as for others.  Nothing is delivered when it is closed, or nobody's."""
        if self.number in [number_of(each) for each in skip]:
            return Delivery()
        return self._hub.push_to([self.number], Outgoing(envelope(data, event), key))

    def request(self, data: Mapping[str, Any], timeout: float = 10.0) -> Any:
        """Ask its client, and wait for the result of the reply: see ``IConnection.request`` for what it raises.

        Unreachable when the process that has the connection does not answer.
        """
        return self._hub.requests.ask(self.number, data, timeout)

    def close(self, code: int = 1000, reason: str = "") -> int:
        """Say goodbye to it; 1, or 0 when it is not there."""
        hub = self._hub
        if self.number in hub.connections:
            return hub.close_all("", [self.number], code, reason)
        return _sum(hub.ask(self._owner(), packets.Close("", [self.number], code, reason)))

    def count(self) -> int:
        """1 when it is there, else 0."""
        return len(self.connections())

    def connections(self) -> list[str]:
        """Its id, when it is there."""
        return [self.id] if self.exists() else []

    def exists(self) -> bool:
        """Whether some process has it, and it is not closing."""
        try:
            return bool(self._ask("open"))
        except (ConnectionClosed, Unreachable):
            return False

    @property
    def context(self) -> Context:
        """Its data."""
        return Context(self._hub, self.number)

    def user(self) -> str | None:
        """Whom it is bound to.  ConnectionClosed when nobody has it."""
        return self._ask("user")  # type: ignore[no-any-return]

    def groups(self) -> list[str]:
        """The names of its groups.  ConnectionClosed when nobody has it."""
        return list(self._ask("groups"))

    def _ask(self, what: str) -> Any:
        return Context(self._hub, self.number).ask_links(what)

    def _owner(self) -> list[int]:
        process = process_of(self.number)
        return [process] if self.number >= 0 and process in self._hub.relay.processes() else []

    def __repr__(self) -> str:
        return f"<connection {self.number}>"


class Worker:
    """One process of the cluster."""

    def __init__(self, hub: Hub, process: int) -> None:
        self._hub = hub
        self.process = process

    def send(self, action: str, data: Any = None) -> Delivery:
        """Tell it something: listeners of ``worker.ACTION`` hear it there.  At most once.  ``delivered`` is 1 when it has it."""
        return _say(self._hub, [self.process], action, data)

    def __repr__(self) -> str:
        return f"<worker {self.process}>"


class Workers:
    """All processes of the cluster."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __iter__(self) -> Any:
        hub = self._hub
        return iter([Worker(hub, process) for process in (hub.process, *hub.relay.processes())])

    def __len__(self) -> int:
        return 1 + len(self._hub.relay.processes())

    def send(self, action: str, data: Any = None) -> Delivery:
        """Tell all of them something, this one too: listeners of ``worker.ACTION`` hear it.  At most once."""
        return _say(self._hub, [self._hub.process, *self._hub.relay.processes()], action, data)


def _say(hub: Hub, processes: Sequence[int], action: str, data: Any) -> Delivery:
    encoded = packets.encode_value(data)
    others = [process for process in processes if process != hub.process]
    here = len(processes) - len(others)
    if here:
        hub.say(action, packets.decode_value(encoded))  # a copy, as everywhere
    if not others:
        return Delivery(here)
    return Delivery(here, hub.relay.call(others, packets.encode(packets.Say(action, encoded))), hub.settings.wait)


def _sum(answers: Sequence[tuple[int, bytes]]) -> int:
    return sum(int.from_bytes(answer, "big") for _, answer in answers)
