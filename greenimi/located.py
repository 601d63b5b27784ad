"""Where an HTTP request came from, and which address it asked for: as the connection says, or as trusted proxies do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from greenimi.errors import BadMessage

if TYPE_CHECKING:
    from greenimi.interfaces import IConnection

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)


class Told(NamedTuple):
    """What trusted proxies say.  ``host`` and ``prefix`` are "" when they do not."""

    client: str
    scheme: str
    host: str = ""
    prefix: str = ""


def is_host(text: str) -> bool:
    """Whether it is a host, with or without a port."""
    return _HOST.fullmatch(text) is not None


class Located:
    """Part of ``Request``.  ``told`` is None when no trusted proxy said anything: then the connection and the request itself tell."""

    __slots__ = ()
    connection: IConnection
    target: str
    told: Told | None

    @property
    def headers(self) -> Mapping[str, str]:
        raise NotImplementedError

    @property
    def client(self) -> str:
        """The address of the client, without its port; "" for a Unix socket."""
        if self.told is not None:
            return self.told.client
        address = self.connection.address
        return str(address[0]) if type(address) is tuple else ""

    @property
    def scheme(self) -> str:
        """``https`` where the client speaks TLS, to us or to a trusted proxy; else ``http``."""
        if self.told is not None:
            return self.told.scheme
        return "https" if self.connection.secure else "http"

    @property
    def host(self) -> str:
        """The host that the client asked for, with its port where it named one; ``localhost`` where it named none.

        A client may name any host it likes.  Raises BadMessage (400) for what is none.
        """
        if self.told is not None and self.told.host:
            return self.told.host
        authority, _ = _parts(self.target)  # RFC 9112 section 3.2.2: it outweighs the field
        host = authority or self.headers.get("host", "") or "localhost"
        if not is_host(host):
            raise BadMessage("the host of the request is none")
        return host

    @property
    def prefix(self) -> str:
        """The path below which a trusted proxy shows this server to its clients; "" for none."""
        return self.told.prefix if self.told is not None else ""

    @property
    def url(self) -> str:
        """The address that the client asked for, query included.  Raises what ``host`` raises."""
        return f"{self.scheme}://{self.host}{self.prefix}{_parts(self.target)[1]}"


def _parts(target: str) -> tuple[str, str]:
    """Authority, "" where it has none, and path with query of a request's target."""
    if target.startswith("/"):
        return "", target
    found = _ABSOLUTE.fullmatch(target)
    if found is None:  # * or, of CONNECT, an authority alone
        return "", "/"
    rest = found["rest"]
    return found["authority"], rest if rest.startswith("/") else f"/{rest}"
