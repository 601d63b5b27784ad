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
    from greenimi.message import Identity, Message

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
    identity = Attribute("None, or the Identity of the client; may be set at any time; when it expires the connection is closed")
    tls = Attribute("None, or what its TLS handshake agreed on: .version, .cipher, .alpn, .server_name, .peer_certificate")

    def send(data: Any) -> bool:
        """Encode with this connection's payload codec and queue for sending.  Never blocks; order kept.

        False when the connection is closed.  Over the outbox limit the connection is closed (slow consumer) and False returned.
        """

    def close(code: int = ..., reason: str = ...) -> None:
        """Say goodbye in the protocol's own way after everything queued went out.  Returns at once; closing twice does nothing."""


class IAuthenticator(Interface):
    """Finds out who is calling, at every door.  A class marked ``@authenticator``.

    It may have an attribute ``challenge``: the WWW-Authenticate of a 401, such as ``Basic realm="shop"``.
    """

    def authenticate(message: Message) -> Identity | None:
        """Who sent ``message``; None when it does not say, so that the next authenticator is asked.  May block.

        The message is a request when somebody asks for its identity (once), the request that opens a WebSocket, the messages of a TCP
        connection until one of them says who its client is, or a datagram.  Raises Unauthorized (401) for credentials that are wrong,
        Refused (403) for somebody who is not let in.
        """


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


class ISessionStore(Interface):
    """Where the sessions of an HTTP server are kept.  Drivers: ``@bean(driver="name", provides=ISessionStore)``, made with the server's
    SessionSettings.

    A session is a few values, bytes by name, under a key of 64 hexadecimal digits that nobody can guess.  It ends when its lifetime
    (seconds, above 0) is over and may be gone from then on.  Each call is one step for all who use the store at the same time.
    """

    def get(key: str) -> tuple[Mapping[str, bytes], float] | None:
        """The values and the seconds left of its lifetime; None when there is no such session, or not any more."""

    def set(key: str, values: Mapping[str, bytes], lifetime: float) -> None:
        """Keep exactly these values."""

    def change(key: str, changed: Mapping[str, bytes], removed: Sequence[str], lifetime: float) -> bool:
        """Write some values and remove others, whatever became of the rest meanwhile.  False, and nothing done, without such a session."""

    def touch(key: str, lifetime: float) -> bool:
        """Begin its lifetime anew.  False without such a session."""

    def delete(key: str) -> bool:
        """End it.  False without such a session: of several who delete one, one gets True."""

    def collect(limit: int) -> int:
        """Remove some of those that are over, at most ``limit`` of them, in about as much time; how many they were.

        Called now and then.  A store that forgets of its own accord does nothing.
        """
