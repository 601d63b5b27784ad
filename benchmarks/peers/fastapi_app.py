"""FastAPI: its router with a typed path parameter, three pure ASGI pass-through middlewares, bodies validated by pydantic."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated

from fastapi import FastAPI
from pydantic import BaseModel, Field

from benchmarks.peers.asgi_layer import Layer


class Status(Enum):
    OPEN = "open"
    PAID = "paid"
    SENT = "sent"


class Address(BaseModel):
    street: Annotated[str, Field(min_length=1, max_length=100)]
    city: Annotated[str, Field(min_length=1, max_length=100)]
    postcode: Annotated[str, Field(pattern="^[0-9]{5}$")]


class Order(BaseModel):
    id: Annotated[int, Field(ge=1)]
    name: Annotated[str, Field(min_length=1, max_length=80)]
    price: Annotated[float, Field(gt=0)]
    quantity: Annotated[int, Field(ge=1, le=1000)]
    gift: bool
    ordered: datetime
    tags: Annotated[list[str], Field(max_length=10)]
    status: Status
    address: Address
    note: str | None = None


app = FastAPI()
for _ in range(3):
    app.add_middleware(Layer)


@app.get("/hello/{name}")
async def hello(name: str) -> dict[str, str]:
    return {"hello": name}


@app.post("/order")
async def order(data: Order) -> Order:
    return data
