"""What every IFraming does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest

from greenimi.codec.packets import PacketCodec
from greenimi.errors import ProtocolError
from greenimi.interfaces import IFraming
from greenimi.testing.contracts.split import splits


class FramingContract(ABC):
    """Packets survive being put into a stream and cut out of it, however the stream is cut, and none is larger than the limit.

    packets    what comes back, in order     too_large  the beginning of a stream that can only hold a packet over the limit of ``make()``
    """

    packets: Sequence[bytes] = (b"one", b"x", b"three" * 20)
    too_large: bytes

    @abstractmethod
    def make(self) -> IFraming:
        """A new framing."""

    def _stream(self) -> bytes:
        framing = self.make()
        return b"".join(framing.wrap(packet) for packet in self.packets)

    def test_packets_come_back(self) -> None:
        assert self.make().cut(self._stream()) == (list(self.packets), b"")

    def test_an_empty_buffer_holds_nothing(self) -> None:
        assert self.make().cut(b"") == ([], b"")

    def test_an_unfinished_packet_is_left(self) -> None:
        framing = self.make()
        stream = self._stream()
        for end in range(len(stream)):
            packets, rest = framing.cut(stream[:end])
            assert packets == list(self.packets[: len(packets)])
            again, left = framing.cut(rest + stream[end:])
            assert (packets + again, left) == (list(self.packets), b"")

    def test_any_split_gives_the_same_packets(self) -> None:
        for pieces in splits(self._stream()):
            codec = PacketCodec(self.make())
            found = [message for piece in pieces for message in codec.receive(piece)]
            assert [message.raw for message in found if not isinstance(message, ProtocolError)] == list(self.packets)
            assert len(found) == len(self.packets)

    def test_connections_do_not_share_what_is_unfinished(self) -> None:
        framing = self.make()
        stream = self._stream()
        one, two = PacketCodec(framing), PacketCodec(framing)
        assert not one.receive(stream[:1])
        assert len(two.receive(stream)) == len(self.packets)
        assert len(one.receive(stream[1:])) == len(self.packets)

    def test_a_packet_over_the_limit_is_refused(self) -> None:
        with pytest.raises(ProtocolError) as caught:
            self.make().cut(self.too_large)
        assert caught.value.status == 413

    def test_what_is_over_the_limit_is_refused_however_it_comes(self) -> None:
        for pieces in splits(self.too_large):
            codec = PacketCodec(self.make())
            found = [message for piece in pieces for message in codec.receive(piece)]
            assert isinstance(found[-1], ProtocolError)
            assert codec.ended
