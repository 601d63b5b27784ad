"""What the soaks ask for: answers of every size and pace, on every kind of server, and the faults that a worker can have by itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from greenimi import Body, IConnection, get, green, http, inherit, on, post, tcp, udp, websocket

BIG = 1 << 20
"""Bytes of the answer that slow clients read: far more than kernels keep for them."""

_PIECE = b"x" * 16384
_BIG = b"x" * BIG
_leaked: list[bytes] = []

log = logging.getLogger("soak")


@http
class Web:
    @get("/hello")
    def hello(self) -> str:
        return "hello"

    @get("/pid")
    def pid(self) -> int:
        return os.getpid()

    @get("/big")
    def big(self) -> bytes:
        return _BIG

    @get("/stream")
    def stream(self) -> Iterator[bytes]:
        for _ in range(BIG // len(_PIECE)):
            yield _PIECE

    @post("/size")
    def size(self, body: Body) -> int:
        return sum(map(len, body))

    @get("/leak/{mebibytes:int}")
    def leak(self, mebibytes: int) -> int:
        """Keep that much for ever."""
        _leaked.append(os.urandom(4096) * (mebibytes * 256))
        return os.getpid()

    @get("/log/{lines:int}")
    def log(self, lines: int) -> int:
        for number in range(lines):
            log.warning("line %d of %d, with some text so that it fills a disk", number, lines)
        return lines


class Echo:
    """What the message servers have in common."""

    @on("echo")
    def echo(self, text: str) -> str:
        return text

    @on("flood")
    def flood(self, connection: IConnection, size: int, times: int) -> bool:
        """Push without waiting for the client; whether the connection was open to the end."""
        for _ in range(times):
            if not connection.send("x" * size):
                return False
            green.sleep(0)
        return True


@websocket("/chat")
@inherit()
class Chat(Echo):
    @on("crowd")
    def crowd(self, connection: IConnection, senders: int, times: int, size: int) -> int:
        """Many greenlets send over this connection at the same time."""

        def speak(sender: int) -> None:
            for number in range(times):
                connection.send({"sender": sender, "number": number, "text": chr(97 + sender % 26) * size})
                green.sleep(0)

        speakers = [green.spawn(speak, sender) for sender in range(senders)]
        for speaker in speakers:
            speaker.join()
        return senders * times


@tcp
@inherit()
class Till(Echo): ...


@udp
@inherit()
class Beacon(Echo): ...
