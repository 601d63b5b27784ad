"""The shop behind proxies: every server tells who it is talking to."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from greenimi import IConnection, Request, get, health_check, http, inherit, on, tcp, udp, websocket

gate = os.environ.get("SHOP_GATE")
while gate and not Path(gate).exists():  # a start that takes its time
    time.sleep(0.02)

_closed = Path(os.environ.get("SHOP_CLOSED", "/nonexistent"))


@health_check("shop", every=0.1, limit=1)
def is_open() -> bool:
    return not _closed.exists()


@http(server="web")
class Web:
    @get("/who")
    def who(self, connection: IConnection, request: Request) -> dict[str, Any]:
        return {
            "address": connection.address,
            "connection": connection.id,
            "forwarded": request.headers.get("x-forwarded-for", ""),
            "host": request.headers.get("host", ""),
            "pid": os.getpid(),
        }


class Who:
    """What the message servers have in common."""

    @on("who")
    def who(self, connection: IConnection) -> dict[str, Any]:
        return {"address": connection.address}

    @on("echo")
    def echo(self, text: str) -> str:
        return text


@websocket("/chat", server="web")
@inherit()
class Chat(Who): ...


@tcp(server="till")
@inherit()
class Till(Who): ...


@udp
@inherit()
class Beacon(Who): ...
