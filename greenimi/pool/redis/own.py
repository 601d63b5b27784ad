"""Connections of one's own, from pools: for commands that wait at the server, that watch keys, or that carry large values.

To redis-py :class:`OwnConnections` is a connection pool: its pipelines, its pub/sub and its monitor take theirs here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from redis._parsers import Encoder
from redis.himport import HImportRegistry
from zope.interface import implementer

from greenimi.green import native_poll
from greenimi.interfaces import IResources
from greenimi.pool.errors import ConnectTimeout, PoolClosed
from greenimi.pool.lease import Lease
from greenimi.pool.nodes import Node
from greenimi.pool.pool import Pool
from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.connections import connection_kwargs
from greenimi.pool.redis.errors import LateAnswer, LostConnection, NotSent
from greenimi.pool.redis.settings import RedisSettings
from greenimi.pool.settings import PoolSettings

if TYPE_CHECKING:
    from redis.auth.token import TokenInterface
    from redis.retry import Retry

MakePool: TypeAlias = Callable[[str, IResources, Sequence[Node], PoolSettings], Pool[Any]]


class Server(Protocol):
    """Whoever knows where the server is: the client."""

    def open_connection(self, **more: Any) -> Any: ...
    def is_current(self, connection: Any) -> bool: ...


@implementer(IResources)
class Connections:
    """How a pool comes by redis-py's connections; a node's ``settings`` is its address."""

    def __init__(self, server: Server, fieldsets: HImportRegistry) -> None:
        self._server = server
        self._fieldsets = fieldsets

    def connect(self, node: Node) -> Any:
        connection = self._server.open_connection(himport_registry=self._fieldsets)
        connection.unread = native_poll(connection._sock.fileno())
        return connection

    def close(self, connection: Any) -> None:
        connection.disconnect()

    def is_open(self, connection: Any) -> bool:
        """With something to read it is lost, or somebody did not read his reply."""
        return connection.is_connected and not connection.unread(0) and self._server.is_current(connection)

    def check(self, connection: Any) -> bool:
        connection.send_command("PING", check_health=False)
        return connection.read_response() in (b"PONG", "PONG")

    def reset(self, connection: Any) -> bool:
        """Those who change a connection, by watching keys for example, undo that or disconnect it before it is given back."""
        return True


class OwnConnections:
    """A client's connections beside the shared one.  Each is lent to one user at a time."""

    cache = None

    def __init__(self, name: str, settings: RedisSettings, address: Address, make_pool: MakePool, server: Server) -> None:
        self.settings = settings
        self.connection_kwargs = connection_kwargs(settings)
        self.himport_registry = HImportRegistry()
        resources = Connections(server, self.himport_registry)
        self.pool = make_pool(f"redis.{name}", resources, [Node(str(address), 1, address)], settings.pool)
        self.blocking = make_pool(f"redis.{name}.blocking", resources, [Node(str(address), 1, address)], settings.blocking)
        self._leases: dict[Any, Lease[Any]] = {}

    def __repr__(self) -> str:
        return f"<connections of one's own to {self.pool.nodes[0].name}>"

    def lend(self, *, blocking: bool = False) -> Lease[Any]:
        """``with own.lend() as connection:``.  NotSent when none can be made; PoolTimeout, a TimeoutError, when none is free in time."""
        try:
            return (self.blocking if blocking else self.pool).take()
        except (LostConnection, LateAnswer, ConnectTimeout, PoolClosed) as error:
            raise NotSent(f"{error}; the command was not sent") from error

    def close(self) -> None:
        """Stop the pools: who waits for a connection gets an error."""
        self.pool.stop()
        self.blocking.stop()

    # -- what redis-py asks of a pool --------------------------------------------------------------------------------

    def get_connection(self, command_name: str | None = None, *keys: Any, **options: Any) -> Any:
        """Of the blocking ones: who asks here may hold it for long."""
        return self.keep(self.lend(blocking=True))

    def keep(self, lease: Lease[Any]) -> Any:
        """Its connection, for those who give it back by ``release``."""
        self._leases[lease.resource] = lease
        return lease.resource

    def release(self, connection: Any) -> None:
        lease = self._leases.pop(connection, None)
        if lease is None or not lease.active:
            return
        if connection.is_connected:
            lease.release()
        else:
            lease.discard()

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Nothing: connections are closed by their pools."""

    def get_encoder(self) -> Encoder:
        return Encoder("utf-8", "strict", self.settings.decode)

    def get_protocol(self) -> int:
        return self.settings.protocol

    def set_retry(self, retry: Retry) -> None:
        """For connections made from now on."""
        self.connection_kwargs["retry"] = retry

    def re_auth_callback(self, token: TokenInterface) -> None:
        """Nothing: no credentials of ours expire."""
