"""Files from ``wsgi.file_wrapper`` to clients."""

from __future__ import annotations

import gzip
import io
import os
import socket
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from greenimi import green
from greenimi.app import App
from greenimi.servers.guests.sendfile import sendable
from greenimi.testing.plugin import Serve
from greenimi.testing.support import wait_until
from tests.apps.echo import Stage
from tests.servers.guests.test_wsgi import PLAIN, Environ, Links, Start, get, mount

# -- files ---------------------------------------------------------------------------------------------------------


def sends_file(path: Path, headers: list[tuple[str, str]], log: list[Any], start_at: int = 0) -> Callable[[Environ, Start], Any]:
    def guest(environ: Environ, start_response: Start) -> Any:
        file = path.open("rb")
        file.seek(start_at)
        log.append(file)
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](file, 4096)

    return guest


def test_a_file_is_sent_by_the_kernel(app: App, stage: Stage, link: Links, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    sent = []
    sendfile = os.sendfile

    def spy(*args: Any) -> int:
        sent.append(args)
        return sendfile(*args)

    monkeypatch.setattr(os, "sendfile", spy)
    mount(app, sends_file(path, PLAIN, stage.log), "/whole")
    mount(app, sends_file(path, [*PLAIN, ("Content-Length", "1000")], stage.log, 5000), "/part")
    web = link(app)
    for _ in range(2):
        web.send(get("/whole") + get("/part") + get("/item/1"))
        assert web.response()[2] == path.read_bytes()
        assert web.response()[2] == path.read_bytes()[5000:6000]
        assert web.response()[2] == b"1"
    assert len(sent) >= 4
    assert all(file.closed for file in stage.log)
    web.send(get("/whole", method="HEAD"))
    assert web.response("HEAD")[1]["Content-Length"] == "3000000"


def test_a_file_over_tls_and_what_is_no_file_are_sent_in_blocks(app: App, stage: Stage, link: Links, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))

    def memory(environ: Environ, start_response: Start) -> Any:
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](io.BytesIO(b"abc" * 1000), 1000)

    mount(app, sends_file(path, PLAIN, stage.log), "/file")
    mount(app, memory, "/memory")
    web = link(app)
    web.send(get("/memory"))
    assert web.response()[2] == b"abc" * 1000
    connection: Any
    (connection,) = app.doors.servers["web"].connections
    connection.tls = object()
    web.send(get("/file"))
    _, headers, body = web.response()
    assert (headers["Transfer-Encoding"], body == path.read_bytes()) == ("chunked", True)
    assert stage.log[0].closed


def test_a_slow_reader_gets_a_large_file_whole(serve: Serve, tmp_path: Path) -> None:
    app, addresses = serve()
    path = tmp_path / "file"
    digest = sha256()
    with path.open("wb") as file:
        for _ in range(50):
            block = os.urandom(1 << 20)
            digest.update(block)
            file.write(block)
    log: list[Any] = []
    mount(app, sends_file(path, PLAIN, log))
    with socket.create_connection(addresses["web"], 10) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.sendall(get("/guest", "Connection: close"))
        with sock.makefile("rb") as received:
            while received.readline() != b"\r\n":
                pass
            found = sha256()
            for number in range(400):  # at first in small sips
                found.update(received.read(1000))
                if number % 40 == 0:
                    green.sleep(0.002)
            size = 400_000
            while data := received.read(1 << 16):
                found.update(data)
                size += len(data)
    assert (size, found.digest()) == (50 << 20, digest.digest())
    assert log[0].closed


def test_a_client_that_leaves_in_the_middle_of_a_file(no_leaks: None, serve: Serve, tmp_path: Path) -> None:
    app, addresses = serve()
    path = tmp_path / "file"
    path.write_bytes(bytes(20_000_000))
    log: list[Any] = []
    mount(app, sends_file(path, PLAIN, log))
    with socket.create_connection(addresses["web"], 5) as sock:
        sock.sendall(get("/guest"))
        assert sock.recv(1000)
    wait_until(lambda: log[0].closed)
    wait_until(lambda: not app.doors.runtime.handlers.busy)
    assert not app.doors.servers["web"].connections


def test_a_file_that_shrinks_ends_the_connection(serve: Serve, tmp_path: Path) -> None:
    app, addresses = serve()
    path = tmp_path / "file"
    path.write_bytes(bytes(30_000_000))
    mount(app, sends_file(path, PLAIN, []))
    with socket.create_connection(addresses["web"], 5) as sock:
        sock.sendall(get("/guest"))
        assert sock.recv(1000)
        os.truncate(path, 1000)
        size = 0
        while data := sock.recv(1 << 20):
            size += len(data)
    assert size < 30_000_000


def test_nothing_watches_a_socket_that_was_closed_in_the_middle_of_a_file(serve: Serve, tmp_path: Path) -> None:
    """libev ends the process when it finds such a watcher, which it does when the loop has much to do."""
    app, addresses = serve()
    path = tmp_path / "file"
    path.write_bytes(bytes(20_000_000))
    mount(app, sends_file(path, PLAIN, []))
    server: Any = app.doors.servers["web"]
    with socket.create_connection(addresses["web"], 5) as sock:
        sock.sendall(get("/guest"))
        assert sock.recv(1000)
        (connection,) = server.connections
        wait_until(lambda: connection._parked and connection._writer is not None and connection._writer.active)
        writer = connection._writer
        connection.shut()
        assert not writer.active
    wait_until(lambda: not app.doors.runtime.handlers.busy)


def test_what_only_looks_like_the_bytes_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    with gzip.open(path, "wb") as packed:
        packed.write(b"hello")
    with gzip.open(path, "rb") as unpacked, path.open("rb") as file, path.open(encoding="latin-1") as text:
        assert sendable(unpacked) is None
        assert sendable(io.BufferedReader(unpacked)) is None
        assert sendable(text) is None
        assert sendable(file) == (file.fileno(), 0, path.stat().st_size)
    assert sendable(file) is None
    with Path("/proc/self/status").open("rb") as status:
        assert sendable(status) is None
