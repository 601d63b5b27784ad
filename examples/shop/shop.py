"""One shop behind four doors: HTTP, WebSocket, TCP and UDP.  Everything a client can try stands in README.md beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Annotated

from msgspec import Meta
from peewee import CharField, Model, SqliteDatabase

from greenimi import IConnection, bean, closed, get, http, listener, on, opened, post, tcp, udp, websocket
from greenimi.container import ConfigValue
from greenimi.errors import NotFound
from greenimi.event import Events
from greenimi.validate.rules import Text

HERE = Path(__file__).parent
database = SqliteDatabase(None, pragmas={"journal_mode": "wal", "busy_timeout": 2000})


class Order(Model):
    """An order, kept in SQLite."""

    sku = CharField()

    class Meta:
        database = database


Sku = Annotated[str, Text(min=1, max=40), Meta(examples=["tea"])]


@dataclass(frozen=True)
class Placed:
    """An order as the shop knows it.

    ``id``   the number to ask for it
    ``sku``  what was ordered
    """

    id: int
    sku: str


@dataclass(frozen=True)
class Basket:
    """Several orders at once."""

    skus: Annotated[list[Sku], Meta(min_length=1, max_length=10)]


@dataclass(frozen=True)
class OrderPlaced:
    """An order was placed and is in the database."""

    id: int
    sku: str


@bean
class Shop:
    """What the shop does, whatever door the wish came through."""

    def __init__(self, events: Events, file: Annotated[str, ConfigValue("shop.database")]) -> None:
        self._events = events
        database.init(HERE / file if file != ":memory:" else file)
        with database.connection_context():
            database.create_tables([Order])

    def place(self, sku: str) -> int:
        with database.connection_context(), database.atomic():
            order = Order.create(sku=sku)
        self._events.emit(OrderPlaced(order.id, sku))
        return int(order.id)

    def sku_of(self, order_id: int) -> str:
        with database.connection_context():
            order = Order.get_or_none(Order.id == order_id)
        if order is None:
            raise NotFound(f"there is no order {order_id}")
        return str(order.sku)

    def newest(self, limit: int) -> list[Placed]:
        with database.connection_context():
            return [Placed(order.id, order.sku) for order in Order.select().order_by(Order.id.desc()).limit(limit)]


@bean
class Room:
    """Who is in the chat of this worker."""

    def __init__(self) -> None:
        self._members: set[IConnection] = set()
        self._lock = Lock()

    def enter(self, connection: IConnection) -> None:
        with self._lock:
            self._members.add(connection)

    def leave(self, connection: IConnection) -> None:
        with self._lock:
            self._members.discard(connection)

    def say(self, text: str) -> None:
        with self._lock:
            members = list(self._members)
        for member in members:
            member.send({"said": text})


@http
class Hello:
    """Says hello."""

    @get("/hello/{name}")
    def hello(self, name: Annotated[str, Text(max=100)]) -> dict[str, str]:
        """Greet somebody.

        :param name: who is greeted
        """
        return {"message": f"Hello, {name}!"}


@http("/orders")
@dataclass
class OrderApi:
    """Orders: placed, shown and listed."""

    shop: Shop

    @get()
    def newest(self, limit: Annotated[int, Meta(ge=1, le=100)] = 10) -> list[Placed]:
        """List orders, the newest first.

        :param limit: how many at most
        """
        return self.shop.newest(limit)

    @post()
    def place(self, sku: Sku) -> Placed:
        """Place an order.

        :param sku: what is ordered
        """
        return Placed(self.shop.place(sku), sku)

    @post("/basket")
    def place_all(self, payload: Basket) -> list[Placed]:
        """Place several orders.  They get their numbers in the order of the basket."""
        return [Placed(self.shop.place(sku), sku) for sku in payload.skus]

    @get("/{order_id:int}")
    def show(self, order_id: int) -> Placed:
        """Show an order.

        :param order_id: the number that it was given
        """
        return Placed(order_id, self.shop.sku_of(order_id))


@websocket("/chat")
@dataclass
class Chat:
    room: Room

    @opened
    def enter(self, connection: IConnection) -> None:
        self.room.enter(connection)

    @closed
    def leave(self, connection: IConnection) -> None:
        self.room.leave(connection)

    @on("echo")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @on("say")
    def say(self, text: str) -> None:
        self.room.say(text)


@tcp
@dataclass
class Till:
    shop: Shop

    @on("echo")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}

    @on("sell")
    def sell(self, sku: str) -> dict[str, int]:
        return {"id": self.shop.place(sku)}

    @on("show")
    def show(self, order: int) -> dict[str, str]:
        return {"sku": self.shop.sku_of(order)}


@udp
class Beacon:
    @on("echo")
    def echo(self, text: str) -> dict[str, str]:
        return {"text": text}


@listener
def count(event: OrderPlaced) -> None:
    print(f"order {event.id}: {event.sku}", flush=True)
