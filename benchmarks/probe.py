"""One question to a server over each protocol.  A wrong answer, like no answer, is an OSError: ask again or give up."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import socket
import ssl

from benchmarks.paths import CERTIFICATE, FILE, ORDER
from benchmarks.servers import HELLO, WEBSOCKET, Protocol

HOST = "127.0.0.1"
TIMEOUT = 2.0


def probe(protocol: Protocol, port: int) -> None:
    """Nothing when the server answers rightly."""
    if protocol in ("http", "https"):
        hello(protocol, port, "world")
    elif protocol in ("ws", "wss"):
        with secured(port) if protocol == "wss" else connect(port) as stream:
            websocket(stream, port)
    elif protocol == "tcp":
        with connect(port) as stream:
            echo(stream, b"probe\n")
    else:
        with socket.socket(type=socket.SOCK_DGRAM) as datagram:
            datagram.settimeout(TIMEOUT)
            datagram.connect((HOST, port))
            echo(datagram, b"probe")


def hello(protocol: Protocol, port: int, name: str) -> str:
    """The body of GET /hello/{name}, which must be {"hello": name}, with blanks or without."""
    return told(protocol, port, "GET", HELLO + name, {"hello": name})


def order(port: int, path: str) -> None:
    """POST the order, which must be sent back."""
    told("http", port, "POST", path, json.loads(ORDER.read_bytes()), ORDER.read_bytes())


def file(port: int, path: str) -> None:
    """GET the file, whole."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"not an HTTP answer: {error}") from error
    if answer.status != 200 or body != FILE.read_bytes():
        raise OSError(f"GET {path} gave status {answer.status} and {len(body)} bytes, which are not those of the file")


def told(protocol: Protocol, port: int, method: str, path: str, wanted: object, sent: bytes | None = None) -> str:
    """The body of an answer, which must be the JSON of ``wanted``."""
    if protocol == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(HOST, port, timeout=TIMEOUT, context=trusting())
    else:
        connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    with contextlib.closing(connection):
        try:
            connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
            answer = connection.getresponse()
            body = answer.read().decode()
            value = json.loads(body) if answer.status == 200 else None
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"not an HTTP answer with JSON: {error}") from error
    if value != wanted:
        raise OSError(f"{method} {path} gave status {answer.status} and {body[:100]!r}")
    return body


def trusting() -> ssl.SSLContext:
    """For our own certificate."""
    return ssl.create_default_context(cafile=CERTIFICATE)


def negotiated(port: int) -> str:
    """The version and the cipher of TLS that a client without wishes gets."""
    with secured(port) as stream:
        cipher = stream.cipher()
        return f"{stream.version()}, {cipher[0] if cipher else 'no cipher'}"


def websocket(stream: socket.socket, port: int) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
    head = (
        f"GET {WEBSOCKET} HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Origin: http://{HOST}:{port}\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    stream.sendall(head.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += receive(stream)
    if not answer.startswith(b"HTTP/1.1 101") or accept not in answer:
        raise OSError(f"the handshake was answered with {answer[:100]!r}")
    text = b"probe"
    echo(stream, bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text, bytes([0x81, len(text)]) + text)
    stream.sendall(bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]))  # close, 1000


def connect(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), timeout=TIMEOUT)


def secured(port: int) -> ssl.SSLSocket:
    """Whoever closes it closes the socket below."""
    return trusting().wrap_socket(connect(port), server_hostname=HOST)


def receive(sock: socket.socket) -> bytes:
    data = sock.recv(4096)
    if not data:
        raise OSError("the connection was closed")
    return data


def echo(sock: socket.socket, sent: bytes, expected: bytes | None = None) -> None:
    sock.sendall(sent)
    wanted = sent if expected is None else expected
    got = b""
    while len(got) < len(wanted):
        got += receive(sock)
    if got != wanted:
        raise OSError(f"{sent!r} was answered with {got[:100]!r}")
