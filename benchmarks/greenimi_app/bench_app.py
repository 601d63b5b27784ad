"""The application that is measured: plain handlers behind every door."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated, Any

from msgspec import Meta, Struct

from greenimi import IConnection, Message, get, http, on, opened, post, tcp, udp, websocket
from greenimi.container.onion import Proceed
from greenimi.facades import Hub
from greenimi.web import UploadedFile


def layer_one(message: Message, proceed: Proceed) -> Any:
    """A layer that only passes on."""
    return proceed(message)


def layer_two(message: Message, proceed: Proceed) -> Any:
    """A layer that only passes on."""
    return proceed(message)


def layer_three(message: Message, proceed: Proceed) -> Any:
    """A layer that only passes on."""
    return proceed(message)


class Status(Enum):
    OPEN = "open"
    PAID = "paid"
    SENT = "sent"


class Address(Struct):
    street: Annotated[str, Meta(min_length=1, max_length=100)]
    city: Annotated[str, Meta(min_length=1, max_length=100)]
    postcode: Annotated[str, Meta(pattern="^[0-9]{5}$")]


class Order(Struct):
    id: Annotated[int, Meta(ge=1)]
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    price: Annotated[float, Meta(gt=0)]
    quantity: Annotated[int, Meta(ge=1, le=1000)]
    gift: bool
    ordered: datetime
    tags: Annotated[list[str], Meta(max_length=10)]
    status: Status
    address: Address
    note: str | None = None


@http
class Hello:
    @get("/hello/{name}")
    def hello(self, name: str) -> dict[str, str]:
        return {"hello": name}

    @post("/order")
    def order(self, payload: Order) -> Order:
        return payload

    @post("/upload")
    def upload(self, file: UploadedFile) -> dict[str, int]:
        return {"bytes": file.size}


@websocket("/ws", payload="text")
class Echo:
    @on.default
    def echo(self, payload: str) -> str:
        return payload


@websocket("/fan", payload="text")
class Fan:
    """What one sends comes to all of them."""

    @opened
    def enter(self, connection: IConnection) -> None:
        Hub.group("fan").add(connection)

    @on.default
    def tell(self, payload: str) -> None:
        Hub.group("fan").send(payload)


@websocket("/push", payload="text")
class Push:
    """``who`` gives the connection's own id, ``push ID TEXT`` sends a text to another."""

    @on.default
    def push(self, payload: str, connection: IConnection) -> str | None:
        order, _, rest = payload.partition(" ")
        if order == "who":
            return connection.id
        number, _, text = rest.partition(" ")
        Hub.connection(number).send(text)
        return None


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
