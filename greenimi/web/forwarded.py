"""What proxies in front of a server tell about its clients: Forwarded (RFC 7239) and the X-Forwarded fields.

Anybody can send these fields.  They count only when the peer is a trusted proxy, and then only as far as trusted proxies wrote them:
each appends what it saw, so they are read from the right, up to the first address that is none of a trusted proxy.  That is the client.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple

from greenimi.container.onion import Proceed
from greenimi.errors import BadMessage, ConfigError
from greenimi.located import Told, is_host
from greenimi.message import Request

FIELDS = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix")

_MOST_HOPS = 64
_LONGEST_ADDRESS = 80
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_SCHEMES = frozenset(_DEFAULT_PORTS)
_PART = re.compile(
    r"""[ \t]*+(?:(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^\s;,"=]+)))?[ \t]*(?P<mark>[;,]|\Z)"""
)
_ESCAPED = re.compile(r"\\(.)")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")


def check_forwarded(fields: Sequence[str], trusted: Sequence[str]) -> None:
    """Raises ConfigError for fields that cannot be believed."""
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise ConfigError(f"there is no field {unknown[0]!r}", hint=f"known fields: {', '.join(FIELDS)}")
    if "forwarded" in fields and len(fields) > 1:
        raise ConfigError("a proxy sets forwarded or the x-forwarded fields", hint="a client would set the other ones")
    if fields and not trusted:
        raise ConfigError("no proxy is trusted", hint='say which one is: trusted = ["10.0.0.0/8"]')


class Forwarded:
    """The layer.  ``fields``: those that the trusted proxies set themselves; what a client sends in others is not looked at."""

    def __init__(self, fields: Sequence[str], trusted: Container[Any]) -> None:
        self._standard = "forwarded" in fields
        self._fields = frozenset(fields)
        self._unix = "" in trusted
        self._is_proxy = lru_cache(1024)(lambda address: (address, 0) in trusted)

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        address = request.connection.address
        if self._is_proxy(address[0]) if type(address) is tuple else self._unix:
            peer = Hop(request.client, request.scheme)
            request.told = self._standard_fields(request, peer) if self._standard else self._own_fields(request, peer)
        return proceed(request)

    def _standard_fields(self, request: Request, peer: Hop) -> Told:
        hops = parse_forwarded(", ".join(request.headers.get_all("forwarded")))
        found = peer
        for hop in reversed(hops):
            client = address_in(hop.client)
            found = Hop(client or found.client, hop.scheme or found.scheme, hop.host or found.host)
            if not client or not self._is_proxy(client):
                break
        return Told(found.client, found.scheme, found.host)

    def _own_fields(self, request: Request, peer: Hop) -> Told:
        hops = self._list(request, "x-forwarded-for")
        client, depth = peer.client, 0
        for hop in reversed(hops):
            address = address_in(hop)
            if not address:
                break
            client, depth = address, depth + 1
            if not self._is_proxy(address):
                break
        scheme = self._seen(request, "x-forwarded-proto", depth).lower()
        host = self._seen(request, "x-forwarded-host", depth)
        port = self._seen(request, "x-forwarded-port", depth)
        prefix = self._seen(request, "x-forwarded-prefix", depth).rstrip("/")
        host = host if is_host(host) else ""
        scheme = scheme if scheme in _SCHEMES else peer.scheme
        if port.isascii() and port.isdigit() and len(port) <= 5:
            host = _with_port(host or request.host, "" if port == _DEFAULT_PORTS[scheme] else f":{port}")
        return Told(client, scheme, host, prefix if _PREFIX.fullmatch(prefix) else "")

    def _list(self, request: Request, name: str) -> list[str]:
        if name not in self._fields:
            return []
        values = ",".join(request.headers.get_all(name)).rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]
        return [value.strip(" \t") for value in values if value.strip(" \t")]

    def _seen(self, request: Request, name: str, depth: int) -> str:
        """What the proxy said that is ``depth`` hops away: the one that the client spoke to."""
        values = self._list(request, name)
        return values[-min(max(depth, 1), len(values))] if values else ""


class Hop(NamedTuple):
    """What one proxy says.  Empty: nothing."""

    client: str = ""
    scheme: str = ""
    host: str = ""


def parse_forwarded(text: str) -> list[Hop]:
    """The elements of a Forwarded field, that of the nearest proxy last.

    Raises BadMessage (400) for one that is malformed: a quotation mark that a client sends could swallow what a proxy appends.
    """
    hops: list[Hop] = []
    pairs: dict[str, str] = {}
    position = 0
    while True:
        part = _PART.match(text, position)
        if part is None:
            raise BadMessage("the field Forwarded is malformed")
        if part["name"]:
            name = part["name"].lower()
            if name in pairs:
                raise BadMessage("the field Forwarded says something twice")
            pairs[name] = part["token"] if part["quoted"] is None else _ESCAPED.sub(r"\1", part["quoted"])
        if part["mark"] != ";" and pairs:
            hops.append(_hop(pairs))
            pairs = {}
        if not part["mark"]:
            return hops[-_MOST_HOPS:]
        position = part.end()


def _hop(pairs: dict[str, str]) -> Hop:
    scheme, host = pairs.get("proto", "").lower(), pairs.get("host", "")
    return Hop(pairs.get("for", ""), scheme if scheme in _SCHEMES else "", host if is_host(host) else "")


def address_in(text: str) -> str:
    """The IP address in ``192.0.2.1``, ``192.0.2.1:80``, ``2001:db8::1`` or ``[2001:db8::1]:80``; "" for anything else."""
    return _address_in(text) if len(text) <= _LONGEST_ADDRESS else ""


@lru_cache(4096)
def _address_in(text: str) -> str:
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


def _with_port(host: str, port: str) -> str:
    """``host`` with this port, or none, in place of its own."""
    return (host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]) + port
