"""The listening sockets of an application: opened once in the master, inherited by every worker and by the master of an upgrade.

What waits in the kernel (connections not accepted yet, datagrams not read yet) belongs to the socket, so it is lost only when the last
process that holds the socket closes it.  The master holds all of them all the time; a change of conf closes only what is gone from it.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from greenimi.errors import ConfigError, PortInUse, StartError
from greenimi.servers.configured import permissions
from greenimi.servers.master.systemd import listen_fds
from greenimi.servers.settings import ServerSettings
from greenimi.servers.sockets import Address, open_slots, open_stream

HANDED_OVER = "GREENIMI_LISTENERS"
"""Environment variable by which the master of an upgrade finds the sockets of the one before."""


@dataclass(frozen=True, eq=False)
class Listener:
    """One socket of one server; a UDP server has one for each of its slots.  Gunicorn takes it for one of its own where it needs to.

    ``owned``: the file of a Unix socket is ours to remove; that of a socket that systemd opened is not.
    """

    server: str
    kind: str
    asked: Address
    slot: int
    sock: socket.socket
    owned: bool = True

    @property
    def address(self) -> Address:
        """Where it is bound; ``asked`` may have left the port open."""
        return Address.of(self.sock)

    def fileno(self) -> int:
        return self.sock.fileno()

    def getsockname(self) -> object:
        """As Gunicorn asks for it, which removes the files of the Unix sockets that it is told of."""
        return self.sock.getsockname() if self.owned else ("", 0)

    def get_backlog(self) -> None:
        """Gunicorn's metric of connections that wait; not told."""

    def close(self) -> None:
        self.sock.close()

    def remove(self) -> None:
        """Close for good: the file of a Unix socket goes as well."""
        path = self.address.host if self.sock.family == socket.AF_UNIX and self.owned else ""
        self.sock.close()
        if path:
            Path(path).unlink(missing_ok=True)

    def give(self, user: int, group: int) -> None:
        """Have the file of a Unix socket belong to them.  Raises ConfigError when this process may not."""
        if self.sock.family == socket.AF_UNIX and self.owned:
            try:
                os.chown(self.address.host, user, group)
            except OSError as error:
                raise ConfigError(f"{self.address} cannot be given to user {user}, group {group}: {error.strerror}") from None

    def __str__(self) -> str:
        return f"{self.kind}://{self.address}"


@dataclass(frozen=True)
class Change:
    """What :meth:`Listeners.update` did: it can be undone as long as ``gone`` is not closed."""

    before: list[Listener]
    opened: list[Listener]
    gone: list[Listener]


class Listeners:
    """All of them.  Used by the master; a worker gets its copy by fork."""

    def __init__(self) -> None:
        self.open: list[Listener] = []
        self._spare: list[Listener] = []  # handed over, by name or address still to be found in conf

    def __iter__(self) -> Iterator[Listener]:
        return iter(self.open)

    def of(self, server: str) -> list[Listener]:
        """Those of one server, in the order of their slots."""
        return [found for found in self.open if found.server == server]

    def addresses(self) -> list[Listener]:
        """One for each address: of the slots the first."""
        return [found for found in self.open if not found.slot]

    # -- from another process ----------------------------------------------------------------------------------------
    def adopt(self, environ: MutableMapping[str, str]) -> None:
        """Take over what the master before (an upgrade) or systemd (socket activation) hands to this process."""
        text = environ.pop(HANDED_OVER, "")
        if text and environ.get("GUNICORN_PID") == str(os.getppid()):  # else it was meant for a process above us
            for server, kind, asked, slot, fd, owned in json.loads(text):
                self._spare.append(Listener(server, kind, Address.parse(asked), slot, _socket_of(fd), owned))
        for fd, name in listen_fds(environ, os.getpid()):
            sock = _socket_of(fd)
            self._spare.append(Listener(name, _kind_of(sock), Address.of(sock), 0, sock, owned=False))

    def hand_over(self) -> str:
        """The text for :data:`HANDED_OVER`; the descriptors stay the same through ``exec``."""
        return json.dumps([[one.server, one.kind, str(one.asked), one.slot, one.fileno(), one.owned] for one in self.open])

    # -- conf --------------------------------------------------------------------------------------------------------
    def update(self, servers: Mapping[str, ServerSettings], workers: int) -> Change:
        """Have what conf wants now: what is open already stays, the rest is opened.  Nothing is closed.

        ``workers`` decides how many slots a UDP server gets that has not said so.  The slots of an address never change as long as it is
        open, because the kernel would then send the datagrams of its clients to others.
        Raises ConfigError or PortInUse, and leaves everything as it was.
        """
        before = self.open
        left = [*before, *self._spare]
        now: list[Listener] = []
        opened: list[Listener] = []
        try:
            for name, settings in servers.items():
                asked = Address.parse(settings.bind).resolved()
                kept = _take(left, name, settings.kind, asked)
                if kept:
                    now += [Listener(name, settings.kind, asked, one.slot, one.sock, one.owned) for one in kept]
                    continue
                _must_not_overlap(settings.kind, asked, before)
                for slot, sock in enumerate(_open(settings, asked, workers)):
                    opened.append(Listener(name, settings.kind, asked, slot, sock))
                    now.append(opened[-1])
        except BaseException:
            for listener in opened:
                listener.remove()
            raise
        for spare in self._spare:
            if spare in left:
                spare.remove()
        self._spare = []
        self.open = now
        return Change(before, opened, [listener for listener in left if listener in before])

    def undo(self, change: Change) -> None:
        """As before ``change``."""
        for listener in change.opened:
            listener.remove()
        self.open = change.before


def _open(settings: ServerSettings, asked: Address, workers: int) -> Sequence[socket.socket]:
    if settings.kind == "udp":
        return open_slots(asked, settings.slots or (1 if workers == 1 else 4 * workers))
    return [open_stream(asked, permissions(settings.mode))]


def _take(left: list[Listener], name: str, kind: str, asked: Address) -> list[Listener]:
    """Remove from ``left`` and give what serves ``asked``: a server of that name first, for addresses that leave the port open."""
    wanted = "udp" if kind == "udp" else "stream"
    fitting = [one for one in left if ("udp" if one.kind == "udp" else "stream") == wanted]
    found = (
        [one for one in fitting if one.server == name and one.asked == asked]
        or [one for one in fitting if one.asked == asked and asked.port]
        or [one for one in fitting if one.asked == asked and asked.family == socket.AF_UNIX]
        or [one for one in fitting if not one.owned and one.server == name and _is_within(one.asked, asked)]
    )
    owner = found[0].server if found else ""
    found = [one for one in found if one.server == owner]
    for one in found:
        left.remove(one)
    return found


def _is_within(bound: Address, asked: Address) -> bool:
    """Whether a socket of systemd is at the port that conf asks for, whatever the host: the unit file says on which interface."""
    return bound.port == asked.port != 0


def _must_not_overlap(kind: str, asked: Address, before: Sequence[Listener]) -> None:
    """The kernel refuses an address beside one that covers it; say whose that is."""
    for one in before:
        same = asked.port != 0 and one.asked.port == asked.port and (one.kind == "udp") == (kind == "udp")
        if same and _ANY.intersection((asked.host, one.asked.host)):
            raise PortInUse(f"{asked} overlaps {one.asked}, which the server {one.server} has open", hint="this change needs a new start")


_ANY = frozenset(("0.0.0.0", "::"))  # noqa: S104 - to be told from others


def _socket_of(fd: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise StartError(f"the descriptor {fd} that was handed over is no socket: {error.strerror}") from None
    sock.setblocking(False)
    sock.set_inheritable(True)
    return sock


def _kind_of(sock: socket.socket) -> str:
    return "udp" if sock.type == socket.SOCK_DGRAM else "tcp"
