"""WebSocket messages that are handled while they arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from greenimi.errors import ProtocolError, TooLarge
from greenimi.message import Message


class MessageStream:
    """A WebSocket message as it arrives, in parts: str of a text message, bytes of a binary one.  A codec feeds it, a handler reads it.

    The codec's side (``feed``, ``finish``, ``abort``) never blocks.  Reading calls ``pull`` when it needs more than has arrived; the server
    sets that to something that parks the calling greenlet until the codec was fed again.  Bounded: the server stops reading the socket
    while ``size`` is over its limit.

    text  it is a text message
    """

    __slots__ = ("_error", "_finished", "_left", "_parts", "limit", "pull", "size", "text")

    def __init__(self, *, text: bool, limit: int) -> None:
        """``limit``: bytes that ``read`` gives at most where its caller does not say."""
        self.text = text
        self.limit = limit
        self.size = 0  # of the parts that wait to be read
        self.pull: Callable[[], None] | None = None
        self._parts: list[Any] = []
        self._finished = False
        self._left = False
        self._error: Exception | None = None

    def feed(self, part: bytes | str) -> None:
        if not self._left:
            self._parts.append(part)
            self.size += len(part)

    def finish(self) -> None:
        self._finished = True

    def abort(self, error: Exception) -> None:
        """The rest will never come: who reads gets ``error``."""
        self._error = error

    def leave(self) -> None:
        """Nobody reads any more: what still comes is thrown away."""
        self._left = True
        self._parts.clear()
        self.size = 0

    def __iter__(self) -> Iterator[Any]:
        """The parts, each as soon as it is there, never an empty one.  Blocks the calling greenlet.

        Raises ConnectionClosed when the connection is lost meanwhile, ProtocolError when the rest is malformed or never comes.
        """
        while True:
            while self._parts:
                part = self._parts[0] if len(self._parts) == 1 else self._parts[0][:0].join(self._parts)
                self._parts.clear()
                self.size = 0
                yield part
            if self._finished or self._left:
                return
            if self._error is not None:
                raise self._error
            if self.pull is None:
                raise ProtocolError("the message is incomplete")
            self.pull()

    def read(self, limit: int | None = None) -> Any:
        """Everything that was not read yet.  Raises TooLarge (413) when it is more than ``limit`` bytes (of text: characters)."""
        limit = self.limit if limit is None else limit
        parts = []
        total = 0
        for part in self:
            total += len(part)
            if total > limit:
                raise TooLarge(f"the message is over {limit} bytes")
            parts.append(part)
        return ("" if self.text else b"").join(parts)


class StreamedMessage(Message):
    """A message that is handed out when it begins.  ``raw`` is empty."""

    __slots__ = ("stream",)

    def __init__(self, stream: MessageStream) -> None:
        super().__init__("" if stream.text else b"")
        self.stream = stream
