"""WebSockets whose messages are handled while they arrive, or made while they are sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from greenimi import IConnection, Message, MessageStream, Reply, bean, on, tcp, websocket
from greenimi.container.context import scope


@bean
@dataclass
class Stage:
    """What happened, and the gate that handlers stand at."""

    log: list[Any] = field(default_factory=list)
    gate: Event = field(default_factory=Event)


@websocket("/upload", payload="raw")
@dataclass
class Upload:
    stage: Stage

    @on.default
    def take(self, stream: MessageStream) -> bytes:
        self.stage.log.append("begun")
        self.stage.gate.wait()
        total = 0
        try:
            for part in stream:
                total += len(part)
                self.stage.log.append(part[:1])
        except Exception as error:
            self.stage.log.append(type(error).__name__)
            raise
        return b"%d" % total


@websocket("/letters", payload="text")
@dataclass
class Letters:
    stage: Stage

    @on.default
    def take(self, stream: MessageStream, connection: IConnection) -> Any:
        first = next(iter(stream), "")
        if first.startswith("skip"):
            return "skipped"
        if first.startswith("loud"):
            return self._loud(first, stream)
        return f"{first}{stream.read()}"

    def _loud(self, first: str, stream: MessageStream) -> Iterator[str]:
        yield first.upper()
        for part in stream:
            yield part.upper()


@websocket("/made", subprotocols=("v2", "v1"))
@dataclass
class Made:
    stage: Stage

    @on("count")
    def count(self, number: int, message: Message, size: int = 1) -> Iterator[str]:
        try:
            for at in range(number):
                assert scope().message is message
                self.stage.log.append(at)
                yield str(at % 10) * size
        finally:
            self.stage.log.append("closed")

    @on("gate")
    def through_the_gate(self, connection: IConnection) -> Iterator[str]:
        yield "before"
        connection.send({"said": "meanwhile"})
        self.stage.gate.wait()
        yield ""
        yield "behind"

    @on("reply")
    def reply(self) -> Reply:
        return Reply([b"bytes ", b"in ", b"parts"])

    @on("nothing")
    def nothing(self) -> Iterator[str]:
        yield from ()

    @on("early")
    def early(self) -> Iterator[str]:
        if self.stage.log:
            yield "never"
        raise LookupError("before the first part")

    @on("late")
    def late(self) -> Iterator[str]:
        yield "begun"
        raise LookupError("in the middle")

    @on("mixed")
    def mixed(self) -> Iterator[Any]:
        yield "text"
        yield b"bytes"

    @on("stop")
    def stop(self, connection: IConnection) -> Iterator[str]:
        yield "begun"
        connection.close(4001, "enough")
        self.stage.log.append("closed by itself")
        yield "not sent"
        self.stage.log.append("never")

    @on("echo")
    def echo(self, text: str) -> str:
        return text

    @on("protocol")
    def protocol(self, connection: IConnection) -> str:
        return connection.subprotocol


@tcp
class Till:
    @on("parts")
    def parts(self) -> Iterator[str]:
        yield "one"
