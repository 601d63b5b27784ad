from __future__ import annotations

from typing import Any

import pytest

from greenimi.errors import ConfigError
from greenimi.servers.entrance.trusted import Trusted

NETWORKS = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "fe80::/10"]


@pytest.mark.parametrize(
    ("address", "known"),
    [
        (("10.1.2.3", 5), True),
        (("11.1.2.3", 5), False),
        (("192.0.2.1", 5), True),
        (("192.0.2.2", 5), False),
        (("::ffff:10.1.2.3", 5, 0, 0), True),
        (("::ffff:11.1.2.3", 5, 0, 0), False),
        (("2001:db8::9", 5, 0, 0), True),
        (("2001:db9::9", 5, 0, 0), False),
        (("fe80::1%lo", 5, 0, 1), True),
        ("", False),
        ("/run/proxy", False),
        (b"\0abstract", False),
    ],
)
def test_networks(address: Any, known: bool) -> None:
    assert (address in Trusted(NETWORKS)) is known


def test_nobody_is_trusted_by_default() -> None:
    assert ("127.0.0.1", 5) not in Trusted([])


@pytest.mark.parametrize("address", ["", "/run/proxy", b"\0abstract"])
def test_unix_sockets(address: Any) -> None:
    trusted = Trusted(["unix"])
    assert address in trusted
    assert ("127.0.0.1", 5) not in trusted


@pytest.mark.parametrize("network", ["10.0.0.1/8", "example.org", "10.0.0.0/33", ""])
def test_what_is_no_network(network: str) -> None:
    with pytest.raises(ConfigError, match=r"trusted: .*") as caught:
        Trusted([network])
    assert "10.0.0.0/8" in caught.value.hint
