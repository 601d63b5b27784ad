"""Tells what it knows of its clients' links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from greenimi import Body, IConnection, get, http, inherit, on, post, tcp, websocket


def facts(connection: IConnection) -> dict[str, Any]:
    tls = connection.tls
    found: dict[str, Any] = {"pid": os.getpid(), "address": connection.address, "secure": connection.secure}
    if tls is not None:
        peer = tls.peer_certificate
        found |= {"version": tls.version, "cipher": tls.cipher, "alpn": tls.alpn, "name": tls.server_name, "peer": peer and peer["subject"]}
    return found


class Facts:
    @on("facts")
    def facts(self, connection: IConnection) -> dict[str, Any]:
        return facts(connection)

    @on("echo")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}


@http
class Web:
    @get("/facts")
    def facts(self, connection: IConnection) -> dict[str, Any]:
        return facts(connection)

    @post("/size")
    def size(self, body: Body) -> int:
        return sum(map(len, body))

    @get("/count/{mebibytes:int}")
    def count(self, mebibytes: int) -> Iterator[bytes]:
        for number in range(mebibytes):
            yield b"%016d" % number * 65536


@websocket("/chat")
@inherit()
class Chat(Facts): ...


@tcp
@inherit()
class Till(Facts): ...
