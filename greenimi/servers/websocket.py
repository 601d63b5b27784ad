"""The WebSocket door: handshakes on a path of an HTTP server, then messages."""

from __future__ import annotations

from functools import partial
from typing import Any

from greenimi.codec.handshake import check_upgrade
from greenimi.codec.websocket import WebSocketCodec
from greenimi.message import Identity, Request, Upgrade
from greenimi.servers.messages import MessageEndpoint
from greenimi.servers.origin import check_origin
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
        """The 101, or a Refusal: 403 for a foreign Origin, 401 for wrong credentials, 400 or 426 for a handshake that is none."""
        handshake = check_upgrade(request, self._subprotocols)
        check_origin(request, self._origins)
        return Upgrade(partial(self._switch, request, request.identity), handshake.headers)

    def _switch(self, request: Request, identity: Identity | None, response: Any, connection: StreamConnection) -> None:
        connection, rest = connection.upgrade(response)
        connection.identity = identity
        codec = WebSocketCodec(max_message=self._max_message, text_default=self._text)
        connection.switch(codec, self._endpoint, request, rest)
