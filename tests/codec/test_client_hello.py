from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenimi.codec.client_hello import LIMIT, offered_protocols


def hello(*protocols: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


def in_records(data: bytes, *sizes: int) -> bytes:
    """The same message spread over records of these sizes and one with the rest."""
    body, out = data[5:], b""
    for size in (*sizes, len(body)):
        piece, body = body[:size], body[size:]
        out += data[:3] + len(piece).to_bytes(2, "big") + piece
    return out


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h2", "http/1.1")])
def test_what_is_offered(version: ssl.TLSVersion, protocols: tuple[str, ...]) -> None:
    data = hello(*protocols, version=version)
    expected = [name.encode() for name in protocols]
    assert offered_protocols(data) == offered_protocols(data + b"more") == expected
    assert offered_protocols(in_records(data, 3, 20)) == expected


def test_before_it_is_complete() -> None:
    data = in_records(hello("h2"), 2, 100)
    assert [offered_protocols(data[:size]) for size in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1",
        b"\x80\x2e\x01",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x01\x40\x00\x01" + (LIMIT + 1).to_bytes(3, "big"),
        in_records(hello("h2"), 1, 1, 1, 1),
        b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03",
    ],
)
def test_what_cannot_be_read_is_left_to_openssl(data: bytes) -> None:
    assert offered_protocols(data) == []


@given(st.data())
def test_damaged_hellos_do_no_harm(draw: st.DataObject) -> None:
    data = bytearray(hello("h2", "http/1.1"))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(5, len(data) - 1))] = draw.draw(st.integers(0, 255))
    found = offered_protocols(data)
    assert found is None or isinstance(found, list)
