"""The application that is measured: plain handlers behind every door."""

from __future__ import annotations

from typing import Any

from greenimi import Message, get, http, on, tcp, udp, websocket
from greenimi.container.onion import Proceed


def layer_one(message: Message, proceed: Proceed) -> Any:
    """A layer that only passes on."""
    return proceed(message)


def layer_two(message: Message, proceed: Proceed) -> Any:
    """A layer that only passes on."""
    return proceed(message)


def layer_three(message: Message, proceed: Proceed) -> Any:
    """A layer that only passes on."""
    return proceed(message)


@http
class Hello:
    @get("/hello/{name}")
    def hello(self, name: str) -> dict[str, str]:
        return {"hello": name}


@websocket("/ws", payload="text")
class Echo:
    @on.default
    def echo(self, payload: str) -> str:
        return payload


@tcp
class Line:
    @on.default
    def echo(self, payload: bytes) -> bytes:
        return payload


@udp
class Dgram:
    @on.default
    def echo(self, payload: bytes) -> bytes:
        return payload
