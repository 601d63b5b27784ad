"""Connections to a server as redis-py makes them: socket, TLS, log-in and choice of the database.

What travels on them afterwards is the business of the shared :class:`greenimi.pool.redis.link.Link`, or of redis-py itself on a connection
of one's own.  They never retry by themselves, nor reconnect with a back-off: who uses them decides that.
"""

from __future__ import annotations

import socket
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry

from greenimi.green import timeout
from greenimi.pool.redis.addresses import Address
from greenimi.pool.redis.errors import LateAnswer, LostConnection
from greenimi.pool.redis.settings import RedisSettings

__all__ = ["LateAnswer", "LostConnection", "connection_kwargs", "open_connection"]


class TcpConnection(Connection):
    """redis-py's, but that it leaves no open socket behind when connecting is broken off by a kill."""

    def _connect(self) -> socket.socket:
        error = OSError(f"{self.host} has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, self.socket_type, socket.SOCK_STREAM):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.socket_keepalive:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for option, value in self.socket_keepalive_options.items():
                        sock.setsockopt(socket.IPPROTO_TCP, option, value)
                sock.settimeout(self.socket_connect_timeout)
                sock.connect(address)
                sock.settimeout(self.socket_timeout)
            except BaseException as found:
                sock.close()
                if not isinstance(found, OSError):
                    raise
                error = found
            else:
                return sock
        raise error


class TlsConnection(SSLConnection, TcpConnection):
    """The same with TLS."""


def connection_kwargs(settings: RedisSettings) -> dict[str, Any]:
    """What redis-py's connections to any server of these settings are made with, but for the address."""
    kwargs: dict[str, Any] = {
        "db": settings.db,
        "username": settings.username or None,
        "password": settings.password or None,
        "client_name": settings.client_name or None,
        "protocol": settings.protocol,
        "decode_responses": settings.decode,
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "retry": Retry(NoBackoff(), 0),
        "driver_info": None,
    }
    if settings.tls.on:
        tls = settings.tls
        kwargs.update(
            ssl_ca_certs=tls.ca or None,
            ssl_certfile=tls.certificate or None,
            ssl_keyfile=tls.key or None,
            ssl_password=tls.key_password or None,
            ssl_cert_reqs="required" if tls.check else "none",
            ssl_check_hostname=tls.check,
        )
    return kwargs


def open_connection(settings: RedisSettings, address: Address, **more: Any) -> Any:
    """A new connection, logged in, within ``connect_timeout``.  What redis-py raises is raised; other greenlets go on meanwhile."""
    kwargs = connection_kwargs(settings) | more
    kind: Any = TlsConnection if settings.tls.on else TcpConnection
    if address.socket:
        kind = UnixDomainSocketConnection
        kwargs = {"path": address.socket, **{key: value for key, value in kwargs.items() if not key.startswith("ssl_")}}
    else:
        kwargs.update(host=address.host, port=address.port)
    connection = kind(**kwargs)
    try:
        with timeout(settings.connect_timeout):  # raises what redis-py knows how to clean up after
            connection.connect()
    except LateAnswer as error:
        connection.disconnect()
        raise LateAnswer(f"connecting to {address} took too long ({error})") from error
    except BaseException:
        connection.disconnect()
        raise
    return connection
