"""The codec of raw TCP servers: a byte stream of packets, as a framing cuts it."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from greenimi.codec.base import BODY, NOTHING, Codec
from greenimi.codec.framing import framing_of
from greenimi.errors import ProtocolError
from greenimi.interfaces import IDialect, IPayload
from greenimi.message import Message


class PacketCodec(Codec):
    """A byte stream of packets.  ``receive`` gives a Message per packet, ``raw`` bytes; ``send`` wraps one.

    There is no goodbye on the wire: ``close`` and ``fail`` only set ``closing``.  A packet that is unfinished when the peer closes is never
    handed out, also no last line without its end: it may be half a command.  It is reported as a ProtocolError.
    """

    __slots__ = ("_framing", "_rest")

    def __init__(self, framing: Any) -> None:
        super().__init__()
        self._framing = framing_of(framing)
        self._rest = bytearray()

    def receive(self, data: bytes) -> list[Message | ProtocolError]:
        if self.ended:
            return []
        if not data:
            return self._hung_up()
        rest = self._rest
        if rest:
            rest += data
            if not self._framing.ready(rest, len(data)):
                return []
            data = bytes(rest)
            rest.clear()
            self.partial = NOTHING
        packets: list[bytes] = []
        try:
            left = self._framing.split(data, packets)
        except ProtocolError as error:
            self.ended = True
            return [*map(Message, packets), error]
        if left:
            rest += left
            self.partial = BODY
        if len(packets) == 1:
            return [Message(packets[0])]
        return [Message(packet) for packet in packets]

    def _hung_up(self) -> list[Message | ProtocolError]:
        self.ended = True
        if not self._rest:
            return []
        return [ProtocolError(f"the peer closed in the middle of a packet, after {len(self._rest)} bytes of it")]

    def send(self, reply: Any) -> None:
        """Queue one packet; str leaves as UTF-8.  ValueError when the framing cannot carry it.  Dropped after ``close``."""
        if not self.closing:
            self.out.append(self._framing.wrap(reply.encode() if isinstance(reply, str) else reply))

    def send_framed(self, framed: bytes) -> None:
        """Queue what ``PacketDialect.frame`` made, for many connections at once.  Dropped after ``close``."""
        if not self.closing:
            self.out.append(framed)

    def fail(self, error: ProtocolError) -> None:
        self.ended = True
        self.closing = True

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.ended = True
        self.closing = True


@implementer(IDialect)
class PacketDialect:
    """How messages are encoded for the connections of a framing and a payload.

    kind  what dialects that differ in nothing but the payload have in common
    """

    __slots__ = ("_wrap", "kind", "payload")

    def __init__(self, framing: Any, payload: IPayload) -> None:
        self.kind = framing
        self.payload = payload
        self._wrap = framing_of(framing).wrap

    def frame(self, encoded: bytes) -> bytes:
        """One packet.  ValueError when the framing cannot carry it."""
        return self._wrap(encoded)

    def frame_raw(self, raw: bytes | str) -> bytes:
        """One packet; str as UTF-8.  ValueError when the framing cannot carry it."""
        return self._wrap(raw.encode() if isinstance(raw, str) else raw)

    def speaking(self, payload: IPayload) -> PacketDialect:
        """The same with another payload."""
        return PacketDialect(self.kind, payload)
