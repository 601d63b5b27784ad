"""Every door answers with what it was given, or waits until a test lets it go on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from greenimi import (
    Body,
    IConnection,
    Reply,
    Request,
    Response,
    bean,
    closed,
    delete,
    get,
    http,
    on,
    opened,
    post,
    route,
    tcp,
    udp,
    websocket,
)
from greenimi.errors import Refused
from greenimi.pool.errors import PoolTimeout

CONF: dict[str, Any] = {
    "servers": {
        "web": {"kind": "http"},
        "till": {"kind": "tcp"},
        "beacon": {"kind": "udp"},
    }
}


@bean
@dataclass
class Stage:
    """What happened, in order, and the gate that ``wait`` handlers stand at."""

    log: list[Any] = field(default_factory=list)
    gate: Event = field(default_factory=Event)
    opening: Event = field(default_factory=Event)
    waiting: int = 0

    def __post_init__(self) -> None:
        self.opening.set()

    def wait(self) -> None:
        self.waiting += 1
        try:
            self.gate.wait()
        finally:
            self.waiting -= 1


@http
@dataclass
class Web:
    stage: Stage

    @get("/echo/{text}")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @post("/echo")
    def echo_body(self, payload: Any) -> Any:
        return payload

    @get("/wait")
    def wait(self) -> str:
        self.stage.wait()
        return "waited"

    @get("/item/{number:int}")
    def item(self, number: int) -> int:
        return number

    @delete("/item/{number:int}")
    def remove(self, number: int) -> None:
        self.stage.log.append(number)

    @route("/both", methods=("GET", "POST"))
    def both(self, request: Request) -> str:
        return request.method

    @get("/fail")
    def fail(self) -> None:
        raise RuntimeError("the secret is 42")

    @get("/busy")
    def busy(self) -> None:
        raise PoolTimeout("none was free")

    @get("/late")
    def late(self) -> None:
        raise TimeoutError

    @get("/refuse")
    def refuse(self) -> None:
        raise Refused("not today", details={"until": "tomorrow"})

    @get("/count/{number:int}")
    def count(self, number: int) -> Iterator[bytes]:
        try:
            for at in range(number):
                self.stage.log.append(at)
                yield b"%06d\n" % at * 1000
        finally:
            self.stage.log.append("done")

    @get("/broken")
    def broken(self) -> Iterator[str]:
        yield "begun"
        raise RuntimeError("in the middle")

    @post("/sizes")
    def sizes(self, body: Body) -> list[int]:
        self.stage.log.append("reading")
        self.stage.wait()
        return [sum(map(len, body))]

    @post("/ignore")
    def ignore(self) -> str:
        return "not read"

    @get("/bad-head")
    def bad_head(self) -> Response:
        return Response("x", headers=[("X-Bad", "a\r\nSet-Cookie: b")])


@websocket("/chat")
@dataclass
class Chat:
    stage: Stage

    @opened
    def enter(self, connection: IConnection) -> None:
        self.stage.log.append("opening")
        self.stage.opening.wait()
        self.stage.log.append("opened")

    @closed
    def leave(self, connection: IConnection) -> None:
        self.stage.log.append("closed")

    @on("echo")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @on("note")
    def note(self, number: int) -> None:
        self.stage.log.append(number)

    @on("wait")
    def wait(self) -> str:
        self.stage.log.append("waiting")
        self.stage.wait()
        return "waited"

    @on("fail")
    def fail(self) -> None:
        raise RuntimeError("the secret is 42")

    @on("refuse")
    def refuse(self) -> None:
        raise Refused("not today")

    @on("flood")
    def flood(self, connection: IConnection, size: int) -> bool:
        return connection.send("x" * size)

    @on("leave")
    def go(self, connection: IConnection) -> None:
        connection.close(4001, "gone")

    @on("raw")
    def raw(self) -> Reply:
        return Reply(b"\x00\xff")

    @on("whoami")
    def whoami(self, connection: IConnection) -> dict[str, Any]:
        return {"id": connection.id, "server": connection.server.name}


@tcp
@dataclass
class Till:
    stage: Stage

    @opened
    def enter(self) -> None:
        self.stage.log.append("opening")
        self.stage.opening.wait()
        self.stage.log.append("opened")

    @closed
    def leave(self) -> None:
        self.stage.log.append("closed")

    @on("echo")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @on("note")
    def note(self, number: int) -> None:
        self.stage.log.append(number)

    @on("wait")
    def wait(self) -> str:
        self.stage.log.append("waiting")
        self.stage.wait()
        return "waited"

    @on("fail")
    def fail(self) -> None:
        raise RuntimeError("the secret is 42")

    @on("flood")
    def flood(self, connection: IConnection, times: int) -> list[bool]:
        return [connection.send("x" * 65536) for _ in range(times)]

    @on("tell")
    def tell(self, connection: IConnection, text: str) -> None:
        connection.send({"told": text})

    @on("leave")
    def go(self, connection: IConnection) -> None:
        connection.send("bye")
        connection.close()


@udp
@dataclass
class Beacon:
    stage: Stage

    @on("echo")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @on("wait")
    def wait(self) -> str:
        self.stage.wait()
        return "waited"

    @on("fail")
    def fail(self) -> None:
        raise RuntimeError("the secret is 42")

    @on("large")
    def large(self, size: int) -> str:
        return "x" * size

    @on("tell")
    def tell(self, connection: IConnection, text: str) -> None:
        connection.send({"told": text})
