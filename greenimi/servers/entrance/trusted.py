"""Which peers are believed what they say about others: the proxies in front of a server."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from greenimi.errors import ConfigError


class Trusted:
    """The networks of ``trusted`` in conf.  Raises ConfigError for what is no network."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._unix = "unix" in networks
        self._networks = []
        for text in networks:
            if text != "unix":
                try:
                    self._networks.append(ip_network(text))
                except ValueError as error:
                    hint = "write a network as 10.0.0.0/8 or ::1, or unix for Unix sockets"
                    raise ConfigError(f"trusted: {error}", hint=hint) from None

    def __contains__(self, address: Any) -> bool:
        """Whether the peer with this address, as the socket gives it, is one of them."""
        if not isinstance(address, tuple):
            return self._unix
        found = ip_address(address[0])
        if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._networks)
