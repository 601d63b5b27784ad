"""ASGI without a framework: the server's own cost.  The path is cut by hand; any WebSocket path echoes."""

from __future__ import annotations

import json
from typing import Any

PREFIX = "/hello/"


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await hello(scope["path"], send)
    elif scope["type"] == "websocket":
        await echo(receive, send)


async def hello(path: str, send: Any) -> None:
    found = path.startswith(PREFIX)
    body = json.dumps({"hello": path[len(PREFIX) :]} if found else {"error": "not found"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(receive: Any, send: Any) -> None:
    while (event := await receive())["type"] != "websocket.disconnect":
        if event["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "websocket.send", "text": event["text"]})
