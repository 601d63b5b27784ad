"""What every codec of a byte stream shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from zope.interface import implementer

from greenimi.errors import ConfigError, ProtocolError
from greenimi.interfaces import ICodec
from greenimi.message import Message, Request

NOTHING, HEAD, BODY = range(3)
"""What of a message has begun to arrive and is not complete: ``Codec.partial``."""


def body_limit(request: Request, body: int, form: int) -> int:
    """Bytes that the body of an HTTP request may have: ``form`` of a multipart form, where that is not 0, else ``body``.

    A form is read in pieces.  Whoever reads it whole all the same gets no more than of any other body.
    """
    if not form or not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return body
    if request.stream is not None:
        request.stream.limit = body
    return form


@implementer(ICodec)
class Codec(ABC):
    """One connection's protocol state, without any I/O (see ICodec).

    ``out``      bytes waiting to be sent
    ``closing``  True: send what is in ``out``, then close the socket
    ``paused``   True: feed no more bytes until it turns False
    ``ended``    True: no message will come any more, because the peer said goodbye, went away or broke the protocol.  Whoever drives the
                 codec lets the messages it already has be handled, then calls ``close`` (or ``fail``), so that their replies go out first.
    ``parts_well`` True: the protocol has a goodbye that the peer answers, so it may be said at any moment; in other protocols a message
                 that is on its way at that moment is lost.
    ``pings``    True: the peer can be asked for a sign of life at any moment, by ``probe``.
    ``partial``  what the peer has begun and not completed: HEAD of an HTTP request, BODY of one, or of any other message, or NOTHING.
                 Says nothing after ``ended``.
    """

    __slots__ = ("closing", "ended", "out", "partial", "paused")
    parts_well = False
    pings = False

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.closing = False
        self.paused = False
        self.ended = False
        self.partial = NOTHING

    @abstractmethod
    def receive(self, data: bytes) -> Sequence[Message | ProtocolError]:
        """Feed bytes; ``b""`` says that the peer closed.  Never raises."""

    @abstractmethod
    def send(self, reply: Any) -> None:
        """Queue one encoded reply."""

    def send_raw(self, raw: bytes | str) -> None:
        """Queue a payload as it is: where the protocol tells text from binary, str is text and bytes are binary."""
        self.send(raw)

    @abstractmethod
    def fail(self, error: ProtocolError) -> None:
        """Queue the protocol's answer to a broken peer and set ``closing``."""

    @abstractmethod
    def close(self, code: int, reason: str) -> None:
        """Queue the protocol's goodbye; sets ``closing`` now, or once the peer answered it."""

    def break_off(self, error: ProtocolError) -> Sequence[ProtocolError]:
        """What is partial will not be waited for: the peer broke the protocol by that.  What ``receive`` would give then."""
        self.ended = True
        return (error,)

    def turn_away(self) -> None:
        """Queue that there is too much to do, and that the peer should come back later; the goodbye in this protocol."""
        self.close(1013, "come back later")

    def outgoing(self) -> bytes:
        """Take everything in ``out``."""
        out = self.out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    @property
    def crowded(self) -> bool:
        """True: what was received has no room for more until a handler took some of it; read no further."""
        return False

    def change_payload(self, *, text: bool) -> None:  # noqa: B027  # most protocols do not tell text from binary
        """What is encoded for ``send`` means something else from now on.  ``text``: it is UTF-8."""

    def release(self) -> None:  # noqa: B027  # most codecs hold nothing
        """The connection is gone: let go of what would keep this object alive."""

    def probe(self) -> bool:
        """Queue something that a living peer must answer; False when the protocol has nothing of the kind."""
        return False

    def tick(self, now: float) -> float | None:
        """Time passed.  Most protocols have no timers of their own: no further call is wanted."""
        return None


def load_class(dotted: str, what: str) -> Any:
    """The object at ``"pkg.mod:Name"``.  Raises ConfigError, beginning with ``what``, when there is none."""
    module, _, name = dotted.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{what} {dotted!r} cannot be loaded: {error}", hint='name it as "package.module:Class"') from error
