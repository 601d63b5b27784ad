from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from greenimi.codec import DatagramCodec, DatagramDialect, Json
from greenimi.errors import ProtocolError
from greenimi.interfaces import IDialect
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


def test_messages_leave_whole_or_not_at_all() -> None:
    dialect = DatagramDialect(Json())
    assert verifyObject(IDialect, dialect)
    assert dialect.frame(dialect.payload.encode([1])) == b"[1]"
    assert dialect.frame_raw("é") == b"\xc3\xa9"
    assert dialect.frame_raw(b"\xff") == b"\xff"
    assert len(dialect.frame(b"x" * 65507)) == 65507
    for frame in (dialect.frame, dialect.frame_raw):
        with pytest.raises(ValueError, match="65508"):
            frame(b"x" * 65508)


@pytest.mark.parametrize("limit", [0, 65508])
def test_the_limit_is_one_a_datagram_can_have(limit: int) -> None:
    with pytest.raises(ValueError, match="65507"):
        DatagramCodec(limit)
