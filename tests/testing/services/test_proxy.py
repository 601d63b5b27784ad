"""Faults of the network on demand."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from greenimi import green
from greenimi.testing.services.processes import wait_for
from greenimi.testing.services.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[socket.socket]:
    """A server that sends back what it gets, and ends when its client ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(client: socket.socket) -> None:
            with client:
                while chunk := client.recv(65536):
                    client.sendall(chunk)

        def accept() -> None:
            while True:
                green.spawn(serve, listener.accept()[0])

        accepting = green.spawn(accept)
        yield listener
        accepting.kill()


@pytest.fixture
def proxy(echo: socket.socket) -> Iterator[Proxy]:
    with Proxy(*echo.getsockname()) as proxy:
        yield proxy


def connect(proxy: Proxy) -> socket.socket:
    client = socket.create_connection((proxy.host, proxy.port), 10)
    client.settimeout(10)
    return client


def read(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (chunk := client.recv(size)):
        found += chunk
    return found


def test_it_passes_everything_on_and_ends_in_order(proxy: Proxy) -> None:
    big = bytes(range(256)) * 4000
    with connect(proxy) as client:
        sending = green.spawn(client.sendall, big)
        assert read(client, len(big)) == big
        sending.join()
        assert len(proxy) == 1
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""
    assert wait_for(lambda: not len(proxy), 5)
    assert proxy.accepted == 1


def test_it_swallows_silently_and_goes_on(proxy: Proxy) -> None:
    with connect(proxy) as old:
        old.sendall(b"a")
        assert read(old, 1) == b"a"
        proxy.stall()
        with connect(proxy) as new:
            for client in (old, new):
                client.sendall(b"b")
                client.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    client.recv(1)
            proxy.go_on()
            for client in (old, new):
                client.settimeout(10)
                assert read(client, 1) == b"b"


def test_it_cuts_all_connections(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert read(client, 1) == b"a"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with connect(proxy) as client:
        client.sendall(b"b")
        assert read(client, 1) == b"b"


def test_it_cuts_in_the_middle_of_an_answer_once(proxy: Proxy) -> None:
    proxy.answers = 5
    with connect(proxy) as client:
        client.sendall(b"abc")
        assert read(client, 3) == b"abc"
        client.sendall(b"defg")
        assert client.recv(2) == b"de"
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with connect(proxy) as client:
        client.sendall(b"abcdefg")
        assert read(client, 7) == b"abcdefg"


def test_it_delays(proxy: Proxy) -> None:
    proxy.delay = 0.2
    with connect(proxy) as client:
        client.settimeout(0.3)
        client.sendall(b"a")
        with pytest.raises(TimeoutError):  # both ways take 0.4 s
            client.recv(1)
        client.settimeout(10)
        assert client.recv(1) == b"a"


def test_stopped_it_refuses_and_started_it_listens_on_the_same_port(proxy: Proxy) -> None:
    before = proxy.port
    with connect(proxy) as client:
        client.sendall(b"a")
        assert read(client, 1) == b"a"
        proxy.stop()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.start()
    assert proxy.port == before
    with connect(proxy) as client:
        client.sendall(b"b")
        assert read(client, 1) == b"b"


def test_a_server_that_is_gone_resets_its_clients(no_leaks: None, proxy: Proxy, echo: socket.socket) -> None:
    echo.close()
    with connect(proxy) as client, pytest.raises(ConnectionResetError):
        client.recv(1)
    assert wait_for(lambda: not len(proxy), 5)
