"""Where a server is: what conf says in one address or in single keys, made one thing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from greenimi.config.secret import Secret
from greenimi.errors import ConfigError
from greenimi.pool.redis.settings import RedisSettings

_SCHEMES = ("redis", "rediss", "unix")
PORT = 6379
_ESCAPES = "in a user name or password / ? # @ and % are written %2F %3F %23 %40 and %25, or it stands in a key of its own"


@dataclass(frozen=True)
class Address:
    """One server: a host and a port, or a Unix socket."""

    host: str = "127.0.0.1"
    port: int = PORT
    socket: str = ""

    def __str__(self) -> str:
        if self.socket:
            return self.socket
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(settings: RedisSettings) -> Address:
    """Of settings whose url was taken apart."""
    return Address(settings.host, settings.port, settings.socket)


def parse_address(text: str) -> Address:
    """``host:port``, ``[::1]:port``, or a host alone.  ConfigError for anything else."""
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port or PORT
    except ValueError:
        parts = urlsplit("//")
        port = PORT
    if not parts.hostname or parts.path or parts.username is not None:
        raise ConfigError(f"{text!r} is no address of a Redis", hint="host:port, such as 127.0.0.1:6379")
    return Address(parts.hostname, port)


def resolved(settings: RedisSettings, key: str = "the address") -> RedisSettings:
    """The settings with what ``url`` says in the single keys.

    ConfigError, without the password, when it cannot be understood; ``key`` is what the error calls it.
    """
    if not settings.url:
        return settings
    try:
        return replace(settings, url="", **_parts(settings.url, settings))
    except _Wrong as wrong:
        raise ConfigError(f"{key}: {wrong.text}", hint=wrong.hint) from None


class _Wrong(Exception):
    """What is wrong with an address."""

    def __init__(self, text: str, hint: str = "redis://user:password@host:6379/0") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint


def _parts(url: str, settings: RedisSettings) -> dict[str, Any]:
    try:
        parts = urlsplit(str(url))
        port = parts.port or PORT
    except ValueError:  # its text may have a piece of the password
        raise _Wrong("its port is no number up to 65535", _ESCAPES) from None
    if parts.fragment or ("@" not in parts.netloc and "@" in parts.path + parts.query):
        raise _Wrong("it cannot be told where user name and password end", _ESCAPES)
    if parts.scheme not in _SCHEMES:
        raise _Wrong(f"it begins with none of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
    found: dict[str, Any] = {}
    if parts.username:
        found["username"] = unquote(parts.username)
    if parts.password:
        found["password"] = Secret(unquote(parts.password))
    if parts.scheme == "unix":
        found["socket"] = unquote(parts.path)
        database = ""
    else:
        found.update(host=unquote(parts.hostname or "127.0.0.1"), port=port, socket="")
        database = parts.path.strip("/")
        if parts.scheme == "rediss":
            found["tls"] = replace(settings.tls, on=True)
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key != "db":
            raise _Wrong(f"{key} cannot stand in it", "everything but db has a key of its own beside url")
        database = value
    if database:
        if not (database.isascii() and database.isdigit()):
            raise _Wrong(f"{database} is no number of a database")
        found["db"] = int(database)
    return found
