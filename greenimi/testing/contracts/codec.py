"""What every ICodec does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from greenimi.errors import ProtocolError
from greenimi.interfaces import ICodec
from greenimi.testing.contracts.split import noise, splits


class CodecContract(ABC):
    """Bytes in, messages out, whatever the split; a broken peer is an answer, never an exception.

    stream    bytes that hold ``messages`` whole messages       broken  bytes that break the protocol
    """

    stream: bytes
    messages: int
    broken: bytes | None = None

    @abstractmethod
    def make(self) -> ICodec:
        """A codec of a new connection."""

    def facts(self, message: Any) -> Any:
        """What can be compared about a message."""
        return message.raw

    def _read(self, *pieces: bytes) -> tuple[ICodec, list[Any]]:
        codec = self.make()
        found: list[Any] = []
        for piece in pieces:
            found += codec.receive(piece)
        return codec, found

    def test_a_new_codec_is_idle(self) -> None:
        codec = self.make()
        assert codec.outgoing() == b""
        assert (codec.out, codec.closing, codec.paused, codec.ended, codec.crowded) == ([], False, False, False, False)
        assert codec.tick(0.0) is None or codec.tick(0.0) is not None

    def test_any_split_gives_the_same_messages(self) -> None:
        _, whole = self._read(self.stream)
        assert len(whole) == self.messages
        assert not any(isinstance(message, ProtocolError) for message in whole)
        for pieces in splits(self.stream):
            _, found = self._read(*pieces)
            assert [self.facts(message) for message in found] == [self.facts(message) for message in whole]

    def test_outgoing_takes_everything(self) -> None:
        codec, _ = self._read(self.stream)
        codec.outgoing()
        assert codec.out == []
        assert codec.outgoing() == b""

    def test_receive_never_raises(self) -> None:
        for data in noise():
            codec, found = self._read(data, self.stream, data, b"")
            errors = [message for message in found if isinstance(message, ProtocolError)]
            assert len(errors) <= 1
            assert not errors or found[-1] is errors[0]
            assert codec.ended

    def test_the_end_of_the_stream_ends(self) -> None:
        codec, found = self._read(self.stream, b"")
        assert len(found) == self.messages
        assert codec.ended
        assert list(codec.receive(self.stream)) == []
        assert list(codec.receive(b"")) == []

    def test_the_end_of_the_stream_before_anything(self) -> None:
        codec, found = self._read(b"")
        assert (codec.ended, found) == (True, [])

    def test_a_broken_peer_is_told_once_and_last(self) -> None:
        if self.broken is None:
            return
        codec, found = self._read(self.stream + self.broken, self.stream)
        assert len(found) == self.messages + 1
        assert isinstance(found[-1], ProtocolError)
        assert codec.ended
        codec.fail(found[-1])
        assert codec.closing

    def test_close_twice(self) -> None:
        codec = self.make()
        codec.close(1000, "")
        said = codec.outgoing()
        codec.close(1000, "")
        assert codec.outgoing() == b""
        codec.receive(b"")
        codec.close(1000, "")
        assert codec.closing
        assert codec.outgoing() == b"" or not said

    def test_release_after_anything(self) -> None:
        for data in (b"", self.stream[:1], self.stream):
            codec, _ = self._read(data)
            codec.release()
            codec.release()
            assert codec.outgoing() is not None
