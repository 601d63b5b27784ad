"""Datagrams: each is one whole message.  There is no stream, so this is no ICodec: nothing to gather, to close or to end."""

from __future__ import annotations

from greenimi.errors import ProtocolError
from greenimi.message import Datagram

MAX_UDP = 65507  # bytes of payload that fit one UDP datagram over IPv4


class DatagramCodec:
    """The size limits of one server's datagrams.  An empty datagram is a message like any other.

    Read ``read_size`` bytes at once: one more than the limit, so that a datagram over it shows instead of being cut silently.
    """

    __slots__ = ("limit", "read_size")

    def __init__(self, limit: int = MAX_UDP) -> None:
        if not 1 <= limit <= MAX_UDP:
            raise ValueError(f"limit must be 1 to {MAX_UDP}, not {limit}")
        self.limit = limit
        self.read_size = limit + 1

    def receive(self, data: bytes) -> Datagram | ProtocolError:
        """The message, or why it is none.  Never raises."""
        if len(data) > self.limit:
            return ProtocolError(f"a datagram is over the limit of {self.limit} bytes", status=413, code=1009)
        return Datagram(data)

    def frame(self, reply: bytes | str) -> bytes:
        """The datagram as it goes out.  ValueError when it would not fit one."""
        data = reply.encode() if isinstance(reply, str) else reply
        if len(data) > MAX_UDP:
            raise ValueError(f"a reply of {len(data)} bytes does not fit a datagram, which holds at most {MAX_UDP}")
        return data
