"""Addresses and the sockets bound to them.  Opened once in the master process and inherited by its workers."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from greenimi.errors import ConfigError, PortInUse

if TYPE_CHECKING:
    from greenimi.servers.settings import KeepaliveSettings, ServerSettings

BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: ``HOST:PORT``, ``[IPv6]:PORT``, ``:PORT`` (every interface) or ``unix:PATH``."""

    family: int
    host: str
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises ConfigError with the forms that are understood."""
        if text.startswith("unix:"):
            path = text.removeprefix("unix:").removeprefix("//")
            if path:
                return cls(socket.AF_UNIX, path)
        else:
            host, colon, port = text.rpartition(":")
            if colon and port.isascii() and port.isdigit() and int(port) < 65536:
                if host.startswith("[") and host.endswith("]"):
                    return cls(socket.AF_INET6, host[1:-1], int(port))
                if ":" not in host:
                    return cls(socket.AF_INET, host or "0.0.0.0", int(port))  # noqa: S104 - that is what ":8000" says
        raise ConfigError(f"{text!r} is no address to listen on", hint="write HOST:PORT, [IPv6]:PORT or unix:PATH")

    @classmethod
    def of(cls, sock: socket.socket) -> Address:
        """Where a socket is bound."""
        target = sock.getsockname()
        return cls(sock.family, target) if sock.family == socket.AF_UNIX else cls(sock.family, *target[:2])

    def resolved(self) -> Address:
        """The same with a numeric host, as a bound socket tells it."""
        if self.family == socket.AF_UNIX or _is_numeric(self.family, self.host):
            return self  # without a resolver, whose thread would stay
        try:
            numeric = socket.getaddrinfo(self.host, self.port, self.family, socket.SOCK_STREAM)[0][4][0]
        except OSError:
            return self
        return Address(self.family, str(numeric), self.port)

    def __str__(self) -> str:
        if self.family == socket.AF_UNIX:
            return f"unix:{self.host}"
        host = f"[{self.host}]" if self.family == socket.AF_INET6 else self.host
        return f"{host}:{self.port}"

    @property
    def target(self) -> str | tuple[str, int]:
        return self.host if self.family == socket.AF_UNIX else (self.host, self.port)


def _is_numeric(family: int, host: str) -> bool:
    try:
        socket.inet_pton(family, host)
    except OSError:
        return False
    return True


def open_stream(address: Address, mode: int | None = None) -> socket.socket:
    """A listening, non-blocking, inheritable socket without Nagle's delay.  PortInUse when somebody else has the address.

    ``mode``: permissions of the file of a Unix socket.
    """
    if address.family == socket.AF_UNIX:
        _remove_stale(address.host)
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        if address.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _bind(sock, address)
        if address.family == socket.AF_UNIX and mode is not None:
            Path(address.host).chmod(mode)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return _ready(sock)


def tune(listening: socket.socket, keepalive: KeepaliveSettings) -> None:
    """Set what connections accepted on a socket take over from it, wherever it was opened: no delay of Nagle's, and keepalive."""
    if listening.family == socket.AF_UNIX:
        return
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, keepalive.idle > 0)
    if keepalive.idle > 0:
        for name, value in (("TCP_KEEPIDLE", keepalive.idle), ("TCP_KEEPINTVL", keepalive.interval), ("TCP_KEEPCNT", keepalive.count)):
            if hasattr(socket, name):  # not every system has them all
                listening.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def open_datagram(address: Address, *, share: bool = False) -> socket.socket:
    """A bound, non-blocking, inheritable datagram socket.  PortInUse when somebody else has the address.

    ``share``: sockets of this user that are opened in the same way may be bound to it as well; each client's datagrams go to one of them.
    """
    sock = socket.socket(address.family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(sock, address)  # without SO_REUSEADDR, which would let a second process take half of the datagrams
    except BaseException:
        sock.close()
        raise
    return _ready(sock)


def open_slots(address: Address, count: int) -> list[socket.socket]:
    """``count`` datagram sockets on one address: the kernel keeps every client on one of them as long as they all stay open."""
    if count == 1:
        return [open_datagram(address)]
    probe = open_datagram(address)  # sharing would join a stranger's group without a word
    address = Address.of(probe)
    probe.close()
    opened: list[socket.socket] = []
    try:
        while len(opened) < count:
            opened.append(open_datagram(address, share=True))
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    return opened


def _bind(sock: socket.socket, address: Address) -> None:
    try:
        sock.bind(address.target)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = f"stop it, or choose another address (who has it: ss -lntup | grep {address.port})"
            raise PortInUse(f"{address} is in use by another process", hint=hint) from None
        if error.errno == errno.EACCES:
            raise ConfigError(f"{address} may not be bound by this user", hint="ports below 1024 need a privilege") from None
        raise ConfigError(f"{address} cannot be bound: {error.strerror}") from None


def _ready(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    sock.set_inheritable(True)
    return sock


def _remove_stale(path: str) -> None:
    """Remove a Unix socket that nobody listens on any more; leave everything else alone."""
    file = Path(path)
    if not file.exists():
        return
    if not file.is_socket():
        raise ConfigError(f"{path} exists and is not a socket")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        file.unlink()
    except OSError as error:
        raise PortInUse(f"unix:{path} belongs to something else: {error.strerror}") from None
    else:
        raise PortInUse(f"unix:{path} is in use by another process")
    finally:
        probe.close()


def open_sockets(servers: Mapping[str, ServerSettings], kinds: Iterable[str] = ("http", "tcp", "udp")) -> dict[str, list[socket.socket]]:
    """Bind the address of every configured server of these kinds.  Raises ConfigError or PortInUse; what was opened is closed then."""
    opened: dict[str, list[socket.socket]] = {}
    try:
        for name, settings in servers.items():
            if settings.kind in kinds:
                address = Address.parse(settings.bind)
                opened[name] = [open_datagram(address) if settings.kind == "udp" else open_stream(address)]
    except BaseException:
        for sockets in opened.values():
            for sock in sockets:
                sock.close()
        raise
    return opened
