"""Files from handlers and folders to clients: by the kernel, in slices, beside everybody else."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenimi import Response, get, green, http
from greenimi.app import App
from greenimi.servers.stream import StreamConnection
from greenimi.testing.clients import HttpClient
from greenimi.testing.plugin import AppFactory, Serve
from greenimi.testing.support import wait_until
from greenimi.web.downloads import FileResponse
from tests.servers.conftest import Link

Links = Callable[..., Link]
LARGE = 10 << 30


@http
class Files:
    folder = Path()

    @get("/file/{name}")
    def file(self, name: str) -> Response:
        return FileResponse(name, folder=self.folder)

    @get("/hello")
    def hello(self) -> str:
        return "hello"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Files, "folder", tmp_path)
    (tmp_path / "data").write_bytes(os.urandom(3_000_000))
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGE)  # of holes: it takes no room
    return tmp_path


@pytest.fixture
def app(app_factory: AppFactory) -> App:
    return app_factory([Files])


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the kernel was asked to send, in bytes."""
    asked: list[int] = []
    sendfile = os.sendfile

    def spy(target: int, source: int, offset: int, count: int) -> int:
        asked.append(count)
        return sendfile(target, source, offset, count)

    monkeypatch.setattr(os, "sendfile", spy)
    return asked


def ask(path: str, *fields: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: x", *fields, "", "")).encode()


def connections_of(app: App) -> list[StreamConnection]:
    server: Any = app.doors.servers["web"]
    return list(server.connections)


def test_the_kernel_sends_a_file_in_slices(app: App, folder: Path, slices: list[int]) -> None:
    with HttpClient(app) as client:
        for _ in range(2):
            assert client.get("/file/data").body == (folder / "data").read_bytes()
        found = client.get("/file/data", headers={"Range": "bytes=1000000-"})
        assert found.body == (folder / "data").read_bytes()[1_000_000:]
        assert client.get("/hello").text == "hello"
    assert len(slices) >= 15
    assert max(slices) <= 1 << 19


def test_a_file_on_a_connection_with_tls_is_read_off(app: App, link: Links, folder: Path, slices: list[int]) -> None:
    web = link(app)
    web.send(ask("/hello"))
    web.response()
    (connection,) = connections_of(app)
    connection.tls = object()  # type: ignore[assignment]  # all that counts here is that it is there
    web.send(ask("/file/data"))
    _, headers, body = web.response()
    assert (headers["Content-Length"], body == (folder / "data").read_bytes(), slices) == ("3000000", True, [])


def test_answers_keep_their_order(app: App, link: Links, folder: Path) -> None:
    web = link(app)
    web.send(ask("/hello") + ask("/file/data") + ask("/hello"))
    assert web.response()[2] == b"hello"
    assert web.response()[2] == (folder / "data").read_bytes()
    assert web.response()[2] == b"hello"


@pytest.mark.parametrize("tls", [False, True])
def test_a_file_of_ten_gib_keeps_nobody_waiting(serve: Serve, folder: Path, tls: bool) -> None:
    app, addresses = serve([Files])
    taken = 0

    def read(link: socket.socket) -> None:
        nonlocal taken
        buffer = bytearray(1 << 20)
        while count := link.recv_into(buffer):
            taken += count

    with socket.create_connection(addresses["web"], 5) as link:
        link.sendall(ask("/hello"))
        link.recv(1000)
        if tls:
            connections_of(app)[0].tls = object()  # type: ignore[assignment]
        link.sendall(ask("/file/large"))
        reader = green.spawn(read, link)
        wait_until(lambda: taken > 5_000_000)
        with HttpClient(addresses["web"]) as client:
            for _ in range(50):
                assert client.get("/hello").text == "hello"
        assert 5_000_000 < taken < LARGE
        reader.kill()
    wait_until(lambda: not connections_of(app))


def test_a_client_that_leaves_ends_the_sending(no_leaks: None, serve: Serve, folder: Path) -> None:
    app, addresses = serve([Files])
    with socket.create_connection(addresses["web"], 5) as link:
        link.sendall(ask("/file/large"))
        link.recv(1000)
    wait_until(lambda: not app.doors.runtime.handlers.busy)
    wait_until(lambda: not connections_of(app))
    with HttpClient(addresses["web"]) as client:
        assert client.get("/hello").text == "hello"


def test_a_client_that_reads_too_slowly_is_cut(serve: Serve, folder: Path) -> None:
    app, addresses = serve([Files], {"servers": {"web": {"kind": "http", "write_time": 5}}})
    with socket.create_connection(addresses["web"], 5) as link:
        link.sendall(ask("/file/large"))
        link.recv(1000)
        wait_until(lambda: any(connection._parked for connection in connections_of(app)))
        (connection,) = connections_of(app)
        connection.look(1e12)
        assert connections_of(app) == []
    wait_until(lambda: not app.doors.runtime.handlers.busy)


def test_a_file_that_becomes_shorter_is_not_finished(app: App, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sendfile = os.sendfile

    def cut(target: int, source: int, offset: int, count: int) -> int:
        sent = sendfile(target, source, offset, min(count, 1000))
        os.truncate(folder / "data", 1500)
        return sent

    monkeypatch.setattr(os, "sendfile", cut)
    with HttpClient(app) as client:
        found = client.stream("GET", "/file/data")
        with pytest.raises(ConnectionError):
            found.read()
    with HttpClient(app) as client:
        assert client.get("/hello").text == "hello"


def test_http_1_0_gets_files_too(app: App, link: Links, folder: Path) -> None:
    web = link(app)
    web.send(b"GET /file/data HTTP/1.0\r\n\r\n")
    assert web.response()[2] == (folder / "data").read_bytes()
    assert web.read_all() == b""
