"""Sockets to servers that opened no address."""

from __future__ import annotations

import pytest

from greenimi.testing.clients import DatagramClient
from greenimi.testing.links import connect, datagram_address
from greenimi.testing.plugin import AppFactory, Serve
from tests.apps import echo


def test_the_server_sees_a_client(app_factory: AppFactory) -> None:
    app = app_factory([echo], echo.CONF)
    with connect(app, "web", address=("192.0.2.1", 7)) as link:
        (connection,) = app.doors.servers["web"].connections
        assert connection.address == ("192.0.2.1", 7)
        link.sendall(b"GET /item/1 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert link.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_datagram_server_keeps_its_address(app_factory: AppFactory, serve: Serve) -> None:
    app = app_factory([echo], echo.CONF)
    assert datagram_address(app, "beacon") == datagram_address(app, "beacon")
    served = serve([echo], echo.CONF)
    assert datagram_address(served.app, "beacon") == served.addresses["beacon"]


def test_the_wrong_kind_of_server(app_factory: AppFactory) -> None:
    app = app_factory([echo], echo.CONF)
    with pytest.raises(TypeError, match="the server beacon is of the kind udp"):
        connect(app, "beacon")
    with pytest.raises(TypeError, match="the server till is of the kind tcp, not udp"):
        DatagramClient(app, "till")
