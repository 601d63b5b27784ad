"""The addresses of named routes, made of names and values instead of being written out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol
from urllib.parse import urlencode

from greenimi.container.context import current
from greenimi.container.registry import current_container
from greenimi.errors import ConfigError, ConflictError
from greenimi.located import is_host
from greenimi.marks import Where
from greenimi.message import Request


class Rendered(Protocol):
    """A template: a path, or a host."""

    @property
    def text(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def render(self, values: Mapping[str, Any]) -> str:
        """Raises ValueError for values that are missing or do not fit."""


@dataclass(frozen=True, slots=True)
class _Address:
    path: Rendered
    domain: Rendered | None
    where: Where


class Urls:
    """The named routes of one HTTP server, a bean of its container; filled at commit.  ``url_for`` asks that of the running code.

    ``base``  scheme and host of absolute URLs, ``https://shop.example.org``; "" for those that the request came by.
    """

    def __init__(self, server: str, base: str = "", others: dict[str, Urls] | None = None) -> None:
        self.server = server
        self._base = base.rstrip("/")
        self._addresses: dict[str, _Address] = {}
        self._others = others if others is not None else {}
        self._others[server] = self

    def add(self, name: str, path: Rendered, domain: Rendered | None, where: Where) -> None:
        """Name an address.  Raises ConflictError for the name of another one."""
        known = self._addresses.setdefault(name, _Address(path, domain, where))
        if known.path.text != path.text or (known.domain and known.domain.text) != (domain and domain.text):
            text = f"the route name {name!r} on server {self.server}: {known.where} and {where}"
            raise ConflictError(text, hint="give one of them another name: @get(..., name=...)")

    @property
    def names(self) -> list[str]:
        return sorted(self._addresses)

    def of(self, server: str) -> Urls:
        """Those of another HTTP server of the application.  Raises LookupError."""
        if server not in self._others:
            raise LookupError(f"no HTTP server is called {server!r}; there are {', '.join(sorted(self._others))}")
        return self._others[server]

    def url_for(self, name: str, /, *, absolute: bool = False, **values: Any) -> str:
        """The address of a route: ``values`` fill its placeholders, the others become its query.  A list is a parameter several times,
        None leaves one out.

        ``absolute``: with scheme and host.  Those are ``base`` in conf or, without it, those of the request being handled, where any client
        may name any host.  Within a request behind a proxy that tells its prefix, that is in front of the path.

        Raises LookupError for an unknown name and for no host to be found, ValueError for values that are missing or do not fit.
        """
        address = self._addresses.get(name)
        if address is None:
            close = difflib.get_close_matches(name, self._addresses, 1)
            raise LookupError(f"no route of the server {self.server} is named {name!r}{f'; did you mean {close[0]}?' if close else ''}")
        request = _request()
        path = address.path.render(values)
        used = {*address.path.names, *(address.domain.names if address.domain is not None else ())}
        query = urlencode([pair for key, value in values.items() if key not in used for pair in _pairs(key, value)])
        url = f"{request.prefix if request is not None else ''}{path}{'?' if query else ''}{query}"
        return f"{self._origin(address, values, request)}{url}" if absolute else url

    def _origin(self, address: _Address, values: Mapping[str, Any], request: Request | None) -> str:
        origin = self._base or (f"{request.scheme}://{request.host}" if request is not None else "")
        if not origin:
            raise LookupError(f"absolute URLs need a host: no request is being handled, and servers.{self.server}.routing.base is not set")
        if address.domain is None:
            return origin
        scheme, _, host = origin.partition("://")
        port = host.rpartition("]")[2].partition(":")[2]
        return f"{scheme}://{address.domain.render(values)}{':' if port else ''}{port}"


def check_base(base: str) -> None:
    """Raises ConfigError for what is neither "" nor scheme and host."""
    scheme, _, host = base.rstrip("/").partition("://")
    if base and (scheme not in ("http", "https") or not is_host(host)):
        raise ConfigError(f"{base!r} is not scheme and host", hint='write it like "https://shop.example.org"')


def url_for(name: str, /, *, absolute: bool = False, **values: Any) -> str:
    """``Urls.url_for`` of the server that the running code belongs to; outside of any, of the first HTTP server in conf."""
    return current_container().get(Urls).url_for(name, absolute=absolute, **values)


def _request() -> Request | None:
    found = current.get(None)
    message = found.message if found is not None else None
    return message if isinstance(message, Request) else None


def _pairs(key: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list | tuple | set | frozenset):
        return [pair for each in value for pair in _pairs(key, each)]
    if value is None:
        return []
    if isinstance(value, Enum):
        value = value.value
    return [(key, str(value).lower() if isinstance(value, bool) else str(value))]
