"""Requests for tests that need no server."""

from __future__ import annotations

from typing import Any

from greenimi.message import Body, Request


def asking(path: str = "/", method: str = "GET", body: Any = b"", query: str = "", **fields: str) -> Request:
    """A request; ``if_none_match="x"`` is its field If-None-Match."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    head = "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""))
    stream = None
    if body:
        stream = Body()
        stream.feed(body)
        stream.finish()
    return Request(method, path, path, query, head, stream=stream)
