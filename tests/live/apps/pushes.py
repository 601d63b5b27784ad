"""Clients over WebSocket and TCP, and HTTP requests that reach them by the Hub."""

from __future__ import annotations

import os
from typing import Any

from greenimi import Reply, get, http, listener, on, post, tcp, websocket
from greenimi.errors import ConnectionClosed
from greenimi.event import NamedEvent
from greenimi.facades import Hub
from greenimi.interfaces import IConnection

CONF = """
include = ["tests.live.apps.pushes"]
[servers.web]
kind = "http"
[servers.till]
kind = "tcp"
[hub]
wait = 0.5
[hub.groups.log]
history = 100
[hub.groups.room]
presence = true
announce = true
[hub.groups.small]
limit = 2
"""

heard: list[Any] = []


@listener(name="worker.tell")
def hear(event: NamedEvent) -> None:
    heard.append(event.data)


@tcp
@websocket("/chat")
class Chat:
    @on("who")
    def who(self, connection: IConnection) -> dict[str, Any]:
        return {"pid": os.getpid(), "id": connection.id}

    @on("be")
    def be(self, name: str, connection: IConnection) -> bool:
        return Hub.user(name).add(connection)

    @on("join")
    def join(self, group: str, connection: IConnection) -> bool:
        return Hub.group(group).add(connection)


@http
class Desk:
    @get("/worker")
    def worker(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "process": Hub.process, "heard": heard, "groups": Hub.groups_count}

    @post("/send")
    def send(self, payload: dict[str, Any]) -> dict[str, Any]:
        """To the connection, user, group or everyone that the body names; ``raw``: as it is."""
        data = Reply('"raw"') if payload.get("raw") else payload.get("data")
        delivery = _target(payload).send(data, payload.get("event"))
        return {"published": delivery.published, "delivered": delivery.delivered, "unknown": delivery.unknown}

    @post("/call")
    def call(self, payload: dict[str, Any]) -> Any:
        """A method of the target with arguments."""
        return {"result": getattr(_target(payload), payload["call"])(*payload.get("arguments", ()))}

    @post("/context")
    def context(self, payload: dict[str, Any]) -> Any:
        try:
            return {"result": getattr(Hub.connection(payload["connection"]).context, payload["call"])(*payload["arguments"])}
        except (ConnectionClosed, TimeoutError) as error:
            return {"error": type(error).__name__}

    @post("/add")
    def add(self, payload: dict[str, Any]) -> Any:
        """One to a number in the data of a connection, which nobody else changes meanwhile."""
        with Hub.connection(payload["connection"]).context.use() as data:
            data["count"] = data.get("count", 0) + 1
        return {}

    @post("/tell")
    def tell(self, payload: dict[str, Any]) -> dict[str, int]:
        workers = [Hub.worker(process) for process in payload["workers"]] if "workers" in payload else [Hub.workers]
        return {"delivered": sum(worker.send("tell", payload["data"]).delivered for worker in workers)}


def _target(payload: dict[str, Any]) -> Any:
    for kind in ("connection", "user", "group"):
        if kind in payload:
            return getattr(Hub, kind)(payload[kind])
    return Hub.everyone(payload.get("server"))
