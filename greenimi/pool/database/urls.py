"""Addresses of databases: the URL of conf, or its single keys, as what a driver connects to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from greenimi.config.secret import Secret
from greenimi.errors import ConfigError
from greenimi.pool.database.settings import DatabaseSettings
from greenimi.pool.nodes import Node
from greenimi.pool.settings import PoolSettings

SCHEMES = {
    "mysql": "mysql",
    "mariadb": "mysql",
    "mysql+pymysql": "mysql",
    "mysqlclient": "mysqlclient",
    "mysql+mysqlclient": "mysqlclient",
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "postgres": "postgres",
    "postgresql": "postgres",
}
"""The driver that each scheme of a URL means."""

_QUOTE = "in passwords # is written as %23, / as %2F, ? as %3F, @ as %40"

_PORTS = {"mysql": 3306, "mysqlclient": 3306, "postgres": 5432}


@dataclass(frozen=True)
class Address:
    """One server, or one file.  ``socket`` is used in place of host and port where there is one."""

    host: str = ""
    port: int = 0
    socket: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = ""
    weight: int = 1

    @property
    def name(self) -> str:
        """What errors, logs and metrics call it."""
        if self.socket:
            return self.socket
        return f"{self.host}:{self.port}" if self.host else self.database

    @property
    def is_local(self) -> bool:
        """It is on this machine, as far as the address says."""
        return bool(self.socket) or self.host in ("127.0.0.1", "::1", "localhost")


def driver_of(settings: DatabaseSettings, path: str) -> str:
    """The name of the driver.  Raises ConfigError when nothing says it, or things say different ones."""
    schemes = {SCHEMES.get(url.partition(":")[0].lower(), url.partition(":")[0]) for url in _urls(settings)}
    if len(schemes) > 1:
        raise ConfigError(f"{path}.urls: addresses of different kinds: {', '.join(sorted(schemes))}")
    found = settings.driver or next(iter(schemes), "")
    if not found:
        raise ConfigError(f"{path}: nothing says which kind of database it is", hint='set url = "mysql://...", or driver')
    return found


def addresses(settings: DatabaseSettings, path: str = "database") -> list[Address]:
    """The servers of the primary, one each URL, or the one of the single keys."""
    driver = driver_of(settings, path)
    own = Address(
        "" if settings.socket or driver == "sqlite" else settings.host,
        settings.port or _PORTS.get(driver, 0),
        settings.socket,
        settings.user,
        settings.password,
        settings.database,
    )
    return [address_of(url, own, f"{path}.url") for url in _urls(settings)] or [own]


def replica_addresses(settings: DatabaseSettings, path: str = "database") -> list[Address]:
    """The servers of the replicas; what their URLs do not say is as at the primary."""
    first = addresses(settings, path)[0]
    return [address_of(url, first, f"{path}.replicas") for url in settings.replicas]


def address_of(url: str, defaults: Address, key: str) -> Address:
    """What a URL says, the rest as ``defaults`` do.  Raises ConfigError naming ``key`` for what cannot be read, without the URL itself."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = options.keys() - {"weight", "socket"}
    if any(not name.isidentifier() for name in unknown):  # which may be a piece of a password
        raise ConfigError(f"{key}: what stands behind the question mark cannot be read", hint=_QUOTE)
    if unknown:
        raise ConfigError(f"{key}: unknown option {sorted(unknown)[0]}", hint="what is no part of the address has a key of its own")
    if SCHEMES.get(parts.scheme) == "sqlite":
        return Address(database=_sqlite_file(url))
    try:
        port = parts.port
    except ValueError:  # whose text may hold a piece of a password
        raise ConfigError(f"{key}: its port is no number from 0 to 65535", hint=_QUOTE) from None
    try:
        weight = int(options.get("weight", 1))
    except ValueError:
        raise ConfigError(f"{key}: its weight is no number") from None
    if weight < 0:
        raise ConfigError(f"{key}: the weight {weight} is below 0")
    socket = options.get("socket", "")
    host = parts.hostname or ""
    return Address(
        host if host or socket else defaults.host,
        port or defaults.port,
        socket or ("" if host else defaults.socket),
        unquote(parts.username) if parts.username is not None else defaults.user,
        Secret(unquote(parts.password)) if parts.password is not None else defaults.password,
        unquote(parts.path.lstrip("/")) or defaults.database,
        weight,
    )


def nodes(found: Sequence[Address], settings: PoolSettings) -> list[Node]:
    """The addresses as nodes of a pool, each under a name of its own."""
    return [Node(one.name, one.weight, one, eject=settings.eject, eject_limit=settings.eject_limit) for one in found]


def _urls(settings: DatabaseSettings) -> list[str]:
    return list(settings.urls) or ([settings.url] if settings.url else [])


def _sqlite_file(url: str) -> str:
    """``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://`` or ``sqlite:///:memory:`` for one in memory."""
    path = unquote(url.partition("://")[2].partition("?")[0])
    return path.removeprefix("/") or ":memory:"
