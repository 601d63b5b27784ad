"""One room for everybody: over WebSocket and over TCP."""

from __future__ import annotations

from greenimi import on, opened, tcp, websocket
from greenimi.facades import Hub
from greenimi.interfaces import IConnection


@websocket("/lobby")
class Lobby:
    @opened
    def enter(self, connection: IConnection) -> None:
        Hub.group("lobby").add(connection)

    @on("be")
    def be(self, name: str, connection: IConnection) -> bool:
        return Hub.user(name).add(connection)

    @on("say")
    def say(self, text: str, connection: IConnection) -> int:
        return Hub.group("lobby").send({"said": text}, skip=[connection]).delivered


@tcp
class Till(Lobby):
    @on("sell")
    def sell(self, sku: str) -> str:
        return sku
