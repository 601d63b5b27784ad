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


def resolved(settings: RedisSettings) -> RedisSettings:
    """The settings with what ``url`` says in the single keys.  ConfigError, without the password, when it cannot be understood."""
    if not settings.url:
        return settings
    return replace(settings, url="", **_parts(settings.url, settings))


def _parts(url: str, settings: RedisSettings) -> dict[str, Any]:
    try:
        parts = urlsplit(str(url))
        port = parts.port or PORT
    except ValueError as error:
        raise _wrong(url, str(error)) from None
    if parts.scheme not in _SCHEMES:
        raise _wrong(url, f"it begins with none of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
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
            raise _wrong(url, f"{key} cannot stand in it", "everything but db has a key of its own beside url")
        database = value
    if database:
        if not (database.isascii() and database.isdigit()):
            raise _wrong(url, f"{database} is no number of a database")
        found["db"] = int(database)
    return found


def _wrong(url: str, text: str, hint: str = "redis://user:password@host:6379/0") -> ConfigError:
    return ConfigError(f"the address {Secret(str(url), whole=False).masked}: {text}", hint=hint)
