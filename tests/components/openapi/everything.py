"""Controllers with every kind of parameter, body and answer that a document can tell of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pydantic

from greenimi import Body, Identity, Request, Response, authenticator, delete, get, http, patch, post, public, put, requires, route
from greenimi.components.openapi import operation
from greenimi.enums import Enum
from greenimi.validate import rules
from greenimi.web import Body as Whole
from greenimi.web import Cookie, Field, Form, Header, Query, Session, UploadedFile
from greenimi.web.authenticators import ApiKey, Bearer


class Colour(Enum):
    RED = "r", "Red"
    GREEN = "g", "Green"


@dataclass
class Wish:
    """What somebody wants."""

    sku: Annotated[str, rules.Text(min=1, max=20)]
    colour: Colour
    pieces: Annotated[int, msgspec.Meta(ge=1)] = 1


class Order(msgspec.Struct, rename="camel"):
    order_id: UUID
    placed_at: dt.datetime
    lines: list[Wish]


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=50)


@authenticator
class Tokens(Bearer):
    def find(self, token: str) -> Identity | None:
        return Identity(token) if token == "known" else None


@authenticator
class Keys(ApiKey):
    scheme = {"type": "apiKey", "in": "header", "name": "X-Own-Key"}  # noqa: RUF012 - as an authenticator of an application has it

    def find(self, digest: str) -> Identity | None:
        return None


@http("/orders")
class Orders:
    """All about orders.  And of nothing else."""

    @get()
    def list(
        self,
        limit: Annotated[int, Query("page-size"), msgspec.Meta(ge=1, le=100, description="how many at most")] = 10,
        colours: tuple[Colour, ...] = (),
        since: dt.datetime | None = None,
        price: Decimal | None = None,
        order: Literal["up", "down"] = "up",
        token: Annotated[str | None, Header("X-Token")] = None,
        seen: Annotated[bool, Cookie()] = False,
    ) -> list[Order]:
        """Lists orders.  The newest come first.

        :param colours: only of these
        :return: those that were found
        """
        return []

    @get("/{number:int}")
    def show(self, number: int) -> Order | None:
        return None

    @post(deprecated=True, tags=("buying",), summary="Place it", description="At once.")
    def place(self, payload: Wish) -> Order:
        """Not this."""
        return Order(UUID(int=1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), [payload])

    @put("/{key:int}")
    def change(self, key: int, pieces: int, note: Annotated[str, "a few words"] = "", city: Annotated[str, Field("to.city")] = "") -> None:
        """Changes an order."""

    @delete("/{number:int}")
    @requires("seller", any_of=("boss", "owner"))
    def remove(self, number: int) -> None:
        """Removes an order."""

    @route("/both", methods=("GET", "POST"))
    def both(self) -> str:
        return ""

    @get("/hidden", include_in_docs=False)
    def hidden(self) -> str:
        return ""

    @route("/head", methods=("HEAD", "OPTIONS"))
    def head(self) -> None:
        """Nobody needs to be told."""


@http("/bodies")
class Bodies:
    @post("/form")
    def form(self, name: Annotated[str, Form()], age: Annotated[int, Form("years")] = 0) -> dict[str, Any]:
        return {}

    @post("/files")
    def files(self, picture: UploadedFile, others: list[UploadedFile], title: Annotated[str, Form()] = "") -> int:
        return 1

    @post("/person")
    def person(self, who: Annotated[Person, Whole]) -> Person:
        return who

    @post("/text")
    def text(self, payload: str) -> str:
        return payload

    @post("/bytes")
    def raw(self, payload: bytes) -> bytes:
        return payload

    @post("/stream", consumes="application/octet-stream")
    def stream(self, body: Body) -> Iterator[str]:
        yield ""

    @patch("/typed", consumes=("application/json", "application/msgpack"))
    def typed(self, names: list[str], inner: Wish) -> Iterator[bytes]:
        yield b""


@http("/things/{kind:csv|json}")
class Things:
    @get("/{key:uuid}")
    def by_key(self, kind: str, key: UUID) -> str | Wish | None:
        return None

    @get("/{share:float}/{rest:path}")
    def share(self, kind: str, share: float, rest: str) -> Any:
        return None

    @get("/{code}")
    def by_code(self, kind: str, code: str) -> Response:
        """Shows one by its code."""
        return Response()

    @get("/{number:int}")
    def by_number(self, kind: str, number: int) -> Response:
        return Response()


@http("/people")
@requires()
@operation(tags=["people"], responses={401: {"description": "who are you?"}})
class People:
    @get()
    @operation(
        summary="By hand",
        operationId="people",
        parameters=[{"name": "page", "in": "query", "description": "which", "example": 2}],
        responses={
            200: {"description": "by hand", "content": {"application/json": {"schema": list[Wish], "example": [Wish("tea", Colour.RED)]}}},
            "400": None,
        },
    )
    def list(self, page: int = 1) -> object:
        """Not this."""
        return []

    @get("/open")
    @public
    def open(self, identity: Identity | None, request: Request, session: Session | None = None) -> str:
        return ""
