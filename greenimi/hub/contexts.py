"""The data of connections, from any process: what is asked of another one is done by the process that has the connection."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from greenimi.errors import ConnectionClosed, GreenimiError
from greenimi.green import Event, Semaphore, Timeout, spawn
from greenimi.hub import packets
from greenimi.hub.ids import process_of
from greenimi.hub.links import links_of
from greenimi.interfaces import IConnection

if TYPE_CHECKING:
    from greenimi.hub.hub import Hub

_LONGEST_USE = 10.0
"""Seconds after which the data are free for others, though another process did not say that it is done with them."""

_ABSENT: Any = object()


class Unreachable(GreenimiError):
    """Another process did not answer in time."""

    status = 503


class Context:
    """The data of one connection.  Where that is another process's, values must have a MessagePack and are copies, and each call waits for
    it, at most ``[hub] wait`` seconds: Unreachable after that.  ConnectionClosed when nobody has the connection.
    """

    def __init__(self, hub: Hub, number: int) -> None:
        self._hub = hub
        self._number = number

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a name; ``default`` without one."""
        found = self._ask("get", name)
        return found[0] if found else default

    def all(self) -> dict[str, Any]:
        """A copy of everything."""
        return cast("dict[str, Any]", self._ask("all"))

    def set(self, name: str, value: Any) -> None:
        """Wakes who waits for it."""
        self._ask("update", value={name: value})

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several at once."""
        self._ask("update", value=dict(values))

    def unset(self, name: str) -> bool:
        """False without such a value."""
        return bool(self._ask("unset", name))

    def remember(self, name: str, make: Callable[[], Any]) -> Any:
        """The value of a name; made and set when there is none.  Of several who do that at once one's is set, and all get it."""
        found = self._ask("get", name)
        return found[0] if found else self._ask("default", name, make())

    def wait(self, name: str, seconds: float) -> Any:
        """The value of a name, as soon as somebody set it here; TimeoutError after that many seconds.

        What is written to ``connection.data`` directly wakes nobody.
        """
        connection = self._hub.connections.get(self._number)
        if connection is not None:
            return _wait(self._hub, connection, name, seconds)
        while True:
            found = self._ask("wait", name, min(seconds, _LONGEST_USE), longer=min(seconds, _LONGEST_USE))
            if found:
                return found[0]
            seconds -= _LONGEST_USE
            if seconds <= 0:
                raise TimeoutError(f"nobody set {name} in time")

    @contextmanager
    def use(self) -> Iterator[dict[str, Any]]:
        """The data for a block that nobody else can use meanwhile; what it changes is kept, unless it raises where it was a copy."""
        connection = self._hub.connections.get(self._number)
        if connection is not None:
            with _lock(connection):
                yield connection.data
                _tell(connection)
            return
        use = secrets.token_hex(8)
        try:
            data = cast("dict[str, Any]", self._ask("lock", use, longer=_LONGEST_USE))
            before = {name: packets.encode_value(value) for name, value in data.items()}
            yield data
            after = {name: packets.encode_value(value) for name, value in data.items()}
            changed = {name: data[name] for name, encoded in after.items() if before.get(name) != encoded}
            done = self._ask("unlock", use, [changed, list(before.keys() - after.keys())])
        except BaseException:
            packet = packets.Shared(self._number, "give up", use, None)
            self._hub.relay.tell([process_of(self._number)], packets.encode(packet))
            raise
        if not done:
            raise Unreachable("the data were in use for too long, others have them now: nothing was changed")

    def ask_links(self, what: str) -> Any:
        """The ``user`` or the ``groups`` of the connection, or whether it is ``open``."""
        return self._ask(what)

    def _ask(self, operation: str, name: str = "", value: Any = None, *, longer: float = 0.0) -> Any:
        hub = self._hub
        connection = hub.connections.get(self._number)
        if connection is not None:
            return operate(connection, operation, name, value)
        process = process_of(self._number)
        packet = packets.encode(packets.Shared(self._number, operation, name, value))
        calls = hub.relay.call([process], packet)
        answers = calls.wait(hub.settings.wait + longer) if calls.number else ()
        for _, answer in answers:
            found, result, wrong = packets.decode_value(answer)
            if wrong:
                raise TypeError(wrong)
            if found:
                return result
        if calls.number and not answers:
            raise Unreachable(f"the process that has the connection {self._number} does not answer")
        raise ConnectionClosed(f"there is no connection {self._number}")


def operate(connection: IConnection, operation: str, name: str, value: Any) -> Any:
    """What needs no waiting."""
    data = connection.data
    if operation == "get":
        found = data.get(name, _ABSENT)
        return [] if found is _ABSENT else [found]
    if operation == "all":
        return dict(data)
    if operation == "unset":
        return data.pop(name, _ABSENT) is not _ABSENT
    if operation == "default":
        result = data.setdefault(name, value)
        _tell(connection)
        return result
    if operation == "open":
        return connection.is_open
    if operation == "user":
        return None if connection.links is None else connection.links.user
    if operation == "groups":
        return [] if connection.links is None else list(connection.links.groups)
    if operation == "update":
        data.update(value)
        _tell(connection)
        return True
    raise ValueError(f"there is no operation {operation!r}")


def _tell(connection: IConnection) -> None:
    links = connection.links
    if links is not None and links.changed is not None:
        links.changed.set()


def _lock(connection: IConnection) -> Semaphore:
    links = links_of(connection)
    if links.lock is None:
        links.lock = Semaphore()
    return links.lock


def _wait(hub: Hub, connection: IConnection, name: str, seconds: float) -> Any:
    links = links_of(connection)
    with Timeout(seconds, TimeoutError(f"nobody set {name} within {seconds} seconds")):
        while name not in connection.data:
            if connection.number not in hub.connections:
                raise ConnectionClosed(f"the connection {connection.number} was closed")
            if links.changed is None:
                links.changed = Event()
            links.changed.clear()
            links.changed.wait()
    return connection.data[name]


class _Use:
    """The data of a connection are in use by a process, or will be when others are done."""

    __slots__ = ("done", "process")

    def __init__(self, process: int) -> None:
        self.process = process
        self.done = Event()


class Contexts:
    """Does what other processes ask."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._uses: dict[tuple[int, str], _Use] = {}  # by process, and its own name for it

    def called(self, packet: packets.Shared, sender: int, answer: Callable[[bytes], None]) -> None:
        """In the hub; what waits does so in a greenlet."""
        connection = self._hub.connections.get(packet.number)
        if connection is None:
            _answer(answer, None, found=False)
        elif packet.operation == "lock":
            use = self._uses[sender, packet.name] = _Use(sender)
            spawn(self._use, connection, use, (sender, packet.name), answer)
        elif packet.operation == "unlock":
            _answer(answer, self._used(connection, self._uses.get((sender, packet.name)), packet.value))
        elif packet.operation == "give up":
            self._give_up(self._uses.get((sender, packet.name)))
        elif packet.operation == "wait":
            spawn(self._wait, connection, packet.name, packet.value, answer)
        else:
            _answer(answer, operate(connection, packet.operation, packet.name, packet.value))

    def _use(self, connection: IConnection, use: _Use, place: tuple[int, str], answer: Callable[[bytes], None]) -> None:
        try:
            with _lock(connection):
                if not use.done.is_set() and _answer(answer, dict(connection.data)):
                    use.done.wait(_LONGEST_USE)
        finally:
            del self._uses[place]

    def _used(self, connection: IConnection, use: _Use | None, made: list[Any]) -> bool:
        """Take over what a process changed in the data.  False: its time is over."""
        if use is None or use.done.is_set():
            return False
        changed, removed = made
        for name in removed:
            connection.data.pop(name, None)
        connection.data.update(changed)
        _tell(connection)
        use.done.set()
        return True

    def _give_up(self, use: _Use | None) -> None:
        if use is not None:
            use.done.set()

    def lost(self, process: int) -> None:
        """A process is gone: what it used is free."""
        for use in self._uses.values():
            if use.process == process:
                use.done.set()

    def _wait(self, connection: IConnection, name: str, seconds: float, answer: Callable[[bytes], None]) -> None:
        try:
            _answer(answer, [_wait(self._hub, connection, name, seconds)])
        except TimeoutError:
            _answer(answer, [])
        except ConnectionClosed:
            _answer(answer, None, found=False)

    def gone(self, connection: IConnection) -> None:
        """Wake who waits for what it would have said."""
        _tell(connection)


def _answer(answer: Callable[[bytes], None], result: Any, *, found: bool = True) -> bool:
    """False: the result cannot be told."""
    try:
        told = packets.encode_value([found, result, ""])
    except packets.UNTELLABLE as error:
        answer(packets.encode_value([True, None, f"it cannot leave its process: {error}"]))
        return False
    answer(told)
    return True
