"""A WebSocket server that does what a test says, step by step, and serves greenimi.js with a page to use it in."""

from __future__ import annotations

import json
import logging
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import Any
from unittest import mock

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

import greenimi.hub
from greenimi.testing.support import PATIENCE

SCRIPT = Path(greenimi.hub.__path__[0], "page/greenimi.js")

_PAGE = '<!DOCTYPE html><link rel="icon" href="data:,"><script src="/greenimi.js"></script>'


class Link:
    """One connection of a client, seen from the server.  ``path`` is what it asked for."""

    def __init__(self, connection: ServerConnection) -> None:
        self.path = connection.request.path if connection.request else ""
        self.over = Event()
        self._connection = connection

    def hear(self, action: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """The next message, which is to have this action."""
        message = self.hear_any(timeout)
        assert message.get("action") == action, message
        return message

    def hear_any(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """The next message, whatever it is."""
        message: dict[str, Any] = json.loads(self._connection.recv(timeout))
        return message

    def say(self, value: Any) -> None:
        """Push something."""
        self._connection.send(json.dumps(value))

    def answer(self, message: dict[str, Any], result: Any = None) -> None:
        self.say({"id": message["id"], "result": result})

    def refuse(self, message: dict[str, Any], code: int, text: str = "no") -> None:
        self.say({"id": message["id"], "error": {"code": code, "message": text}})

    def tell(self, group: str, *offsets: int, event: str = "said") -> None:
        """Messages of a group with history: their data are their offsets."""
        for offset in offsets:
            self.say({"event": event, "data": offset, "group": group, "offset": offset})

    def place(self, group: str, offset: int, epoch: str, **more: Any) -> None:
        """Tell where it is in a group."""
        self.say({"event": "$position", "data": {"offset": offset, "epoch": epoch, **more}, "group": group})

    def welcome(self, **answer: Any) -> dict[str, Any]:
        """Answer its $hello, and give what it said there."""
        hello = self.hear("$hello")
        self.answer(hello, {"id": "7", "token": "7.secret", "keep": 60, "ping": 0, "restored": False, "recovered": {}, **answer})
        return hello

    def close(self, code: int = 1000, reason: str = "") -> None:
        with suppress(ConnectionClosed):
            self._connection.close(code, reason)
        self.over.set()

    def cut(self) -> None:
        """End it without a word."""
        self._connection.socket.shutdown(socket.SHUT_RDWR)
        self.over.set()

    def wait_closed(self) -> tuple[int, str]:
        """What the client says at the end."""
        try:
            message = self._connection.recv(PATIENCE)
        except ConnectionClosed as error:
            self.over.set()
            return (error.rcvd.code, error.rcvd.reason) if error.rcvd else (1006, "")
        raise AssertionError(f"it says more: {message!r}")


class ScriptedServer:
    """``next`` gives the connections in the order in which they were opened."""

    def __init__(self, sock: socket.socket) -> None:
        self.address: tuple[str, int] = sock.getsockname()
        self.links: list[Link] = []
        self._new: Queue[Link] = Queue()

    @property
    def url(self) -> str:
        return "http://{}:{}/".format(*self.address)

    def next(self) -> Link:
        return self._new.get(timeout=PATIENCE)

    def forget(self) -> None:
        """Let go of all connections so far."""
        for link in self.links:
            link.over.set()
        self.links.clear()
        self._new = Queue()

    def hold(self, connection: ServerConnection) -> None:
        link = Link(connection)
        self.links.append(link)
        self._new.put(link)
        link.over.wait()


def _show(connection: ServerConnection, request: Request) -> Response | None:
    if request.headers.get("upgrade"):
        return None
    script = request.path == "/greenimi.js"
    body = SCRIPT.read_bytes() if script else _PAGE.encode()
    kind = "text/javascript" if script else "text/html"
    return Response(200, "OK", Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}), body)


class _Selectors:
    """For its server, which ends without closing its selector: gevent's would watch descriptors for ever that belong to others by then."""

    DefaultSelector = selectors.PollSelector
    EVENT_READ = selectors.EVENT_READ


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    listening = socket.create_server(("127.0.0.1", 0))
    script = ScriptedServer(listening)
    quiet = logging.getLogger("tests.scripted")
    quiet.setLevel(logging.CRITICAL)
    with (
        mock.patch("websockets.sync.server.selectors", _Selectors),
        serve(
            script.hold, sock=listening, process_request=_show, ping_interval=None, open_timeout=1, close_timeout=1, logger=quiet
        ) as server,
    ):
        Thread(target=server.serve_forever).start()
        try:
            yield script
        finally:
            script.forget()
