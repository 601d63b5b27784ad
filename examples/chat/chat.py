"""A chat: rooms with names, presence, history and a sign that somebody types.  It stays whole over reconnects and restarts of workers."""

from __future__ import annotations

import time
from typing import Annotated, Any

from greenimi import IConnection, on, websocket
from greenimi.errors import Refused
from greenimi.facades import Hub
from greenimi.validate.rules import Text

Name = Annotated[str, Text(min=1, max=30)]
Words = Annotated[str, Text(min=1, max=1000)]

KEPT = 100
"""Messages that a room shows to those who enter, as many as [hub.groups.room] keeps."""


@websocket("/chat")
class Chat:
    """One room at a time for each client.  What is kept in ``connection.data`` is still there when a client comes back."""

    @on("enter")
    def enter(self, room: Name, name: Name, connection: IConnection) -> dict[str, Any]:
        """Go to a room, out of another one; what was said there, and who is there."""
        before = connection.data.get("room")
        if before not in (None, room):
            Hub.group(f"room:{before}").discard(connection)
            Hub.group(f"typing:{before}").discard(connection)
        connection.data.update(room=room, name=name)
        group = Hub.group(f"room:{room}")
        group.add(connection, {"name": name})
        Hub.group(f"typing:{room}").add(connection)
        said = [{"offset": offset, **words} for offset, words in group.history(limit=KEPT)]
        return {"said": said, "here": self.here(connection)}

    @on("here")
    def here(self, connection: IConnection) -> list[dict[str, str]]:
        """Who is in the room."""
        return [{"user": user, "name": info["name"]} for user, info, _ in Hub.group(f"room:{_room_of(connection)}").present()]

    @on("say")
    def say(self, text: Words, connection: IConnection) -> None:
        """Tell everybody in the room."""
        room = _room_of(connection)
        Hub.group(f"room:{room}").send({"name": connection.data["name"], "text": text, "at": time.time()}, event="said")

    @on("typing")
    def typing(self, connection: IConnection) -> None:
        """Tell the others, of whom a slow one needs to hear only the latest; a group of its own, because nobody wants that kept."""
        group = Hub.group(f"typing:{_room_of(connection)}")
        group.send({"name": connection.data["name"]}, event="typing", skip=[connection], key=connection.id)


def _room_of(connection: IConnection) -> str:
    room: str | None = connection.data.get("room")
    if room is None:
        raise Refused("enter a room first")
    return room
