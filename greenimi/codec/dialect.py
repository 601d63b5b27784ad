"""How messages are encoded for the WebSockets of one payload, once for all of them."""

from __future__ import annotations

from zope.interface import implementer

from greenimi.codec.deflate import Packer
from greenimi.codec.websocket_frames import BINARY, COMPRESSED, MAX_MESSAGE, TEXT, frame, too_large
from greenimi.interfaces import IDialect, IPayload


@implementer(IDialect)
class WebSocketDialect:
    """Finished frames of a server.

    packer  compresses for connections that agreed on that without context; None for all others, also for those with context: what looks
            back into one connection's messages cannot be shared, so they get it as it is
    kind    what dialects that differ in nothing but the payload have in common: the packer
    """

    __slots__ = ("_max_message", "_opcode", "kind", "payload")

    def __init__(self, payload: IPayload, *, max_message: int = MAX_MESSAGE, packer: Packer | None = None) -> None:
        self.payload = payload
        self._max_message = max_message
        self._opcode = TEXT if payload.text else BINARY
        self.kind = packer

    def speaking(self, payload: IPayload) -> WebSocketDialect:
        """The same with another payload."""
        return WebSocketDialect(payload, max_message=self._max_message, packer=self.kind)

    def frame(self, encoded: bytes) -> bytes:
        return self._frame(encoded, self._opcode)

    def frame_raw(self, raw: bytes | str) -> bytes:
        return self._frame(raw.encode(), TEXT) if isinstance(raw, str) else self._frame(raw, BINARY)

    def _frame(self, data: bytes, opcode: int) -> bytes:
        if len(data) > self._max_message:
            raise too_large(len(data), self._max_message)
        if self.kind is not None:
            packed = self.kind.pack(data)
            if packed is not None:
                return frame(packed, opcode | COMPRESSED)
        return frame(data, opcode)
