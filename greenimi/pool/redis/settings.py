"""``[redis.NAME]`` in conf: where a Redis is, how commands travel to it, how connections of one's own are pooled."""

from __future__ import annotations

from dataclasses import dataclass, fields

from greenimi.config import option
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig
from greenimi.pool.settings import PoolSettings
from greenimi.pool.settings import check_settings as check_pool


@dataclass(frozen=True)
class TlsSettings:
    """``[redis.NAME.tls]``"""

    on: bool = option(False, "Encrypt the connections; rediss:// in url says the same.")
    ca: str = option("", "File of the certificate authorities that are trusted; by default the system's.")
    certificate: str = option("", "File of the certificate to show to the server.")
    key: str = option("", "File of its private key.")
    key_password: str = option("", "The password of that file.")
    check: bool = option(True, "Whether the server's certificate must be valid, and of this host.")


@dataclass(frozen=True)
class OwnSettings(PoolSettings):
    """``[redis.NAME.pool]``"""

    min: int = option(0, "Resources that are kept connected, used or not.")


@dataclass(frozen=True)
class BlockingSettings(OwnSettings):
    """``[redis.NAME.blocking]``"""

    max: int = option(256, "Resources at most, those that are being connected included.")


@dataclass(frozen=True)
class RedisSettings:
    """``[redis.NAME]``"""

    url: str = option("", "Address: redis://user:password@host:6379/0, rediss:// for TLS, unix:///path?db=0.  It goes before single keys.")
    host: str = option("127.0.0.1", "Host of the server.")
    port: int = option(6379, "Port of the server.")
    socket: str = option("", "Unix socket of the server, in place of host and port.")
    db: int = option(0, "Number of the database.")
    username: str = option("", "Who logs in; by default Redis's default user.")
    password: str = option("", "The password for it.")
    client_name: str = option("", "What connections are called in CLIENT LIST.")
    sentinels: list[str] = option([], "host:port of the Sentinels that know the primary, in place of its address.")
    service: str = option("", "What the Sentinels call the primary.")
    sentinel_username: str = option("", "Who logs in to the Sentinels.")
    sentinel_password: str = option("", "The password for it.")
    cluster: list[str] = option([], "host:port of nodes of a Cluster, in place of one address; one that answers is enough.")
    replicas: list[str] = option([], "Addresses of replicas, where no Sentinel and no Cluster tells them.")
    read_from: str = option("primary", "Which servers plain reads go to: primary, replica, or any.")
    sticky: float = option(2.0, "Seconds after a write during which the same message reads from the primary, where reads go to replicas.")
    heartbeat: float = option(5.0, "Seconds between signs of life that are asked for where nothing published is heard.")
    subscriber_queue: int = option(1000, "Messages that may wait for one subscriber; beyond them the oldest is lost, which is told.")
    protocol: int = option(3, "Version of the protocol, 2 or 3.")
    decode: bool = option(False, "Give values as text, which must be UTF-8; otherwise as bytes.")
    shared: bool = option(True, "Send commands of all greenlets over one connection.  false: each takes one of the pool, for large values.")
    timeout: float = option(5.0, "Seconds that the server may take to answer.")
    connect_timeout: float = option(3.0, "Seconds that connecting may take.")
    wait: float = option(1.0, "Seconds that commands wait for a lost connection to come back before they fail.")
    retry_reads: bool = option(True, "Send a command that only reads once more when the connection was lost before its answer came.")
    queue: int = option(10_000, "Commands that may wait to be sent; further ones fail at once.")
    queue_bytes: int = option(64 * 1024 * 1024, "Bytes that they may have together.")
    large: int = option(64 * 1024, "Bytes of a value from which on it travels on a connection of its own.")
    tls: TlsSettings = option(TlsSettings(), "How connections are encrypted.")
    pool: OwnSettings = option(OwnSettings(), "How connections of one's own are pooled, for large values, or for all if not shared.")
    blocking: BlockingSettings = option(BlockingSettings(), "How those are pooled that BLPOP and its like wait on, and that watch keys.")


_ABOVE_ZERO = ("timeout", "connect_timeout", "heartbeat", "subscriber_queue", "queue", "queue_bytes", "large")
_READS = ("primary", "replica", "any")
_PORTS = range(1, 65536)


def check_settings(settings: RedisSettings, config: IConfig, path: str) -> None:
    """``path``: where they stand, ``redis.default``.  Raises ConfigError naming place and key of what cannot be."""
    found = _problem(settings)
    if found is not None:
        key, text, hint = found
        place = config.place(f"{path}.{key}")
        raise ConfigError(f"{f'{place}: ' if place else ''}{path}.{key}: {text}", hint=hint)
    check_pool(settings.pool, config, f"{path}.pool")
    check_pool(settings.blocking, config, f"{path}.blocking")


def _problem(settings: RedisSettings) -> tuple[str, str, str] | None:
    """The key that cannot be, why, and what to do; None when all is well."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if isinstance(value, int | float) and value < 0:
            return field.name, f"{value:g} is below 0", ""
    for key in _ABOVE_ZERO:
        if not getattr(settings, key):
            return key, "it must be above 0", ""
    if settings.port not in _PORTS:
        return "port", f"{settings.port} is not a number from 1 to 65535", ""
    if settings.protocol not in (2, 3):
        return "protocol", f"there is no version {settings.protocol}", "2 or 3"
    if settings.read_from not in _READS:
        return "read_from", f"{settings.read_from} is none of {', '.join(_READS)}", ""
    if settings.sentinels and not settings.service:
        return "service", "the Sentinels must be told which primary is meant", "the name in their sentinel monitor line"
    if settings.sentinels and settings.cluster:
        return "cluster", "a Cluster has no Sentinels", "leave one of the two out"
    if settings.cluster and settings.db:
        return "db", "a Cluster has database 0 only", ""
    return None
