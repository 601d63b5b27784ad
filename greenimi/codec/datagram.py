"""Datagrams: each is one whole message.  There is no stream, so this is no ICodec: nothing to gather, to close or to end."""

from __future__ import annotations

from zope.interface import implementer

from greenimi.errors import ProtocolError
from greenimi.interfaces import IDialect, IPayload
from greenimi.message import Datagram

MAX_UDP = 65507  # bytes of payload that fit one UDP datagram over IPv4


class DatagramCodec:
    """The size limit of what a server takes.  An empty datagram is a message like any other.

    Read ``read_size`` bytes at once: one more than the limit, so that a datagram over it shows instead of being cut silently.
    """

    __slots__ = ("_make", "limit", "read_size")

    def __init__(self, limit: int = MAX_UDP, make: type[Datagram] = Datagram) -> None:
        """``make``: what is made of the bytes."""
        self._make = make
        if not 1 <= limit <= MAX_UDP:
            raise ValueError(f"limit must be 1 to {MAX_UDP}, not {limit}")
        self.limit = limit
        self.read_size = limit + 1

    def receive(self, data: bytes) -> Datagram | ProtocolError:
        """The message, or why it is none.  Never raises."""
        if len(data) > self.limit:
            return ProtocolError(f"a datagram is over the limit of {self.limit} bytes", status=413, code=1009)
        return self._make(data)


@implementer(IDialect)
class DatagramDialect:
    """What is sent: one message a datagram, as its payload encoded it."""

    __slots__ = ("payload",)

    def __init__(self, payload: IPayload) -> None:
        self.payload = payload

    def frame(self, encoded: bytes) -> bytes:
        """The datagram as it goes out.  ValueError when it would not fit one."""
        if len(encoded) > MAX_UDP:
            raise ValueError(f"a message of {len(encoded)} bytes does not fit a datagram, which holds at most {MAX_UDP}")
        return encoded

    def frame_raw(self, raw: bytes | str) -> bytes:
        """The same for a payload as it is; text goes out in UTF-8."""
        return self.frame(raw.encode() if isinstance(raw, str) else raw)
