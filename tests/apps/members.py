"""Every door of an application that wants to know who is calling."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

from greenimi import (
    IConnection,
    Identity,
    Message,
    Request,
    authenticator,
    bean,
    closed,
    get,
    http,
    on,
    opened,
    public,
    requires,
    tcp,
    udp,
    websocket,
)
from greenimi.web import Bearer

CONF: dict[str, Any] = {
    "servers": {
        "web": {"kind": "http"},
        "till": {"kind": "tcp"},
        "beacon": {"kind": "udp"},
    }
}


@bean
@dataclass
class Members:
    """Who may show which token.  ``asked``: the tokens that were looked up.  ``happened``: what handlers noted."""

    asked: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    gate: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.tokens = {"ann": Identity("ann", frozenset({"admin", "staff"})), "bob": Identity("bob")}

    def lasts(self, name: str, seconds: float) -> None:
        """From now on the token is valid for so many seconds."""
        self.tokens[name] = replace(self.tokens[name], expires=time.time() + seconds)


@authenticator(server=("web", "till", "beacon"))
@dataclass
class Tokens(Bearer):
    members: Members

    def find(self, token: str) -> Identity | None:
        self.members.asked.append(token)
        return self.members.tokens.get(token)


@http
@dataclass
class Pages:
    members: Members

    @get("/open")
    def open(self) -> str:
        return "open"

    @get("/who")
    def who(self, identity: Identity | None) -> str:
        return "nobody" if identity is None else identity.id

    @get("/me")
    def me(self, identity: Identity, request: Request) -> list[str]:
        assert request.identity is identity
        return [identity.id, *sorted(identity.roles)]

    @get("/any")
    @requires()
    def any(self) -> str:
        return "somebody"

    @requires("admin", "staff")
    @get("/admin")
    def admin(self) -> str:
        return "admin"

    @get("/either")
    @requires(any_of=("owner", "staff"))
    def either(self) -> str:
        return "either"

    @get("/own/{name}")
    @requires(check=lambda identity, request: identity.id == request.params["name"])
    def own(self, name: str) -> str:
        return name

    @get("/ticks")
    @requires()
    def ticks(self) -> Iterator[str]:
        try:
            yield "begun"
            self.members.gate.wait()
            yield "late"
        finally:
            self.members.happened.append("ticks ended")


@http("/staff")
@requires("staff")
class Staff:
    @get("/inside")
    def inside(self) -> str:
        return "inside"

    @get("/admin")
    @requires("owner")
    def admin(self) -> str:
        return "owner"

    @get("/door")
    @public
    def door(self) -> str:
        return "door"


class Talk:
    """What the message doors have in common."""

    def __init__(self, members: Members) -> None:
        self.members = members

    @on("who")
    def who(self, identity: Identity | None) -> str:
        return "nobody" if identity is None else identity.id

    @on("admin")
    @requires("admin")
    def admin(self) -> str:
        return "admin"

    @on("me")
    def me(self, identity: Identity) -> str:
        return identity.id

    @on("become")
    def become(self, connection: IConnection, name: str, seconds: float | None = None) -> None:
        expires = None if seconds is None else time.time() + seconds
        connection.identity = Identity(name, expires=expires) if name else None


@websocket("/talk")
class Chat(Talk):
    @opened
    def enter(self, message: Message, connection: IConnection) -> None:
        assert message.identity is connection.identity
        self.members.happened.append(f"enter {connection.identity.id if connection.identity else 'nobody'}")

    @closed
    def leave(self, connection: IConnection) -> None:
        self.members.happened.append(f"leave {connection.identity.id if connection.identity else 'nobody'}")


@websocket("/club")
@requires("staff")
class Club(Talk):
    pass


@tcp
class Till(Talk):
    @closed
    def leave(self, connection: IConnection) -> None:
        self.members.happened.append(f"leave {connection.identity.id if connection.identity else 'nobody'}")


@udp
class Beacon(Talk):
    pass
