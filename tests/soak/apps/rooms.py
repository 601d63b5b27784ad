"""What the soaks of the Hub ask for: groups to be in, and messages for all who are."""

from __future__ import annotations

import os
import time
from typing import Any

from greenimi import IConnection, get, green, http, inherit, on, opened, websocket
from greenimi.facades import Hub
from greenimi.hub import Delivery


def told(delivery: Delivery, began: float) -> dict[str, float]:
    """What became of it, and how long one had to wait for that."""
    found = {"delivered": delivery.delivered, "unknown": delivery.unknown, "published": delivery.published}
    return {**found, "seconds": time.monotonic() - began}


class Asking:
    """What both kinds of clients ask for."""

    @on("where")
    def where(self, connection: IConnection) -> dict[str, Any]:
        return {"id": connection.id, "pid": os.getpid()}

    @on("join")
    def join(self, connection: IConnection, group: str) -> bool:
        return Hub.group(group).add(connection)

    @on("part")
    def part(self, connection: IConnection, group: str) -> bool:
        return Hub.group(group).discard(connection)

    @on("shout")
    def shout(self, group: str, first: int, times: int, pause: float, size: int = 10) -> float:
        """So many messages for a group, numbered; the seconds that the slowest of these calls took."""
        slowest = 0.0
        for number in range(first, first + times):
            began = time.monotonic()
            Hub.group(group).send({"number": number, "at": began, "text": "x" * size})
            slowest = max(slowest, time.monotonic() - began)
            green.sleep(pause)
        return slowest

    @on("reach")
    def reach(self, group: str) -> dict[str, float]:
        """One message for a group; it has no number."""
        began = time.monotonic()
        return told(Hub.group(group).send({"reached": group}), began)

    @on("push")
    def push(self, to: str) -> dict[str, float]:
        began = time.monotonic()
        return told(Hub.connection(to).send({"pushed": to}), began)

    @on("count")
    def count(self, group: str) -> dict[str, float]:
        began = time.monotonic()
        return {"count": Hub.group(group).count(), "seconds": time.monotonic() - began}

    @on("held")
    def held(self) -> dict[str, int]:
        return {"connections": len(Hub.connections), "targets": Hub.groups_count}


@websocket("/rooms")
@inherit()
class Rooms(Asking): ...


@websocket("/story")
@inherit()
class Story(Asking):
    """Whoever comes is a reader."""

    @opened
    def begin(self, connection: IConnection) -> None:
        Hub.group("story").add(connection)

    @on("enter")
    def enter(self, connection: IConnection, name: str) -> None:
        connection.data["name"] = name
        Hub.group("hall").add(connection)

    @on("name")
    def name(self, connection: IConnection) -> str:
        return str(connection.data.get("name"))


@http
class Teller:
    @get("/tell/{first:int}/{times:int}")
    def tell(self, first: int, times: int) -> int:
        for number in range(first, first + times):
            Hub.group("story").send({"number": number})
        return times
