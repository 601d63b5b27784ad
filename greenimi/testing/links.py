"""Sockets to the servers of an application that opened no address.

One end of a connected pair of sockets is handed to the server as if it had been accepted, so the bytes run through the very code that
serves real clients, and no network is involved.  Datagrams go over the loopback interface, because they need addresses to be answered.
"""

from __future__ import annotations

import _socket
import socket

from greenimi import green
from greenimi.app import App
from greenimi.servers.base import StreamHost
from greenimi.servers.udp import UdpServer

Address = tuple[str, int]
Target = App | Address
TIMEOUT = 5.0


def connect(target: Target, server: str = "web", *, timeout: float = TIMEOUT, address: Address = ("127.0.0.1", 0)) -> socket.socket:
    """A socket to a stream server: in memory to the server of that name of an App, where ``address`` is what it takes for the client's."""
    if isinstance(target, tuple):
        return socket.create_connection(target, timeout)
    green.require_patched()
    host = target.doors.servers[server]
    if not isinstance(host, StreamHost):
        raise TypeError(f"the server {server} is of the kind {host.kind}, which has no connections")
    mine, its = socket.socketpair()
    mine.settimeout(timeout)
    raw = _socket.socket(its.family, its.type, its.proto, its.detach())  # a server gets bare sockets
    raw.setblocking(False)
    host.accepted(raw, address)
    return mine


def datagram_address(app: App, server: str) -> Address:
    """Where a started UDP server reads; one that was started without an address gets one here."""
    host = app.doors.servers[server]
    if not isinstance(host, UdpServer):
        raise TypeError(f"the server {server} is of the kind {host.kind}, not udp")
    if not host._readers:
        bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        bound.bind(("127.0.0.1", 0))
        host.attach(bound)
        host.start()
    address: Address = host._readers[0].address
    return address
