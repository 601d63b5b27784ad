from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.proxy import ProxyHeader, ProxyReader, crc32c
from greenimi.errors import ProtocolError

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES4 = IPv4Address("192.0.2.7").packed + IPv4Address("198.51.100.1").packed + (50000).to_bytes(2, "big") + (443).to_bytes(2, "big")
ADDRESSES6 = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8::1").packed + (50000).to_bytes(2, "big") + (443).to_bytes(2, "big")


def version2(family: int, block: bytes, command: int = 0x21, size: int | None = None) -> bytes:
    return SIGNATURE + bytes([command, family]) + (len(block) if size is None else size).to_bytes(2, "big") + block


def field(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def with_sum(family: int, block: bytes) -> bytes:
    empty = version2(family, block + field(3, bytes(4)))
    return empty[:-4] + crc32c(empty).to_bytes(4, "big")


def read(data: bytes, cuts: list[int] | None = None) -> tuple[Any, bytes]:
    """The header, or the text of the error, and what came behind it."""
    reader = ProxyReader()
    at = 0
    for cut in [*sorted(cuts or ()), len(data)]:
        try:
            header = reader.feed(data[at:cut])
        except ProtocolError as error:
            return error.text, b""
        at = max(at, cut)
        if header is not None:
            return header, reader.rest + data[at:]
    return None, b""


@pytest.mark.parametrize(
    ("data", "source", "destination"),
    [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 443\r\n", ("192.0.2.7", 50000), ("198.51.100.1", 443)),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", ("255.255.255.255", 65535), ("255.255.255.255", 65535)),
        (b"PROXY TCP6 2001:db8::7 ::1 0 1\r\n", ("2001:db8::7", 0), ("::1", 1)),
        (b"PROXY UNKNOWN\r\n", None, None),
        (b"PROXY UNKNOWN ffff:f...f:ffff what ever\r\n", None, None),
        (version2(0x11, ADDRESSES4), ("192.0.2.7", 50000), ("198.51.100.1", 443)),
        (version2(0x21, ADDRESSES6), ("2001:db8::7", 50000), ("2001:db8::1", 443)),
        (version2(0x31, b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")), "/run/a", "/run/b"),
        (version2(0x00, b""), None, None),
        (version2(0x00, b"", command=0x20), None, None),
        (version2(0x11, ADDRESSES4, command=0x20), None, None),
        (version2(0xFF, b"whatever", command=0x20), None, None),
        (version2(0x10, ADDRESSES4), None, None),
    ],
)
def test_headers(data: bytes, source: Any, destination: Any) -> None:
    assert read(data + b"GET /") == (ProxyHeader(source, destination), b"GET /")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"GET / HTTP/1.1\r\n", "does not begin with a PROXY header"),
        (b"PROXY\r\n", "does not begin with"),
        (b"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", "does not begin with"),
        (b"PROXY TCP4 " + b"1" * 100, "longer than 107 bytes"),
        (b"PROXY UNKNOWN " + b"x" * 93 + b"\r\n", "longer than 107 bytes"),
        (b"PROXY UNKNOWNS\r\n", "cannot be understood"),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", "cannot be understood"),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n", "cannot be understood"),
        (b"PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n", "cannot be understood"),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n", "cannot be understood"),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 -1\r\n", "cannot be understood"),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 01\r\n", "cannot be understood"),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n\r\n", "cannot be understood"),
        (b"PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n", "cannot be understood"),
        (b"PROXY TCP4 ::1 ::1 1 1\r\n", "cannot be understood"),
        (b"PROXY TCP6 1.1.1.1 1.1.1.1 1 1\r\n", "cannot be understood"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n", "cannot be understood"),
        (b"PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n", "cannot be understood"),
        (b"PROXY TCP4 1.1.1.\xff 1.1.1.1 1 1\r\n", "cannot be understood"),
        (version2(0x11, ADDRESSES4, command=0x11), "version 1 with command 1"),
        (version2(0x11, ADDRESSES4, command=0x22), "version 2 with command 2"),
        (version2(0x41, ADDRESSES4), "unknown address family 0x41"),
        (version2(0x13, ADDRESSES4), "unknown address family 0x13"),
        (version2(0x12, ADDRESSES4), "for datagrams"),
        (version2(0x11, ADDRESSES4[:-1]), "too short for its addresses"),
        (version2(0x21, ADDRESSES4), "too short for its addresses"),
        (version2(0x31, ADDRESSES6), "too short for its addresses"),
        (version2(0x11, b"", size=4097), "longer than 4112"),
        (version2(0x11, ADDRESSES4 + b"\x01"), "cut short"),
        (version2(0x11, ADDRESSES4 + b"\x01\x00\x02h"), "cut short"),
        (version2(0x11, ADDRESSES4 + field(3, b"sum!")), "checksum"),
        (version2(0x11, ADDRESSES4 + field(3, b"")), "checksum"),
    ],
)
def test_errors(data: bytes, problem: str) -> None:
    assert problem in read(data)[0]
    assert read(data) == read(data, list(range(len(data))))


@pytest.mark.parametrize("data", [b"", b"P", b"PROXY ", b"PROXY TCP4 1.1.1.1", SIGNATURE[:5], version2(0x11, ADDRESSES4)[:-1]])
def test_incomplete(data: bytes) -> None:
    assert read(data) == (None, b"")


def test_the_largest_headers_are_read() -> None:
    assert read(b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n")[0] == ProxyHeader()
    assert read(version2(0x11, ADDRESSES4 + field(4, bytes(4096 - 12 - 3))))[0].source == ("192.0.2.7", 50000)


def test_fields_and_checksum() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of RFC 3720's polynomial
    data = with_sum(0x11, ADDRESSES4 + field(2, b"example.org"))
    header, rest = read(data)
    assert (header.fields[2], header.source, rest) == (b"example.org", ("192.0.2.7", 50000), b"")
    assert "checksum" in read(data.replace(b"example", b"exbmple"))[0]


addresses = st.tuples(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(0, 65535))


@given(addresses, st.integers(0, 65535), st.booleans(), st.binary(max_size=30), st.lists(st.integers(0, 250)))
def test_any_split_gives_the_same(source: Any, port: int, old: bool, rest: bytes, cuts: list[int]) -> None:
    host, source_port = source
    six = host.version == 6
    if old:
        data = f"PROXY TCP{6 if six else 4} {host} {host} {source_port} {port}\r\n".encode()
    else:
        block = host.packed * 2 + source_port.to_bytes(2, "big") + port.to_bytes(2, "big")
        data = with_sum(0x21 if six else 0x11, block)
    fields = {} if old else {3: data[-4:]}
    expected = ProxyHeader((str(host), source_port), (str(host), port), fields), rest
    assert read(data + rest) == read(data + rest, cuts) == expected


starts = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21", SIGNATURE + b"\x21\x11\x00"])


@given(st.builds(bytes.__add__, starts, st.binary(max_size=200)), st.lists(st.integers(0, 210)))
def test_any_bytes_give_a_header_or_one_kind_of_error(data: bytes, cuts: list[int]) -> None:
    assert read(data) == read(data, cuts)


def test_a_path_may_hold_any_bytes() -> None:
    path = b"/run/\xff\xfe"
    header, _ = read(version2(0x31, path.ljust(108, b"\0") + bytes(108)))
    assert (os.fsencode(header.source), header.destination) == (path, "")
