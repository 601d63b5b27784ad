"""The WebSocket door: handshakes on a path of an HTTP server, then messages."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from greenimi.codec.handshake import check_upgrade
from greenimi.codec.websocket import WebSocketCodec
from greenimi.errors import Refused
from greenimi.message import Request, Upgrade
from greenimi.servers.messages import MessageEndpoint
from greenimi.servers.settings import ServerSettings
from greenimi.servers.stream import StreamConnection


class WebSocketDoor:
    """One path.  Called with the handshake request inside the HTTP server's layers."""

    def __init__(self, endpoint: MessageEndpoint, settings: ServerSettings, subprotocols: tuple[str, ...]) -> None:
        self._endpoint = endpoint
        self._subprotocols = subprotocols
        self._origins = frozenset(settings.origins)
        self._max_message = settings.max_message
        self._text = endpoint.pipeline.payload.text

    def __call__(self, request: Request) -> Upgrade:
        """The 101, or a Refusal: 403 for a foreign Origin, 400 or 426 for a handshake that is none."""
        handshake = check_upgrade(request, self._subprotocols)
        self._check_origin(request)
        return Upgrade(partial(self._switch, request), handshake.headers)

    def _check_origin(self, request: Request) -> None:
        """A browser tells the site of the page that opens the WebSocket; foreign sites must be allowed by name."""
        origin = request.headers.get("origin")
        if origin is None or "*" in self._origins or origin in self._origins:
            return
        try:
            site = urlsplit(origin).netloc.lower()
        except ValueError:
            site = ""
        if site != request.headers.get("host", "").lower():
            raise Refused(f"the origin {origin[:100]} may not open WebSockets here")

    def _switch(self, request: Request, response: Any, connection: StreamConnection) -> None:
        rest = connection.codec.switch(response)  # type: ignore[attr-defined]  # an HTTP codec until now
        codec = WebSocketCodec(max_message=self._max_message, text_default=self._text)
        connection.switch(codec, self._endpoint, request, rest)
