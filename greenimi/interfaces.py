"""Every joint of the core.  A component's own interfaces stand in the component.

Interfaces are declared with zope.interface, the registry's own language; user code may as well be found by its class or by a
``typing.Protocol``.  Each contract states what it guarantees: order, delivery, blocking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

    number = Attribute("64 bits that no other connection of the cluster has, see greenimi.hub.ids: they name node, process and slot")
    id = Attribute("the number in decimal, as text: for wires, because JavaScript cannot read so large a number; not a secret")
    address = Attribute("the peer's address as the socket gives it: (host, port) or a path")
    local_address = Attribute("the address that the peer connected to")
    server = Attribute("the server that owns it: .name, .kind, .container")
    data = Attribute("a dict for the application's state of this client; gone when the connection is, or kept for who restores it")
    is_open = Attribute("False once it is closing")
    secure = Attribute("True: the link to the client is encrypted")
    identity = Attribute("None, or the Identity of the client; may be set at any time; when it expires the connection is closed")
    tls = Attribute("None, or what its TLS handshake agreed on: .version, .cipher, .alpn, .server_name, .peer_certificate")
    subprotocol = Attribute('what a WebSocket agreed on in its handshake; "": nothing, or it is none')
    opened_at = Attribute("when it was accepted, in seconds since the epoch")
    last_seen = Attribute("when the peer was last heard of, in seconds since the epoch, exact to a second or two")
    dialect = Attribute("how its messages are encoded, an IDialect that connections of one kind share; None: nothing can be pushed to it")
    payload = Attribute(
        "the IPayload of its messages; may be set, also to json, msgpack, text or raw: from the next message on, in both directions.  The "
        "answer to the one at hand is still in the old one"
    )
    links = Attribute("what the Hub knows of it (groups, user, token); None: nothing yet.  The Hub's own")

    def send(data: Any) -> bool:
        """Encode with this connection's payload codec and queue for sending.  Never blocks; order kept.

        False when the connection is closed.  Over the outbox limit the connection is closed (slow consumer) and False returned.
        """

    def push(framed: bytes, key: str | None = ...) -> bool:
        """Queue what its dialect framed, for many connections at once.  Otherwise as ``send``.

        ``key``: while it waits for a slow client, a later one with the same key takes its place where the server's policy says so.
        """

    def request(data: Mapping[str, Any], timeout: float = ...) -> Any:
        """Send ``data`` with an id of its own, and block the calling greenlet until the client replies to it: the ``result`` of its reply.

        Replies are met before messages are handled, so a handler may ask the client that it handles a message of.  A reply that comes too
        late is dropped.  Raises PeerFailed when the reply is an ``error``, NoReply (a TimeoutError) after ``timeout`` seconds,
        ConnectionClosed when the client leaves or cannot reply any more, Overloaded when too many requests to it wait already.
        """

    def close(code: int = ..., reason: str = ...) -> None:
        """Say goodbye in the protocol's own way after everything queued went out.  Returns at once; closing twice does nothing."""


class IDialect(Interface):
    """How messages are encoded for connections of one kind: what is made once serves all of them.  Compared by identity."""

    payload = Attribute("the IPayload")

    def frame(encoded: bytes) -> bytes:
        """What goes over the wire for one message that the payload encoded.  Raises ValueError for what the protocol cannot carry."""

    def frame_raw(raw: bytes | str) -> bytes:
        """The same for a payload as it is: where the protocol tells text from binary, str is text and bytes are binary."""


class IRelay(Interface):
    """Carries packets between the processes of a cluster.  Drivers: ``@bean(driver="name", provides=IRelay)``.

    At most once; order kept per sender and receiver.  Nothing here waits for a slow or dead process: what it does not take is dropped
    when its bounded queue is full, and whoever waits for its answer is told that there is none.  Packets do not come back to the sender.
    """

    process = Attribute("this process's number, 32 bits, see greenimi.hub.ids, known once it started: no other has it, nor had it lately")
    healthy = Attribute("False while this process cannot be reached by others, or cannot reach them, for a reason of its own")
    dropped = Attribute("packets that had no room in a queue, since the start")

    def start(receiver: IRelayReceiver) -> None:
        """Join the others: those who are there are known when it returns, or become so soon.  Packets arrive from now on.

        Raises StartError when that cannot be.
        """

    def stop() -> None:
        """Leave: what is queued is sent as far as that goes without waiting long; calls that wait end.  Nobody is told lost here."""

    def processes() -> Sequence[int]:
        """The others that are known to be there now."""

    def lives(process: int) -> bool:
        """Whether a process may be there, also when it was lost: it is stopped or cut off, and may join again.  False: it has ended."""

    def interest(target: str, here: bool) -> None:
        """Say that packets for ``target`` are wanted here, or not any more.  The others are told at once, before anything sent later."""

    def interested(target: str) -> Sequence[int]:
        """The others that want packets for ``target``."""

    def tell(processes: Sequence[int], packet: bytes) -> int:
        """Send a packet, without answer; to how many it was handed.  Processes that are not there are left out."""

    def call(processes: Sequence[int], packet: bytes) -> ICalls:
        """Send a packet that is answered: an ICalls.  Never waits."""


class ICalls(Interface):
    """Calls under way to several processes."""

    number = Attribute("to how many processes the packet was handed")

    def wait(seconds: float) -> Sequence[tuple[int, bytes]]:
        """What they answered, as (process, answer), those that did within that time from now.  Others never answered, or died.

        Blocks the calling greenlet, not longer than until all have answered or are gone.
        """


class IRelayReceiver(Interface):
    """Who takes the packets of a relay.  Called in the hub: it must not block, and runs no code of the application."""

    def told(packet: bytes, sender: int) -> None:
        """A packet came."""

    def called(packet: bytes, sender: int, answer: Callable[[bytes], None]) -> None:
        """A packet came whose sender waits for ``answer``, to be called once, now or later."""

    def joined(process: int) -> None:
        """A process is there."""

    def lost(process: int) -> None:
        """A process is gone: it left, died or does not answer (then it may join again).  Called once for each ``joined``."""


class IHubStore(Interface):
    """What all processes of a cluster must agree on, and what outlives them.  Drivers: ``@bean(driver="name", provides=IHubStore)``.

    Each call is one step for all who use the store at the same time, and is made in a greenlet that may wait.  It takes the time of a short
    look at a disk or a network, never longer than its driver's ``wait``: then it raises Overloaded, as it does without room, and nothing is
    done.  Bytes are opaque, names any text that UTF-8 can carry, times are seconds.  What is over its lifetime is as good as gone.
    """

    # -- records that outlive their connection
    def keep(token: bytes, record: bytes, seconds: float) -> None:
        """Keep a record for that long, in place of another with this token (a digest, 32 bytes).

        When there are too many, the one that was kept first is forgotten.
        """

    def take(token: bytes) -> bytes | None:
        """The record, which is gone then: of several who take it one gets it."""

    # -- users that are bound to one connection only
    def claim(user: str, connection: int, process: int) -> int | None:
        """Claim a user for a connection of a process, and nobody else's: None when it is claimed now, else the number of whose it is.

        Claiming twice is once, and takes a ``release`` back that is not over yet.
        """

    def release(user: str, connection: int, seconds: float = ...) -> bool:
        """Give up the claim of this connection; False when it is not its own.

        ``seconds``: its claim stays until then, also when its process ends, unless too many are kept so; nobody else gets it but by
        ``inherit``.
        """

    def inherit(user: str, old: int, connection: int, process: int) -> bool:
        """Take a claim over from a connection that is gone.  False when it is not that one's, or not any more."""

    def owner(user: str) -> int | None:
        """The connection that claimed the user, which may be gone already; None: nobody's."""

    # -- who is in a group
    def enter(group: str, member: str, connection: int, process: int, info: bytes, limit: int) -> tuple[bool, bool]:
        """Put a connection of a member into a group of at most ``limit`` connections (0: any number): (entered, the member's first).

        Entering twice is once; it is not the first then, and ``info``, which is one for all connections of a member, is replaced.  A
        connection that is in the group as another member stays that one.  A place that the member's ``leave`` kept is taken before a new
        one.  A member whose leaving was not told yet never left: it is not the first.
        """

    def leave(group: str, connection: int, seconds: float = ...) -> tuple[str, bytes] | None:
        """Take a connection out: member and info when that was the member's last one, else None.

        ``seconds``: its place stays until then, also when its process ends, and counts in everything, unless ``enter`` puts a connection of
        the same member there, or too many are kept so; ``expired`` tells when the member left.
        """

    def present(group: str, limit: int) -> Sequence[tuple[str, bytes, int]]:
        """Members with info and number of connections, in the order in which they came, at most ``limit`` of them."""

    def size(group: str) -> tuple[int, int]:
        """How many members and connections are in a group."""

    def expired(limit: int) -> Sequence[tuple[str, str, bytes]]:
        """Members that left for good because their time, or their process's, was over: (group, member, info), each told to one caller only.

        Looks at about ``limit`` things, tells of as many at most.  Called now and then, in one process at least.
        """

    # -- the last messages of a group
    def append(group: str, message: bytes, size: int, seconds: float) -> tuple[int, str]:
        """Add a message to a group's history, of at most ``size`` messages, each for ``seconds``: its offset (1, 2, 3 ...) and the epoch.

        The epoch names the life of the history: another one says that offsets have begun anew.  A history outlives its messages; when there
        are too many histories, the one that was used least lately is forgotten, to a minute.
        """

    def position(group: str) -> tuple[int, str]:
        """The offset of the last message (0: none yet) and the epoch, which begins with this call where there was none."""

    def since(group: str, offset: int, limit: int, epoch: str = ...) -> Sequence[tuple[int, bytes]]:
        """The messages behind an offset with their own, in order, those that are still there, at most ``limit`` of them.

        ``epoch``: none, when the history is of another one by now.
        """

    # -- processes
    def alive(process: int, seconds: float) -> bool:
        """This process is there for that long at least; said before anything else, and again and again.

        False when it was not known: at first, and when others found that its time was over; then what it claimed and entered is gone.
        """

    def bury(process: int) -> Sequence[tuple[str, str, bytes]]:
        """A process is gone: end its claims and take its connections out of all groups; what ``expired`` would tell.

        What ``release`` and ``leave`` keep stays.  Twice is once.  Of many connections it may be several steps, during which others go on;
        a process that says ``alive`` meanwhile is left alone from then on.
        """

    def collect(limit: int) -> int:
        """Remove some of what is over, at most ``limit`` things, in about as much time; how many they were.  Called now and then."""

    def close() -> None:
        """Let go of files and connections."""


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
    pings = Attribute("True: the peer can be asked for a sign of life at any moment, by `probe`")
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

    def change_payload(*, text: bool) -> None:
        """What is encoded for ``send`` means something else from now on.  ``text``: it is UTF-8."""

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


class IResources(Interface):
    """How a pool comes by what it holds.  Calls may wait for the peer unless they say that they do not."""

    def connect(node: Any) -> Any:
        """A new resource at this node.  What the driver raises is raised."""

    def close(resource: Any) -> None:
        """End it.  Never raises and waits for nobody."""

    def is_open(resource: Any) -> bool:
        """False when it is known to be lost; asks nobody and waits for nobody."""

    def check(resource: Any) -> bool:
        """Ask the peer whether it is there: a round trip.  False, or an error, when it is not."""

    def reset(resource: Any) -> bool:
        """Make it as good as new after a use: roll back what was left open.  False, or an error: it must not be used again."""


class ICacheStore(Interface):
    """Where a cache keeps its values.  Drivers: ``@bean(driver="name", provides=ICacheStore)``, made with the cache's CacheSettings.

    A value is bytes under a key (text); what they mean is the front's affair.  It may be gone at any time before its lifetime is over
    (seconds; None: no end) and is never given out after it.  Each call is one step for all who use the store at the same time.
    """

    def get(key: str) -> bytes | None:
        """The value; None when there is none."""

    def get_many(keys: Sequence[str]) -> Sequence[bytes | None]:
        """The values, in the order of the keys."""

    def set(key: str, value: bytes, lifetime: float | None) -> None:
        """Keep the value, whatever was there."""

    def set_many(values: Mapping[str, bytes], lifetime: float | None) -> None:
        """Keep the values."""

    def add(key: str, value: bytes, lifetime: float | None) -> bool:
        """Keep the value where there is none.  Of several who add, one gets True."""

    def touch(key: str, lifetime: float | None) -> bool:
        """Begin its lifetime anew.  False when there is no such value."""

    def delete(key: str) -> bool:
        """Forget it.  False when there was none."""

    def delete_many(keys: Sequence[str]) -> int:
        """Forget them; how many there were."""

    def clear() -> None:
        """Forget everything of this cache, and nothing else."""

    def increment(key: str, by: int, lifetime: float | None) -> int:
        """Add to a counter, a value of decimal digits that begins at 0 with this lifetime; what it is now.

        ValueError when the value is no such number, or would have more than 64 bits.
        """

    def collect(limit: int) -> int:
        """Remove some of those that are over, at most ``limit``; how many they were.  A store that forgets by itself does nothing."""

    def close() -> None:
        """Give back what it holds."""


class ILocalCacheStore(ICacheStore):
    """A store in the memory of this process, which shares nothing with others.

    What it is given in place of bytes it keeps and gives out as it is.  The front gives it objects that nobody can change, with a ``size``
    in bytes, and others encoded, so that nobody shares an object with the cache that he could change.
    """

    shared = Attribute("False where each message has values of its own")


class ILockStore(Interface):
    """Who holds a lock.  Drivers: ``@bean(driver="name", provides=ILockStore)``, made with the lock's LockSettings.

    A lock is a name (text); it is held under a token, which nobody can guess, until it is released or its lease (seconds) is over.  Each
    call is one step for all who use the store at the same time.  Waiting for a lock lets other greenlets go on, never asks over and over,
    and leaves nothing behind when it is cut short; but whether a call that raised took the lock is not known: release the token then.
    """

    def acquire(name: str, token: str, lease: float, wait: float) -> tuple[int, float] | None:
        """Take the lock, as soon as nobody has it: at once, or within ``wait`` seconds (``math.inf``: whenever that is).

        The fencing number, which grows with every taking of this name, and the ``time.monotonic()`` from which the lease counts; None
        when others had it all the time.
        """

    def renew(name: str, token: str, lease: float) -> bool:
        """Begin the lease anew.  False when it is not held under this token any more: it must not be relied on."""

    def release(name: str, token: str) -> bool:
        """Free it and wake who waits.  False when it is not held under this token any more."""

    def held(name: str) -> bool:
        """Somebody holds it at this moment."""

    def close() -> None:
        """Give back what it holds; to be called when nobody uses it any more."""


class ISharedLockStore(ILockStore):
    """A store whose locks several may hold together: for semaphores and read-write locks."""

    def share(name: str, token: str, lease: float, wait: float, limit: int) -> tuple[int, float] | None:
        """``acquire``, but together with others who share it, as long as they are fewer than ``limit``.

        Who waits to have it alone goes before those who come later to share it.
        """


class IRowTable(Interface):
    """Rows that the worker processes of a machine share.  Drivers: ``@bean(driver="name", provides=IRowTable)``, made with TableSettings.

    A row is bytes under a key (text) in a table (text, without the character NUL); both together have 480 bytes at most.  Each call is one
    step for all processes, done or not done, however a process ends.  None waits long for another process: Overloaded instead, and so when
    there is no room left.
    """

    def get(table: str, key: str) -> bytes | None:
        """The row; None without one."""

    def change(table: str, key: str, change: Callable[[bytes | None], bytes | None], limit: int) -> bytes | None:
        """Put what ``change`` makes of the row (None: there is none) in its place, and give it back.

        Nobody changes the row meanwhile; ``change`` must not wait for anything.  When it raises, nothing is done.  Overloaded for a new row
        in a table that has ``limit`` already.
        """

    def count(table: str) -> int:
        """How many rows there are."""

    def page(table: str, after: str, size: int) -> Sequence[tuple[str, bytes]]:
        """The first ``size`` rows whose keys are greater, in the order of their UTF-8 bytes; every key is greater than ""."""

    def clear(table: str) -> int:
        """Delete all rows of a table; how many there were."""

    def close() -> None:
        """Give back what it holds; to be called when nobody uses it any more."""
