"""Every joint of the core.  A component's own interfaces stand in the component.

Interfaces are declared with zope.interface, the registry's own language; user code may as well be found by its class or by a
``typing.Protocol``.  Each contract states what it guarantees: order, delivery, blocking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from greenimi.errors import ProtocolError
    from greenimi.message import Message

# Methods of a zope interface are written without ``self``; ``interfaces.pyi`` says the same to type checkers.
# ruff: noqa: N805

S = TypeVar("S")


class IConfig(Interface):
    """The configuration tree.  Reading never blocks."""

    env = Attribute("environment variables, those of .env included, with typed getters")

    def get(path: str, default: Any = ...) -> Any:
        """The value at a dotted path (``"cache.default.driver"``); ``default`` when absent, ConfigError when there is none."""

    def section(path: str) -> Mapping[str, Any]:
        """The table at ``path``, empty when absent."""

    def settings(path: str, kind: type[S]) -> S:
        """The table at ``path`` bound to a frozen dataclass.  ConfigError names the key, the file that set it and a suggestion."""

    def set(path: str, value: Any) -> None:
        """Change a value while running; emits ConfigChanged(path, old, new) to this process's listeners."""

    def place(path: str) -> str:
        """Where the value was set, for messages: ``conf/app.toml:12``; "" when nothing set it."""

    def where(path: str) -> str:
        """Which source set the value: a file name, ``environment``, ``command line`` or ``default``."""


class IService(Interface):
    """Something with a start and a stop.  Tiers start in the order RESOURCES, WORK, DOORS and stop in reverse."""

    tier = Attribute("a container.service.Tier")

    def start() -> None:
        """Become ready.  Raises to stop the start of the application; what already started is stopped again."""

    def drain() -> None:
        """Take no new work; may return before the work at hand is done."""

    def stop() -> None:
        """Finish, within the time the application grants.  Called once, also after a failed start of a later service."""


class IConnection(Interface):
    """A client's link.  Handlers get it by annotation: ``def enter(self, connection: IConnection)``."""

    id = Attribute("unique in the cluster, names its node; not a secret")
    address = Attribute("the peer's address as the socket gives it: (host, port) or a path")
    server = Attribute("the server that owns it: .name, .kind, .container")
    data = Attribute("a dict for the application's state of this client; gone when the connection is")
    is_open = Attribute("False once it is closing")
    secure = Attribute("True: the link to the client is encrypted")
    identity = Attribute("None, or the Identity of the client, once an authenticator found out")
    tls = Attribute("None, or what its TLS handshake agreed on: .version, .cipher, .alpn, .server_name, .peer_certificate")

    def send(data: Any) -> bool:
        """Encode with this connection's payload codec and queue for sending.  Never blocks; order kept.

        False when the connection is closed.  Over the outbox limit the connection is closed (slow consumer) and False returned.
        """

    def close(code: int = ..., reason: str = ...) -> None:
        """Say goodbye in the protocol's own way after everything queued went out.  Returns at once; closing twice does nothing."""


class ICodec(Interface):
    """One connection's protocol state: bytes in, messages out.  Sans-IO: no socket, no clock, no greenlet.

    Any split of the incoming bytes gives the same messages.
    """

    out = Attribute("list of bytes waiting to be sent; read by the server without a call")
    closing = Attribute("True: send what is in `out`, then close the socket")
    paused = Attribute("True: bytes are kept, not read, until a switch of protocol is decided")
    ended = Attribute("True: no message will come any more; let those given be handled, then call `close` (or `fail`)")
    partial = Attribute("what the peer has begun and not completed: 0 nothing, 1 a request's head, 2 its body, or any other message")
    crowded = Attribute("True: what was received has no room for more until a handler took some; read no further")

    def receive(data: bytes) -> Sequence[Message | ProtocolError]:
        """Feed bytes (b"": the peer closed).  Never raises: a broken peer puts one ProtocolError last, after the messages before it."""

    def send(reply: Any) -> None:
        """Queue one encoded reply in ``out``."""

    def send_raw(raw: bytes | str) -> None:
        """Queue a payload as it is: where the protocol tells text from binary, str is text and bytes are binary."""

    def fail(error: ProtocolError) -> None:
        """Queue the protocol's answer to a broken peer and set ``closing``."""

    def close(code: int, reason: str) -> None:
        """Queue the protocol's goodbye; sets ``closing`` now or once the peer answered it."""

    def turn_away() -> None:
        """Queue that there is too much to do now, as the goodbye (HTTP 503, WebSocket 1013)."""

    def break_off(error: ProtocolError) -> Sequence[ProtocolError]:
        """Wait no longer for what is partial: what ``receive`` would give, had the peer broken the protocol in that way."""

    def outgoing() -> bytes:
        """Take everything in ``out``."""

    def probe() -> bool:
        """Queue something that a living peer must answer (a ping); False when the protocol has nothing of the kind."""

    def tick(now: float) -> float | None:
        """Time passed; the moment of the next call wanted, in the same clock, or None."""

    def release() -> None:
        """The connection is gone: let go of what would keep this object alive."""


class IPayload(Interface):
    """What a message's bytes mean.  ``text`` says whether a WebSocket carries them as text."""

    name = Attribute("the name conf uses")
    text = Attribute("True when encode gives UTF-8 text")

    def decode(raw: bytes | str) -> Any:
        """The value.  Raises BadMessage."""

    def encode(value: Any) -> bytes:
        """The bytes.  Raises TypeError for values that cannot be told."""


class IFraming(Interface):
    """How packets are cut out of a byte stream, and put into it."""

    def cut(buffer: bytes) -> tuple[list[bytes], bytes]:
        """Every complete packet at the front of ``buffer`` and what is left.  Raises ProtocolError over the size limit."""

    def wrap(packet: bytes) -> bytes:
        """The packet as it goes out."""
