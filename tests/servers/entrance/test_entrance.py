from __future__ import annotations

import _socket
import hashlib
import logging
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from gevent import get_hub

from greenimi.errors import ConfigError
from greenimi.servers.entrance import entrance as entrance_module
from greenimi.servers.entrance.entrance import Entrance, entrance_for
from greenimi.servers.entrance.tls import TlsFacts
from greenimi.servers.settings import ServerSettings, TlsSettings
from greenimi.testing.support import wait_until
from tests.certificates import certificates

FILES = certificates()
TLS = TlsSettings(certificate=FILES.file("server.pem"), key=FILES.file("server.key"))
ADDRESS = ("192.0.2.7", 50000)
PROXY = b"PROXY TCP4 198.51.100.9 198.51.100.1 40000 443\r\n"
SOURCE = ("198.51.100.9", 40000)
MIB = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.each_second: list[Callable[[float], None]] = []

    def tick(self, later: float = 0) -> None:
        for call in list(self.each_second):
            call(monotonic() + later)


class Admitted:
    """A connection of the simplest kind: one read watcher, an outbox with a write watcher."""

    def __init__(self, sock: Any, address: Any, data: bytes, tls: TlsFacts | None) -> None:
        self.sock = sock
        self.address = address
        self.tls = tls
        self.received = bytearray(data)
        self.ended = False
        self.echo = False
        self.outbox = bytearray()
        self._reader = get_hub().loop.io(sock.fileno(), 1)
        self._writer = get_hub().loop.io(sock.fileno(), 2)
        self._reader.start(self._readable)

    def _readable(self) -> None:
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.ended = True
            self._reader.stop()
        elif self.echo:
            self.send(data)
        self.received += data

    def send(self, data: bytes) -> None:
        self.outbox += data
        self._writer.start(self._writable)

    def _writable(self) -> None:
        try:
            del self.outbox[: self.sock.send(self.outbox)]
        except BlockingIOError:
            return
        if not self.outbox:
            self._writer.stop()

    def close(self) -> None:
        for watcher in (self._reader, self._writer):
            watcher.stop()
            watcher.close()
        self.sock.close()


class Door:
    """A host of an entrance and, for what needs an address, a listening socket."""

    def __init__(self, **settings: Any) -> None:
        self.name = "web"
        self.runtime = Clock()
        self.admitted: list[Admitted] = []
        self.ends: list[Any] = []
        self.echo = False
        self.broken = False
        made = entrance_for(ServerSettings(**settings), self)
        assert made is not None
        self.entrance = made

    def admit(self, sock: Any, address: Any, data: bytes = b"", tls: TlsFacts | None = None) -> None:
        if self.broken:
            raise OSError("broken")
        self.admitted.append(Admitted(sock, address, data, tls))
        self.admitted[-1].echo = self.echo
        if self.echo and data:
            self.admitted[-1].send(data)

    def connect(self, address: Any = ADDRESS, buffer: int = 0) -> socket.socket:
        """A client's end of a new socket that came to the entrance."""
        here, there = socket.socketpair()
        if buffer:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        here.settimeout(5)
        self.ends.append(here)
        raw = _socket.socket(fileno=there.detach())
        raw.setblocking(False)
        self.entrance.enter(raw, address)
        return here

    def tls(self, sock: socket.socket | None = None, **options: Any) -> ssl.SSLSocket:
        """A client that has shaken hands, on a new socket or this one."""
        made = client_context(**options).wrap_socket(sock or self.connect(), server_hostname="localhost")
        self.ends.append(made)
        return made

    def only(self) -> Admitted:
        wait_until(lambda: self.admitted)
        assert len(self.admitted) == 1
        return self.admitted[0]

    def listen(self) -> int:
        """Accept from now on; the port."""
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        watcher = get_hub().loop.io(listening.fileno(), 1)

        def accept() -> None:
            fd, address = _socket.socket.__dict__["_accept"](listening._sock)  # type: ignore[attr-defined]
            raw = _socket.socket(fileno=fd)
            raw.setblocking(False)
            self.entrance.enter(raw, address)

        watcher.start(accept)
        self.ends += [watcher, listening]
        port: int = listening.getsockname()[1]
        return port

    def close(self) -> None:
        self.entrance.close()
        for end in [*self.ends, *self.admitted]:
            end.close()


def client_context(**options: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(FILES.file("ca.pem"))
    for option, value in options.items():
        setattr(context, option, value)
    return context


@pytest.fixture
def door(no_leaks: None) -> Iterator[Callable[..., Door]]:
    doors = []

    def make(**settings: Any) -> Door:
        doors.append(Door(**settings))
        return doors[-1]

    yield make
    for made in doors:
        made.close()


def through_proxy(**settings: Any) -> dict[str, Any]:
    return {"proxy_protocol": True, "trusted": ["192.0.2.0/24", "unix"], **settings}


def ended(sock: socket.socket) -> bytes:
    """What still comes until the other side ends."""
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    return data


# -- which way in --------------------------------------------------------------------------------------------------
def test_a_server_without_either_has_no_entrance() -> None:
    clock = Clock()
    host: Any = type("Host", (), {"name": "web", "runtime": clock})()
    assert entrance_for(ServerSettings(), host) is None
    assert clock.each_second == []
    with pytest.raises(ConfigError, match="/no/such"):
        entrance_for(ServerSettings(tls=TlsSettings(certificate="/no/such")), host)


def test_tls(door: Callable[..., Door]) -> None:
    made = door(tls=TLS)
    client = made.tls()
    admitted = made.only()
    assert (admitted.address, made.entrance.count) == (ADDRESS, 0)
    assert admitted.tls == TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", None, "localhost")
    client.sendall(b"ping")
    wait_until(lambda: admitted.received == b"ping")
    admitted.send(b"pong")
    assert client.recv(100) == b"pong"


@pytest.mark.parametrize("chunk", [1, 1000])
def test_a_proxy_without_tls(door: Callable[..., Door], chunk: int) -> None:
    made = door(**through_proxy())
    client = made.connect()
    data = PROXY + b"hello"
    for start in range(0, len(data), chunk):
        client.sendall(data[start : start + chunk])
    admitted = made.only()
    assert (admitted.address, admitted.tls) == (SOURCE, None)
    wait_until(lambda: admitted.received == b"hello")


def test_a_proxy_that_speaks_for_itself(door: Callable[..., Door]) -> None:
    made = door(**through_proxy())
    made.connect("").sendall(b"PROXY UNKNOWN\r\n")
    assert made.only().address == ""


def test_a_proxy_before_tls(door: Callable[..., Door]) -> None:
    made = door(**through_proxy(tls=TLS))
    sock = made.connect()
    sock.sendall(PROXY)
    client = made.tls(sock)
    client.sendall(b"ping")
    admitted = made.only()
    wait_until(lambda: admitted.received == b"ping")
    assert (admitted.address, admitted.tls and admitted.tls.server_name) == (SOURCE, "localhost")


def test_strangers_may_not_speak_for_others(door: Callable[..., Door], caplog: pytest.LogCaptureFixture) -> None:
    made = door(**through_proxy())
    for address in (("203.0.113.5", 1), ("203.0.113.6", 2)):
        client = made.connect(address)
        assert client.recv(100) == b""
    made.runtime.tick()
    made.runtime.tick()
    assert caplog.messages == ["server web: 2 connections closed that do not come from a trusted proxy, the last from ('203.0.113.6', 2)"]
    assert (made.admitted, made.entrance.count) == ([], 0)


def test_what_is_no_proxy_header(door: Callable[..., Door], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenimi.servers")
    made = door(**through_proxy())
    client = made.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert ended(client) == b""
    assert "the connection does not begin with a PROXY header" in caplog.text
    assert str(ADDRESS) in caplog.text


# -- who does not get in ------------------------------------------------------------------------------------------
def test_plain_http_is_answered(door: Callable[..., Door]) -> None:
    made = door(tls=TLS)
    client = made.connect()
    client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" + b"x" * 30_000)
    answer = ended(client)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"this port speaks TLS: use https://\n")
    client.close()
    wait_until(lambda: made.entrance.count == 0)


@pytest.mark.parametrize("rude", ["silent", "endless"])
def test_who_was_refused_does_not_stay(door: Callable[..., Door], rude: str) -> None:
    made = door(tls=TLS)
    client = made.connect()
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    ended(client)
    assert made.entrance.count == 1
    if rude == "silent":
        made.runtime.tick(later=1)
        assert made.entrance.count == 1
        made.runtime.tick(later=4)
        assert made.entrance.count == 0
    with pytest.raises(OSError):  # noqa: PT012  # which of the sends fails is not known
        for _ in range(100):
            client.sendall(b"x" * 65536)


def test_garbage_gets_an_alert(door: Callable[..., Door], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenimi.servers")
    made = door(kind="tcp", tls=TLS)
    client = made.connect()
    client.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
    assert ended(client)[:1] == b"\x15"
    assert "TLS handshake failed" in caplog.text
    assert str(ADDRESS) in caplog.text


def test_clients_that_know_the_certificate_not_or_have_none(door: Callable[..., Door], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenimi.servers")
    tls = TlsSettings(certificate=TLS.certificate, key=TLS.key, clients="required", client_ca=FILES.file("ca.pem"))
    made = door(tls=tls)
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(made.connect(), server_hostname="localhost")
    wait_until(lambda: "unknown ca" in caplog.text)
    client = made.tls()
    with pytest.raises(ssl.SSLError, match=r"CERTIFICATE_REQUIRED|certificate required"):
        client.recv(1)
    assert "peer did not return a certificate" in caplog.text
    context = client_context()
    context.load_cert_chain(FILES.file("client.pem"), FILES.file("client.key"))
    made.ends.append(context.wrap_socket(made.connect(), server_hostname="localhost"))
    facts = made.only().tls
    assert facts is not None
    assert facts.peer_certificate is not None


def test_who_leaves_is_forgotten_quietly(door: Callable[..., Door], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenimi.servers")
    made = door(tls=TLS)
    clients = [made.connect() for _ in range(3)]
    assert made.entrance.count == 3
    clients[0].close()
    clients[1].sendall(b"\x16\x03")
    clients[1].close()
    wait_until(lambda: made.entrance.count == 1)
    made.entrance.close()
    assert clients[2].recv(1) == b""
    assert caplog.text == ""
    assert made.runtime.each_second == []
    assert made.connect().recv(1) == b""  # whoever comes later is not let in without TLS


def test_a_handshake_has_a_deadline(door: Callable[..., Door], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "greenimi.servers")
    made = door(tls=TLS, handshake=5)
    client = made.connect()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client_context().wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    for byte in outgoing.read()[:-1]:
        client.sendall(bytes([byte]))
        made.runtime.tick(later=4)
    assert made.entrance.count == 1
    made.runtime.tick(later=6)
    assert ended(client) == b""
    assert "no handshake in time" in caplog.text
    assert made.entrance.count == 0


def test_silent_peers_stop_nobody(door: Callable[..., Door]) -> None:
    made = door(tls=TLS)
    made.ends += [made.connect() for _ in range(1000 if _room_for(2100) else 300)]
    silent = made.entrance.count
    client = made.tls()
    client.sendall(b"ping")
    admitted = made.only()
    wait_until(lambda: admitted.received == b"ping")
    assert made.entrance.count == silent


def _room_for(files: int) -> bool:
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] > files


def test_a_turn_of_the_loop_holds_few_handshakes(door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch) -> None:
    """With a slice of nothing it is one step a turn; what else is to be done comes in between."""
    monkeypatch.setattr(entrance_module, "_SLICE", 0)
    made = door(tls=TLS)
    steps: list[str] = []
    step = entrance_module._Entering.step

    def counted(self: entrance_module._Entering) -> None:
        steps.append("step")
        step(self)

    monkeypatch.setattr(entrance_module._Entering, "step", counted)
    check = get_hub().loop.check()
    check.start(lambda: steps.append("turn"))
    made.ends.append(check)
    clients = [threading.Thread(target=made.tls) for _ in range(10)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(10)
    wait_until(lambda: len(made.admitted) == 10)
    check.stop()
    assert steps.count("step") >= 20
    assert not any(here == there == "step" for here, there in pairwise(steps))


def test_a_connection_that_cannot_be_made_is_closed(door: Callable[..., Door], caplog: pytest.LogCaptureFixture) -> None:
    made = door(tls=TLS)
    made.broken = True
    client = made.tls()
    assert ended(client) == b""
    assert "the connection from ('192.0.2.7', 50000) cannot be served" in caplog.text
    assert "OSError: broken" in caplog.text
    made.broken = False
    made.tls()
    made.only()


def test_certificates_are_looked_at_again(door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch) -> None:
    made = door(tls=TLS)
    looks: list[bool] = []
    monkeypatch.setattr(made.entrance.contexts, "reload_if_changed", lambda: looks.append(True))
    for later in (1, 4, 6, 7, 10, 12):
        made.runtime.tick(later)
    assert len(looks) == 2


# -- behind the handshake -----------------------------------------------------------------------------------------
def test_large_uploads_and_downloads(door: Callable[..., Door]) -> None:
    """Byte by byte what was sent, to a client that reads slowly at first."""
    made = door(tls=TLS)
    client = made.tls(made.connect(buffer=8192))
    admitted = made.only()
    data = os.urandom(MIB)
    upload, download = hashlib.sha256(), hashlib.sha256()
    for _ in range(50):
        upload.update(data)
        client.sendall(data)
    wait_until(lambda: len(admitted.received) == 50 * MIB)
    assert hashlib.sha256(admitted.received).digest() == upload.digest()
    admitted.send(bytes(admitted.received))
    read, size = 0, 100
    while read < 50 * MIB:
        part = client.recv(size)
        assert part
        download.update(part)
        read += len(part)
        if read > MIB:
            size = 65536
    assert download.digest() == upload.digest()


def test_goodbye_of_the_client(door: Callable[..., Door]) -> None:
    """It says goodbye on the layer of TLS only, and waits for ours."""
    made = door(tls=TLS)
    client = made.tls()
    admitted = made.only()
    client.sendall(b"last words")
    left = threading.Thread(target=client.unwrap)  # raises without our close_notify
    left.start()
    wait_until(lambda: admitted.ended)
    assert admitted.received == b"last words"
    admitted.sock.shutdown(socket.SHUT_WR)
    left.join(5)
    assert not left.is_alive()


@pytest.mark.parametrize(
    ("version", "typed", "heard", "told"),
    [
        ("-tls1_3", b"first\nK\nsecond\n", b"firstsecond", b"KEYUPDATE"),
        ("-tls1_3", b"first\nk\nsecond\n", b"firstsecond", b"KEYUPDATE"),
        ("-tls1_2", b"first\nR\n", b"first", b"no renegotiation"),
    ],
)
def test_key_updates_and_renegotiation(
    door: Callable[..., Door], tmp_path: Path, version: str, typed: bytes, heard: bytes, told: bytes
) -> None:
    made = door(kind="tcp", tls=TLS)
    made.echo = True
    output = tmp_path / "output"
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{made.listen()}", "-CAfile", FILES.file("ca.pem"), version]
    with output.open("wb") as out:
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=out)
    assert client.stdin is not None
    try:
        admitted = made.only()
        for line in typed.splitlines(keepends=True):
            client.stdin.write(line)
            client.stdin.flush()
            awaited = told if len(line) == 2 else line  # a letter alone is a command to the client, anything else is echoed
            wait_until(lambda: awaited in output.read_bytes())  # noqa: B023
        assert admitted.received.replace(b"\n", b"") == heard
    finally:
        client.kill()
        client.wait()
        client.stdin.close()


@pytest.mark.parametrize("end", ["reset", "end"])
def test_a_client_that_vanishes(door: Callable[..., Door], end: str) -> None:
    made = door(tls=TLS)
    sock = made.connect()
    made.tls(sock).sendall(b"half")
    admitted = made.only()
    wait_until(lambda: admitted.received == b"half")
    made.ends[-1].shutdown(socket.SHUT_WR) if end == "end" else made.ends[-1].close()
    wait_until(lambda: admitted.ended)
    assert admitted.received == b"half"


def test_an_entrance_of_its_own_type(door: Callable[..., Door]) -> None:
    assert isinstance(door(tls=TLS).entrance, Entrance)
