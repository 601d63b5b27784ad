from __future__ import annotations

import pytest

from greenimi.codec import DatagramCodec
from greenimi.errors import ProtocolError
from greenimi.message import Datagram


@pytest.mark.parametrize("data", [b"", b"ping", b"x" * 10])
def test_a_datagram_is_a_message(data: bytes) -> None:
    found = DatagramCodec(limit=10).receive(data)
    assert isinstance(found, Datagram)
    assert found.raw == data


def test_a_datagram_over_the_limit_shows() -> None:
    codec = DatagramCodec(limit=10)
    found = codec.receive((b"x" * 500)[: codec.read_size])
    assert isinstance(found, ProtocolError)
    assert found.text == "a datagram is over the limit of 10 bytes"
    assert found.status == 413


def test_replies_leave_whole_or_not_at_all() -> None:
    codec = DatagramCodec(limit=10)
    assert codec.frame(b"x" * 100) == b"x" * 100
    assert codec.frame("é") == b"\xc3\xa9"
    assert len(codec.frame(b"x" * 65507)) == 65507
    with pytest.raises(ValueError, match="65508"):
        codec.frame(b"x" * 65508)


@pytest.mark.parametrize("limit", [0, 65508])
def test_the_limit_is_one_a_datagram_can_have(limit: int) -> None:
    with pytest.raises(ValueError, match="65507"):
        DatagramCodec(limit)
