"""The WebSocket door: handshakes on a path of an HTTP server, then messages."""

from __future__ import annotations

from functools import partial
from typing import Any

from greenimi.codec.deflate import Agreement, ContextPacker, DeflateRules, Packer, Unpacker
from greenimi.codec.dialect import WebSocketDialect
from greenimi.codec.handshake import Handshake, check_upgrade
from greenimi.codec.websocket import WebSocketCodec
from greenimi.codec.websocket_streams import StreamingCodec
from greenimi.message import Identity, Request, Upgrade
from greenimi.servers.messages import MessageEndpoint
from greenimi.servers.origin import Origins
from greenimi.servers.settings import DeflateSettings, ServerSettings
from greenimi.servers.stream import StreamConnection


class WebSocketDoor:
    """One path.  Called with the handshake request inside the HTTP server's layers."""

    def __init__(self, endpoint: MessageEndpoint, settings: ServerSettings, subprotocols: tuple[str, ...]) -> None:
        self._endpoint = endpoint
        self._subprotocols = subprotocols
        self._origins = Origins(settings.origins)
        self._max_message = settings.max_message
        self._max_frame = settings.max_frame or None
        self._room = settings.high_water
        payload = endpoint.pipeline.payload
        self._text = payload.text
        self._streams = endpoint.pipeline.streams
        self._rules = None if self._streams else deflate_rules(settings.deflate)
        self._plain = WebSocketDialect(payload, max_message=settings.max_message)
        self._packing: dict[int, tuple[Packer, WebSocketDialect]] = {}  # by the window agreed on

    def __call__(self, request: Request) -> Upgrade:
        """The 101, or a Refusal: 403 for a foreign Origin, 401 for wrong credentials, 400 or 426 for a handshake that is none."""
        handshake = check_upgrade(request, self._subprotocols, self._rules)
        self._origins.check(request)
        return Upgrade(partial(self._switch, request, request.identity, handshake), handshake.headers)

    def _switch(
        self, request: Request, identity: Identity | None, handshake: Handshake, response: Any, connection: StreamConnection
    ) -> None:
        connection, rest = connection.upgrade(response)
        connection.identity = identity
        codec, dialect = self._speak(handshake)
        connection.switch(codec, self._endpoint, request, rest)
        connection.join(dialect)

    def _speak(self, handshake: Handshake) -> tuple[WebSocketCodec, WebSocketDialect]:
        """How the messages of a connection are told, in and out: a codec of its own, a dialect that it shares."""
        common: dict[str, Any] = {
            "max_message": self._max_message,
            "max_frame": self._max_frame,
            "text_default": self._text,
            "subprotocol": handshake.subprotocol,
        }
        agreed = handshake.deflate
        if self._streams:
            return StreamingCodec(room=self._room, **common), self._plain
        if agreed is None or self._rules is None:
            return WebSocketCodec(**common), self._plain
        packer, dialect = self._packer(agreed, self._rules)
        unpacker = Unpacker(agreed.peer_window, context=agreed.peer_context, limit=self._max_message)
        return WebSocketCodec(packer=packer, unpacker=unpacker, **common), dialect

    def _packer(self, agreed: Agreement, rules: DeflateRules) -> tuple[Packer, WebSocketDialect]:
        if agreed.context:
            return ContextPacker(rules, agreed.window), self._plain
        found = self._packing.get(agreed.window)
        if found is None:
            packer = Packer(rules, agreed.window)
            dialect = WebSocketDialect(self._plain.payload, max_message=self._max_message, packer=packer)
            found = self._packing[agreed.window] = packer, dialect
        return found


def deflate_rules(settings: DeflateSettings) -> DeflateRules | None:
    """None: nothing is compressed."""
    if not settings.enabled:
        return None
    return DeflateRules(settings.level, settings.minimum, settings.window, settings.context)
