"""``[database.NAME]`` in conf: where a database is, how its connections are pooled, what its replicas answer."""

from __future__ import annotations

from dataclasses import dataclass

from greenimi.config import option
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig
from greenimi.pool import settings as of_pools
from greenimi.pool.settings import PoolSettings

TLS_MODES = ("auto", "off", "preferred", "required", "chain", "identity")


@dataclass(frozen=True)
class TlsSettings:
    """``[database.NAME.tls]``"""

    mode: str = option(
        "auto",
        "off, preferred, required, chain (certificates are checked) or identity (their host names, too).  auto: off on this machine, else "
        "identity where ca is set, else preferred.",
    )
    ca: str = option("", "File of the certificate authorities that are trusted; by default the system's.")
    certificate: str = option("", "File of the certificate to show to the server.")
    key: str = option("", "File of its private key.")


@dataclass(frozen=True)
class ReadSettings:
    """``[database.NAME.reads]``: what the replicas answer."""

    sticky: float = option(2.0, "Seconds after a write of a message that its reads go to the primary.")
    max_lag: float = option(5.0, "Seconds that a replica may be behind the primary; one that is more behind gets no reads.")
    check: float = option(1.0, "Seconds between two looks at how far each replica is behind; 0: nobody looks.")
    lag: str = option("", "Statement that tells how many seconds a replica is behind; by default the server is asked for its own figure.")
    primary_functions: list[str] = option([], "Functions of yours that write, or need the primary: statements that call them go there.")
    pool: PoolSettings = option(PoolSettings(), "How connections to the replicas are pooled.")


@dataclass(frozen=True)
class DatabaseSettings:
    """``[database.NAME]``"""

    url: str = option("", "Address: mysql://user:password@host:3306/name, or with mysqlclient, sqlite or postgres in place of mysql.")
    urls: list[str] = option([], "Several addresses of equal rank, over which connections are spread, in place of url.")
    replicas: list[str] = option([], "Addresses of replicas, which answer plain reads; what one does not say is as at the primary.")
    driver: str = option("", "mysql, mysqlclient, sqlite or postgres, where no url says so.")
    host: str = option("127.0.0.1", "Host of the server.")
    port: int = option(0, "Port of the server; 0: the usual one.")
    socket: str = option("", "Unix socket of the server, in place of host and port.")
    user: str = option("", "Who logs in.")
    password: str = option("", "The password for it.")
    database: str = option("", "Name of the database; of SQLite its file.")
    prefix: str = option("", "What the names of tables begin with, for DB.table().")
    init: list[str] = option([], "Statements that each new connection begins with.")
    connect_timeout: float = option(5.0, "Seconds that connecting may take.")
    read_timeout: float = option(60.0, "Seconds that the server may be silent in a statement; 0: any time.")
    write_timeout: float = option(60.0, "Seconds that sending a statement may take; 0: any time.")
    unreachable: float = option(
        10.0,
        "Seconds after which a host that acknowledges nothing counts as lost, also while it is waited for; 0: as the system has it.",
    )
    slow: float = option(1.0, "Statements that take so many seconds are logged as slow; 0: none.")
    ready: bool = option(False, "Whether the worker counts as not ready (/readyz) while the database does not answer.")
    busy: float = option(5.0, "Seconds that a statement of SQLite waits at most for those who write at this moment.")
    prepared: int = option(100, "Statements that a connection to PostgreSQL keeps prepared; 0: none.")
    hooks: int = option(100_000, "Calls that may be kept for the end of a transaction, such as events to be told after the commit.")
    tls: TlsSettings = option(TlsSettings(), "How connections are encrypted.")
    reads: ReadSettings = option(ReadSettings(), "What the replicas answer.")
    pool: PoolSettings = option(PoolSettings(), "How connections are pooled.")


def check_settings(settings: DatabaseSettings, config: IConfig, path: str) -> None:
    """``path``: where they stand, ``database.default``.  Raises ConfigError naming place and key of what cannot be."""
    numbers = {key: getattr(settings, key) for key in ("port", "connect_timeout", "read_timeout", "write_timeout", "unreachable", "slow")}
    numbers |= {f"reads.{key}": getattr(settings.reads, key) for key in ("sticky", "max_lag", "check")}
    for key, number in numbers.items():
        if number < 0:
            raise _wrong(config, f"{path}.{key}", f"{number:g} is below 0")
    if not settings.connect_timeout:
        raise _wrong(config, f"{path}.connect_timeout", "it must be above 0")
    if settings.tls.mode not in TLS_MODES:
        raise _wrong(config, f"{path}.tls.mode", f"there is no mode {settings.tls.mode}", f"there are: {', '.join(TLS_MODES)}")
    if settings.tls.key and not settings.tls.certificate:
        raise _wrong(config, f"{path}.tls.key", "there is no certificate that it belongs to", f"set {path}.tls.certificate")
    if settings.url and settings.urls:
        raise _wrong(config, f"{path}.urls", "there is a url, too", "say one of them")
    of_pools.check_settings(settings.pool, config, f"{path}.pool")
    of_pools.check_settings(settings.reads.pool, config, f"{path}.reads.pool")


def _wrong(config: IConfig, key: str, text: str, hint: str = "") -> ConfigError:
    place = config.place(key)
    return ConfigError(f"{f'{place}: ' if place else ''}{key}: {text}", hint=hint)
