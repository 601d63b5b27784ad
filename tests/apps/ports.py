"""One port of each kind, and a second HTTP one: what each handler can see, and traces of what happened to the worker."""

from __future__ import annotations

import os
from threading import Event
from typing import Any

from greenimi import IConnection, bean, closed, get, http, listener, on, opened, tcp, udp, websocket
from greenimi.container import Container
from greenimi.event.lifecycle import Lifecycle

SERVERS = ("web", "admin", "till", "beacon")
KINDS = {"web": "http", "admin": "http", "till": "tcp", "beacon": "udp"}
CONF = 'include = ["tests.apps.ports"]\n' + "".join(f'[servers.{name}]\nkind = "{KINDS[name]}"\n' for name in SERVERS)


class Badge:
    """Each server has one of its own."""

    name = ""


@bean(server="web")
class WebBadge(Badge):
    name = "web"


@bean(server="admin")
class AdminBadge(Badge):
    name = "admin"


@bean(server="till")
class TillBadge(Badge):
    name = "till"


@bean(server="beacon")
class BeaconBadge(Badge):
    name = "beacon"


def say(text: str) -> None:
    """Into what the test reads as the log."""
    print(f"<{os.getpid()} {text}>", flush=True)


def seen(container: Container) -> dict[str, Any]:
    """What a handler can know of its server."""
    badges = [badge.name for badge in container.all(Badge).values()]
    return {"pid": os.getpid(), "container": container.name, "badges": badges}


@http("/seen")
class Web:
    @get("")
    def seen(self, container: Container) -> dict[str, Any]:
        return seen(container)


@websocket("/chat", server="web")
class Chat:
    @opened
    def enter(self) -> None:
        say("opened")

    @closed
    def leave(self) -> None:
        say("closed")

    @on("seen")
    def seen(self, container: Container) -> dict[str, Any]:
        return seen(container)

    @on("hang")
    def hang(self, connection: IConnection) -> None:
        connection.send("hanging")
        Event().wait()


@tcp
class Till:
    @on("seen")
    def seen(self, container: Container) -> dict[str, Any]:
        return seen(container)


@udp
class Beacon:
    @on("seen")
    def seen(self, container: Container) -> dict[str, Any]:
        return seen(container)


@listener
def tell(event: Lifecycle) -> None:
    say(f"{type(event).__name__} {getattr(event, 'name', '')}".strip())
