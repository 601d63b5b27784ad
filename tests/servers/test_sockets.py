"""Addresses, and the sockets bound to them."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from greenimi.errors import ConfigError, PortInUse
from greenimi.servers.settings import KeepaliveSettings, ServerSettings
from greenimi.servers.sockets import Address, open_datagram, open_sockets, open_stream, tune


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address(socket.AF_INET, "127.0.0.1", 80)),
        (":80", Address(socket.AF_INET, "0.0.0.0", 80)),
        ("localhost:0", Address(socket.AF_INET, "localhost", 0)),
        ("[::1]:80", Address(socket.AF_INET6, "::1", 80)),
        ("unix:/tmp/x.sock", Address(socket.AF_UNIX, "/tmp/x.sock")),
        ("unix:///tmp/x.sock", Address(socket.AF_UNIX, "/tmp/x.sock")),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["", "80", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80", "unix:", "unix://", "host:²"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError, match="is no address to listen on"):
        Address.parse(text)


@pytest.mark.parametrize("open_one", [open_stream, open_datagram])
def test_a_port_can_be_had_once(open_one: object) -> None:
    assert callable(open_one)
    with open_one(Address.parse("127.0.0.1:0")) as first:
        assert first.gettimeout() == 0
        assert first.get_inheritable()
        with pytest.raises(PortInUse, match="is in use by another process"):
            open_one(Address.parse(f"127.0.0.1:{first.getsockname()[1]}"))


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ConfigError, match="cannot be bound"):
        open_stream(Address.parse("192.0.2.1:0"))


def test_a_unix_socket_that_nobody_listens_on_is_replaced(tmp_path: Path) -> None:
    address = Address.parse(f"unix:{tmp_path}/x.sock")
    open_stream(address).close()
    assert Path(address.host).exists()
    with open_stream(address) as listening:
        with pytest.raises(PortInUse):
            open_stream(address)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(address.host)
        assert listening.getsockname() == address.host


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("keep me")
    with pytest.raises(ConfigError, match="is not a socket"):
        open_stream(Address.parse(f"unix:{path}"))
    assert path.read_text() == "keep me"


def test_one_socket_a_server() -> None:
    settings = {
        "web": ServerSettings(kind="http", bind="127.0.0.1:0"),
        "till": ServerSettings(kind="tcp", bind="127.0.0.1:0"),
        "beacon": ServerSettings(kind="udp", bind="127.0.0.1:0"),
    }
    opened = open_sockets(settings)
    assert {name: sockets[0].type for name, sockets in opened.items()} == {
        "web": socket.SOCK_STREAM,
        "till": socket.SOCK_STREAM,
        "beacon": socket.SOCK_DGRAM,
    }
    only = open_sockets(settings, ("udp",))
    assert set(only) == {"beacon"}
    for sockets in (*opened.values(), *only.values()):
        sockets[0].close()


def test_what_was_opened_is_closed_when_another_fails() -> None:
    before = _open_files()
    settings = {"one": ServerSettings(bind="127.0.0.1:0"), "two": ServerSettings(bind="nonsense")}
    with pytest.raises(ConfigError):
        open_sockets(settings)
    assert _open_files() == before


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def accepted(listening: socket.socket) -> socket.socket:
    """The server's end of a new connection."""
    with socket.create_connection(listening.getsockname(), 5):
        listening.settimeout(5)
        return listening.accept()[0]


def option(sock: socket.socket, name: str, level: int = socket.IPPROTO_TCP) -> int:
    return sock.getsockopt(level, getattr(socket, name))


def test_connections_take_over_what_their_listener_was_tuned_to() -> None:
    """Also where somebody else opened it, and after a reload with other settings."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        tune(listening, KeepaliveSettings())
        with accepted(listening) as plain:
            assert option(plain, "TCP_NODELAY")
            assert not option(plain, "SO_KEEPALIVE", socket.SOL_SOCKET)
        tune(listening, KeepaliveSettings(idle=30, interval=5, count=3))
        with accepted(listening) as kept:
            assert option(kept, "SO_KEEPALIVE", socket.SOL_SOCKET)
            assert [option(kept, name) for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")] == [30, 5, 3]
        tune(listening, KeepaliveSettings())
        with accepted(listening) as plain:
            assert not option(plain, "SO_KEEPALIVE", socket.SOL_SOCKET)


def test_unix_sockets_have_nothing_to_tune(tmp_path: Path) -> None:
    with open_stream(Address.parse(f"unix:{tmp_path}/x.sock")) as listening:
        tune(listening, KeepaliveSettings(idle=30))
        assert not option(listening, "SO_KEEPALIVE", socket.SOL_SOCKET)
