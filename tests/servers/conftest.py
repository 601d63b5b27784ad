"""Shared by the tests of servers: raw links to the doors of the echo application, and what came back on them."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from greenimi.app import App
from greenimi.testing.links import connect
from greenimi.testing.plugin import AppFactory
from tests.apps import echo
from tests.servers.http2_client import Http2Link


@pytest.fixture
def make_echo(app_factory: AppFactory) -> Callable[..., App]:
    """The echo application with other settings for its servers: ``make_echo(web={"max_body": 10})``."""

    def make(handlers: int = 1000, debug: bool = False, **settings: dict[str, Any]) -> App:
        servers = {name: {**own, **settings.get(name, {})} for name, own in echo.CONF["servers"].items()}
        return app_factory([echo], {"servers": servers, "workers": {"handlers": handlers}, "app": {"debug": debug}})

    return make


@pytest.fixture
def app(make_echo: Callable[..., App]) -> Iterator[App]:
    """The echo application; nobody waits at its gate any more when it stops."""
    made = make_echo()
    yield made
    made.container.get(echo.Stage).gate.set()


@pytest.fixture
def stage(app: App) -> echo.Stage:
    return app.container.get(echo.Stage)


class Link:
    """Bytes to a door and back."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._file = sock.makefile("rb")

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def response(self, method: str = "GET") -> tuple[int, http.client.HTTPMessage, bytes]:
        """The next answer, whole.  ConnectionError when there is none."""
        found = http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]  # all that it needs is makefile
        found.begin()
        body = found.read()
        return found.status, found.headers, body

    def makefile(self, mode: str) -> Any:
        return _Unclosable(self._file)

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def read_all(self) -> bytes:
        """Everything until the server ends its side."""
        return self._file.read()

    def line(self) -> bytes:
        return self._file.readline()

    def close(self) -> None:
        self._file.close()
        self.sock.close()


class _Unclosable:
    """An answer that was read must not close the link it came by."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None: ...


@pytest.fixture
def link() -> Iterator[Callable[..., Link]]:
    """``link(app, "web")``: a raw link, closed after the test."""
    with ExitStack() as ends:

        def make(app: App, server: str = "web", timeout: float = 5) -> Link:
            made = Link(connect(app, server, timeout=timeout))
            ends.callback(made.close)
            return made

        yield make


@pytest.fixture
def dial() -> Iterator[Callable[..., Http2Link]]:
    """``dial(app)``: a client by prior knowledge, closed after the test."""
    with ExitStack() as ends:

        def make(app: App, **more: Any) -> Http2Link:
            made = Http2Link(connect(app, "web"), **more)
            ends.callback(made.close)
            return made

        yield make
