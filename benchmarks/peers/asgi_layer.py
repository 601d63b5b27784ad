"""A pass-through middleware in pure ASGI, the cheapest kind there is."""

from __future__ import annotations

from typing import Any


class Layer:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
