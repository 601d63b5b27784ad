"""The PROXY protocol, versions 1 and 2: what a proxy says, before anything else, about the client it speaks for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from greenimi.errors import ProtocolError

_V1 = b"PROXY "
_V1_LIMIT = 107  # bytes of a line with its end, as the standard says
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = 16
_V2_LIMIT = 4096  # bytes behind the head; the standard's largest addresses and all registered fields need far less
_KINDS: dict[str, type[IPv4Address | IPv6Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_CRC32C = 0x03


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """The client's address and the one it connected to: (host, port), or a path for Unix sockets.

    Both are None when the proxy speaks for itself (LOCAL: a health check) or does not know (UNKNOWN): the socket's own addresses hold then.
    ``fields`` are the additional fields of version 2 by their type.
    """

    source: tuple[str, int] | str | None = None
    destination: tuple[str, int] | str | None = None
    fields: Mapping[int, bytes] = field(default_factory=dict)


class ProxyReader:
    """Reads one header.  Any split of the bytes gives the same.  ``rest`` is what came behind it."""

    __slots__ = ("_data", "rest")

    def __init__(self) -> None:
        self._data = b""
        self.rest = b""

    def feed(self, data: bytes) -> ProxyHeader | None:
        """The header once it is complete, before that None.  Raises ProtocolError.  Not to be called again after either."""
        self._data = data = self._data + data
        if data.startswith(_V1):
            end = data.find(b"\r\n", 0, _V1_LIMIT)
            if end < 0:
                if len(data) >= _V1_LIMIT:
                    raise ProtocolError(f"a PROXY line is longer than {_V1_LIMIT} bytes")
                return None
            self.rest = data[end + 2 :]
            return _version1(data[:end])
        if data.startswith(_V2):
            if len(data) < _V2_HEAD:
                return None
            end = _V2_HEAD + int.from_bytes(data[14:16], "big")
            if end > _V2_HEAD + _V2_LIMIT:
                raise ProtocolError(f"a PROXY header of {end} bytes is longer than {_V2_HEAD + _V2_LIMIT}")
            if len(data) < end:
                return None
            self.rest = data[end:]
            return _version2(data[:end])
        if _V1.startswith(data) or _V2.startswith(data):
            return None
        raise ProtocolError("the connection does not begin with a PROXY header")


def _version1(line: bytes) -> ProxyHeader:
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader()
    try:
        _, family, source, destination, source_port, destination_port = line.decode("ascii").split(" ")
        kind = _KINDS[family]
        return ProxyHeader((_host(kind, source), _port(source_port)), (_host(kind, destination), _port(destination_port)))
    except (ValueError, KeyError):
        raise ProtocolError(f"a PROXY line cannot be understood: {line!r}") from None


def _host(kind: type[IPv4Address | IPv6Address], text: str) -> str:
    if "%" in text:
        raise AddressValueError("a zone has no meaning beyond the machine it is of")
    return str(kind(text))


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 0xFFFF:
        raise ValueError(text)
    return int(text)


def _version2(data: bytes) -> ProxyHeader:
    version, command = data[12] >> 4, data[12] & 15
    if version != 2 or command > 1:
        raise ProtocolError(f"a PROXY header of version {version} with command {command}")
    if command == 0:  # LOCAL: whatever else it says is to be ignored
        return ProxyHeader()
    family, transport = data[13] >> 4, data[13] & 15
    if family > 3 or transport > 2:
        raise ProtocolError(f"a PROXY header with the unknown address family 0x{data[13]:02x}")
    if transport == 2:
        raise ProtocolError("a PROXY header for datagrams on a stream")
    size = (0, 12, 36, 216)[family]
    if len(data) < _V2_HEAD + size:
        raise ProtocolError(f"a PROXY header of {len(data)} bytes is too short for its addresses")
    fields = _fields(data, _V2_HEAD + size)
    if family == 0 or transport == 0:
        return ProxyHeader(fields=fields)
    source, destination = _addresses(family, data[_V2_HEAD : _V2_HEAD + size])
    return ProxyHeader(source, destination, fields)


def _addresses(family: int, block: bytes) -> tuple[Any, Any]:
    if family == 3:
        return _path(block[:108]), _path(block[108:])
    kind = _KINDS["TCP4" if family == 1 else "TCP6"]
    size = (len(block) - 4) // 2
    hosts = str(kind(block[:size])), str(kind(block[size : 2 * size]))
    ports = int.from_bytes(block[-4:-2], "big"), int.from_bytes(block[-2:], "big")
    return (hosts[0], ports[0]), (hosts[1], ports[1])


def _path(block: bytes) -> str:
    return os.fsdecode(block.rstrip(b"\0"))


def _fields(data: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at < len(data):
        value = at + 3
        end = value + int.from_bytes(data[at + 1 : value], "big")
        if value > len(data) or end > len(data):
            raise ProtocolError("a field of a PROXY header is cut short")
        if data[at] == _CRC32C:
            _check_sum(data, value, end)
        found[data[at]] = data[value:end]
        at = end
    return found


def _check_sum(data: bytes, start: int, end: int) -> None:
    """The sum is that of the whole header with zeros in its own place."""
    if end - start != 4 or crc32c(data[:start] + bytes(4) + data[end:]) != int.from_bytes(data[start:end], "big"):
        raise ProtocolError("the checksum of a PROXY header is wrong")


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720 appendix B.4 (Castagnoli's polynomial)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF
