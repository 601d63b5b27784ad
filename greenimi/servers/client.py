"""What applications may know of a client's connection: the facts of IConnection."""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Any

from greenimi.message import Identity
from greenimi.servers.outbox import CLOSED, OPEN
from greenimi.servers.timed import Timed

if TYPE_CHECKING:
    from greenimi.codec.base import Codec
    from greenimi.interfaces import IDialect
    from greenimi.servers.base import StreamHost
    from greenimi.servers.entrance.tls import TlsFacts


class Client(Timed):
    """The part of ``StreamConnection`` that knows who is at the other end."""

    __slots__ = ("_data", "address", "dialect", "heard", "links", "number", "opened_at", "tls")

    def __init__(self, server: StreamHost, sock: Any, address: Any, codec: Codec, tls: TlsFacts | None) -> None:
        super().__init__(server, sock, codec)
        self.address = address
        self.tls = tls
        self.number = server.runtime.next_number()
        self.opened_at = time()
        self.heard = server.now  # when it was heard of last, by the clock of the server
        self.dialect: IDialect | None = None
        self.links: Any = None
        self._data: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def data(self) -> dict[str, Any]:
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def local_address(self) -> Any:
        """The address that the peer connected to; None when the connection is closed."""
        try:
            return self._sock.getsockname()
        except OSError:
            return None

    @property
    def last_seen(self) -> float:
        return time() - (monotonic() - self.heard)

    @property
    def is_open(self) -> bool:
        return self._state == OPEN and not self._leaving and not self.codec.closing

    @property
    def secure(self) -> bool:
        return self.tls is not None

    @property
    def subprotocol(self) -> str:
        return getattr(self.codec, "subprotocol", "")

    @property
    def identity(self) -> Identity | None:
        """Who the client is; when that expires the connection is closed.  The Hub's user of that id has the connection from then on."""
        return self._identity

    @identity.setter
    def identity(self, identity: Identity | None) -> None:
        Timed.identity.__set__(self, identity)  # type: ignore[attr-defined]  # a property
        if self.dialect is not None:
            self.server.runtime.hub.identified(self)  # type: ignore[arg-type]  # all that it lacks is made of it in StreamConnection

    def join(self, dialect: IDialect | None) -> None:
        """Messages are spoken from now on, encoded by ``dialect``: the Hub may push to it.  Once."""
        self.dialect = dialect
        if dialect is not None and self._state != CLOSED:  # it may have been lost while it shook hands
            self.server.runtime.hub.add(self)  # type: ignore[arg-type]
            self.server.runtime.hub.identified(self)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"<connection {self.number} of {self.server.name} from {self.address}>"
