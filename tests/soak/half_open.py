"""Clients whose network begins to swallow everything: nobody says goodbye, and yet each of them has to be noticed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from greenimi import green
from greenimi.testing.clients import HttpClient
from greenimi.testing.gunicorn import Gunicorn
from tests.soak import networks
from tests.soak.measures import descriptors
from tests.soak.places import Verdict, need, serving

CLIENTS = 50
"""Of each kind."""

IDLE = 3.0
ANSWER = 20.0
"""Seconds that a client has to answer a ping."""

WRITE = 5.0
SLACK = 6.0
"""Seconds for looking once a second, and for a goodbye that nobody answers."""

SETTINGS = {
    "servers.web.idle": str(IDLE),
    "servers.web.keep_alive": str(IDLE),
    "servers.web.write_time": str(WRITE),
    "servers.till.idle": str(IDLE),
    "servers.till.write_time": str(WRITE),
}

_SHAKE = b"""GET /chat HTTP/1.1\r
Host: soak\r
Upgrade: websocket\r
Connection: Upgrade\r
Sec-WebSocket-Version: 13\r
Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r
\r
"""


def quiet_websocket(sock: socket.socket) -> None:
    sock.sendall(_SHAKE)
    head = b""
    while b"\r\n\r\n" not in head:
        head += _some(sock)


def quiet_tcp(sock: socket.socket) -> None:
    sock.sendall(b'{"action": "echo", "id": 1, "text": "hello"}\n')
    _some(sock)


def kept_http(sock: socket.socket) -> None:
    sock.sendall(b"GET /hello HTTP/1.1\r\nHost: soak\r\n\r\n")
    _some(sock)


def half_a_request(sock: socket.socket) -> None:
    sock.sendall(b"POST /size HTTP/1.1\r\nHost: soak\r\nContent-Length: 1000\r\n\r\nthe first of it")


def answered_in_the_middle(sock: socket.socket) -> None:
    """A large answer is on its way."""
    sock.sendall(b"GET /big HTTP/1.1\r\nHost: soak\r\n\r\n")
    _some(sock)


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise ConnectionError("the service hung up")
    return data


def noticed(service: Gunicorn, worker: int, base: int, limit: float) -> float:
    """Seconds until the worker has no more descriptors than ``base``; infinity when that takes longer than ``limit``."""
    began = time.monotonic()
    while descriptors(worker) > base:
        if time.monotonic() - began > limit:
            return float("inf")
        green.sleep(0.1)
    return time.monotonic() - began


KINDS: dict[str, tuple[str, Callable[[socket.socket], None], float]] = {
    "WebSockets without a word": ("web", quiet_websocket, IDLE + ANSWER),
    "TCP clients without a word": ("till", quiet_tcp, IDLE),
    "HTTP between two requests": ("web", kept_http, IDLE),
    "HTTP with half a request": ("web", half_a_request, 20.0),
    "HTTP in the middle of an answer": ("web", answered_in_the_middle, WRITE),
}
"""Where they connect, what they do before the network breaks, and after how many seconds that has to be noticed."""


def run(folder: Path, verdict: Verdict) -> None:
    need("ip", "iptables", "nsenter", "unshare")
    networks.leave()
    with serving(folder, {**SETTINGS, "servers.web.bind": "0.0.0.0:8000", "servers.till.bind": "0.0.0.0:9000"}) as service:
        worker = service.ready[0]
        for name, (server, begin, seconds) in KINDS.items():
            verdict.part(f"{CLIENTS} {name}")
            green.sleep(1.5)  # the look at a status above has ended
            base = descriptors(worker)
            link = networks.Link()
            try:
                clients = [link.connect((networks.NEAR, 8000 if server == "web" else 9000)) for _ in range(CLIENTS)]
                for client in clients:
                    begin(client)
                held = descriptors(worker) - base
                link.swallow()
                took = noticed(service, worker, base, seconds + SLACK + 5)
                verdict.check(held == CLIENTS, f"{held} connections were held when the network broke")
                late = seconds + SLACK
                verdict.check(took <= late, f"all were noticed and closed after {took:.1f} s (at most {seconds:.0f} s, and {SLACK:.0f} s)")
                with HttpClient(("127.0.0.1", 8000)) as other:
                    verdict.check(other.get("/hello").text == "hello", "another client is served")
            finally:
                for client in clients:
                    client.close()
                link.close()
        verdict.check(service.ready == [worker], "one worker served all of it")
