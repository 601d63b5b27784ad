"""Litestar: its router, three pure ASGI pass-through middlewares, bodies validated by msgspec."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated

from litestar import Litestar, get, post
from msgspec import Meta, Struct

from benchmarks.peers.asgi_layer import Layer


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


@get("/hello/{name:str}")
async def hello(name: str) -> dict[str, str]:
    return {"hello": name}


@post("/order", status_code=200)
async def order(data: Order) -> Order:
    return data


app = Litestar([hello, order], middleware=[Layer, Layer, Layer], openapi_config=None)
