"""Says yes to whatever is well-formed: every path and method of HTTP, every message of a WebSocket."""

from __future__ import annotations

from typing import Any

from greenimi import Request, on, on_missing, websocket


@on_missing()
def anything(request: Request) -> str:
    """200, once the whole body was read."""
    request.body()
    return "yes\n"


class AsItCame:
    """Text comes back as text, bytes as bytes."""

    name = "as it came"
    text = False

    def decode(self, raw: bytes | str) -> bytes | str:
        return raw

    def encode(self, value: bytes | str) -> bytes | str:
        return value


@websocket("/echo", payload="tests.conformance.apps.anything:AsItCame")
class Echo:
    @on.default
    def echo(self, payload: Any) -> Any:
        return payload
