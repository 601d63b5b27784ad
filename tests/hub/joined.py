"""Hubs of several processes, in one: connections that keep what is pushed to them, joined by the memory relay and one memory store."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from greenimi.codec.payload import payload_from
from greenimi.hub import Hub
from greenimi.hub.ids import first_number
from greenimi.hub.memory_store import MemoryStore
from greenimi.hub.relay import MemoryRelay
from greenimi.hub.settings import HubSettings
from greenimi.interfaces import IDialect, IPayload
from greenimi.message import Identity


class Lines:
    """A dialect: a line for each message."""

    def __init__(self, payload: str = "json") -> None:
        self.payload: IPayload = payload_from(payload)
        self.framed = 0

    def frame(self, encoded: bytes) -> bytes:
        self.framed += 1
        return encoded + b"\n"

    def frame_raw(self, raw: bytes | str) -> bytes:
        return self.frame(raw.encode() if isinstance(raw, str) else raw)


JSON = Lines()


class Server:
    def __init__(self, name: str = "chat") -> None:
        self.name = name
        self.kind = "tcp"
        self.container: Any = None


class Client:
    """A connection.  ``got`` is what was sent to it, decoded."""

    secure = False
    tls = None
    address = ("127.0.0.1", 1)
    local_address = ("127.0.0.1", 2)
    opened_at = last_seen = 0.0

    def __init__(self, hub: Hub, dialect: IDialect | None = JSON, server: str = "chat", identity: Identity | None = None) -> None:
        self.hub = hub
        hub_count[hub] = slot = hub_count.get(hub, 0) + 1
        self.number = first_number(hub.process) + slot
        self.dialect = dialect
        self.server = Server(server)
        self.data: dict[str, Any] = {}
        self.links: Any = None
        self.identity = identity
        self.is_open = True
        self.closed_with: tuple[int, str] | None = None
        self.frames: list[bytes] = []
        self.keys: list[str | None] = []
        hub.payloads.setdefault("json", JSON.payload)
        hub.add(self)  # type: ignore[arg-type]  # it lacks what the Hub has no use for

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def got(self) -> list[Any]:
        return [json.loads(frame) for frame in self.frames]

    def push(self, framed: bytes, key: str | None = None) -> bool:
        if self.is_open:
            self.frames.append(framed)
            self.keys.append(key)
        return self.is_open

    def send(self, data: Any) -> bool:
        assert self.dialect is not None
        return self.push(self.dialect.frame(self.dialect.payload.encode(data)))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """As a server does it: the peer is told, and soon it is gone."""
        if self.is_open:
            self.closed_with = (code, reason)
            self.lose()

    def lose(self) -> None:
        """The client is gone."""
        self.is_open = False
        self.hub.gone(self)  # type: ignore[arg-type]


def connect(hub: Hub, *args: Any, **more: Any) -> Any:
    """A Client that passes for an IConnection: it lacks what the Hub has no use for."""
    return Client(hub, *args, **more)


hub_count: dict[Hub, int] = {}

Make = Callable[..., list[Hub]]


def make_hubs(number: int, settings: HubSettings, store: Any = None) -> list[Hub]:
    """Started, and joined to each other."""
    store = MemoryStore() if store is None else store
    name = secrets.token_hex(8)
    hubs = []
    for _ in range(number):
        own = replace(settings, folder=name)
        hub = Hub(own, relay=MemoryRelay(own), store=store)
        hub.start()
        hubs.append(hub)
    return hubs
