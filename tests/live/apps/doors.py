"""Every door of greenimi, small limits, and a look at what a worker holds."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from greenlet import greenlet

from greenimi import Body, IConnection, Response, get, http, inherit, on, opened, post, tcp, udp, websocket
from greenimi.container.registry import current_container
from greenimi.servers.doors import Doors
from greenimi.servers.stream import StreamConnection

CONF = """
include = ["tests.live.apps.doors"]

[servers.web]
kind = "http"
max_line = 1000
max_head = 4000
max_fields = 20
max_body = 100000
max_message = 10000

[servers.till]
kind = "tcp"
max_message = 1000

[servers.scale]
kind = "tcp"
framing = "length"
max_message = 1000

[servers.beacon]
kind = "udp"
max_message = 1000
peer_time = 0.01
"""


class Mistake(Exception):
    """What the handlers raise."""


@http
class Web:
    @get("/levels")
    def levels(self) -> dict[str, int]:
        """What this worker holds at the moment, this very request included."""
        gc.collect()
        kinds = [type(thing) for thing in gc.get_objects()]
        doors = current_container().get(Doors)
        handlers = doors.runtime.handlers
        return {
            "pid": os.getpid(),
            "connections": sum(len(getattr(server, "connections", ())) for server in doors.servers.values()),
            "connection objects": kinds.count(StreamConnection),
            "busy handlers": handlers.busy,
            "waiting messages": handlers.waiting,
            "greenlets outside the pool": kinds.count(greenlet) - handlers.size,
            "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        }

    @get("/hello/{name}")
    def hello(self, name: str) -> str:
        return f"hello {name}"

    @post("/echo")
    def echo(self, payload: Any) -> Any:
        return payload

    @get("/double")
    def double(self, number: int) -> int:
        return 2 * number

    @post("/add")
    def add(self, one: int, two: int) -> int:
        return one + two

    @post("/size")
    def size(self, body: Body) -> int:
        return sum(map(len, body))

    @post("/unread")
    def unread(self) -> str:
        return "not read"

    @get("/leave")
    def leave(self) -> Response:
        return Response("bye", headers=[("Connection", "close")])

    @get("/fail")
    def fail(self) -> None:
        raise Mistake("the secret is 42")

    @get("/fail-later")
    def fail_later(self) -> Iterator[str]:
        yield "begun"
        raise Mistake("the secret is 42")


class Echo:
    """What the message doors have in common."""

    @on("echo")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @on("add")
    def add(self, one: int, two: int) -> int:
        return one + two

    @on("fail")
    def fail(self) -> None:
        raise Mistake("the secret is 42")


@websocket("/chat")
@inherit()
class Chat(Echo): ...


@websocket("/text", payload="text")
class Text:
    @on.default
    def echo(self, payload: str) -> str:
        return payload


@websocket("/trap")
class Trap:
    @opened
    def enter(self, connection: IConnection) -> None:
        raise Mistake("the secret is 42")

    @on.default
    def never(self, payload: Any) -> Any:
        return payload


@tcp(server=("till", "scale"))
@inherit()
class Till(Echo): ...


@udp
@inherit()
class Beacon(Echo): ...
