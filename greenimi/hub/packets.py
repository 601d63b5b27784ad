"""What processes tell each other through a relay, in MessagePack.  Each packet is one of these, an array that begins with its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from greenimi.hub.outgoing import Outgoing
from greenimi.interfaces import IPayload


class _Packet(msgspec.Struct, array_like=True, tag=True):
    pass


class Push(_Packet, tag="p"):
    """A message for the members of a target, or for connections by number.  Answered with how many it was queued for.

    ``bodies`` are what payloads made of the data, ``value`` is the data itself; or it is ``raw``, text or not.
    """

    target: str
    numbers: list[int]
    bodies: dict[str, bytes]
    value: bytes | None
    raw: bytes | None
    text: bool
    skip: list[int]
    key: str | None

    def outgoing(self, payloads: Mapping[str, IPayload]) -> Outgoing:
        """``payloads``: those of this process."""
        raw: bytes | str | None = self.raw
        if self.text and self.raw is not None:
            raw = self.raw.decode()
        return Outgoing(key=self.key, raw=raw, bodies=self.bodies, value=self.value, known=payloads)


class Close(_Packet, tag="c"):
    """Say goodbye to the members of a target, or to connections by number.  Answered with how many there were."""

    target: str
    numbers: list[int]
    code: int
    reason: str


class Count(_Packet, tag="n"):
    """How many members has a target?"""

    target: str


class List(_Packet, tag="l"):
    """Which members has a target?  Answered with their numbers in MessagePack."""

    target: str


class Change(_Packet, tag="g"):
    """Put a connection into a group, or take it out; bind it to a user, or let it go: ``what`` is join, part, bind, claim or free.

    Answered with [done, what was wrong, its HTTP status].
    """

    what: str
    number: int
    name: str
    info: Any = None


class News(_Packet, tag="h"):
    """The history of a group has grown up to an offset, by this message.  Answered with the number of its members."""

    group: str
    offset: int
    epoch: str
    message: bytes


class Shared(_Packet, tag="x"):
    """An operation on the data of a connection: see greenimi.hub.contexts.  Answered with [found, result, what was wrong]."""

    number: int
    operation: str
    name: str
    value: Any


class Request(_Packet, tag="r"):
    """Ask the client of a connection, and wait for its reply that many seconds.  Answered with [kind of error or "", reply or text]."""

    number: int
    data: dict[str, Any]
    timeout: float


class Surrender(_Packet, tag="s"):
    """The client of a connection is back on another one and shows its token, of which this is the digest: give the record up.

    Answered with the record, or nothing.
    """

    number: int
    digest: bytes


class Say(_Packet, tag="w"):
    """A message of the application to this process: told as an event.  Answered with 1."""

    action: str
    data: bytes


AnyPacket = Push | Close | Count | List | Change | News | Shared | Request | Surrender | Say

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(AnyPacket).decode
encode_value = msgspec.msgpack.Encoder().encode
UNTELLABLE = (TypeError, ValueError, OverflowError, RecursionError)
"""What it raises for values that have no MessagePack."""

decode_value = msgspec.msgpack.Decoder().decode


def number(count: int) -> bytes:
    """An answer that counts."""
    return count.to_bytes(4, "big")
