"""Frames that are made once for many connections."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from greenimi.codec.deflate import DeflateRules, PackedMessage, Packer, Unpacker
from greenimi.codec.dialect import WebSocketDialect
from greenimi.codec.payload import Json, MsgPack, Raw
from greenimi.codec.websocket import ClientCodec
from greenimi.interfaces import IDialect
from greenimi.message import Message


def read(framed: bytes, window: int = 12) -> Message:
    client = ClientCodec(unpacker=Unpacker(window, context=False, limit=1 << 20))
    (message,) = client.receive(framed)
    assert isinstance(message, Message)
    return message


def test_it_is_a_dialect() -> None:
    assert verifyObject(IDialect, WebSocketDialect(Json()))


def test_text_or_binary_as_the_payload_says() -> None:
    assert WebSocketDialect(Json()).frame(b'{"a":1}') == b'\x81\x07{"a":1}'
    assert WebSocketDialect(MsgPack()).frame(b"\xc0") == b"\x82\x01\xc0"


def test_raw_says_it_itself() -> None:
    for dialect in (WebSocketDialect(Json()), WebSocketDialect(Raw())):
        assert dialect.frame_raw("ä") == b"\x81\x02\xc3\xa4"
        assert dialect.frame_raw(b"\xff") == b"\x82\x01\xff"


def test_with_a_packer_it_is_compressed() -> None:
    dialect = WebSocketDialect(Json(), packer=Packer(DeflateRules(minimum=100), 12))
    assert dialect.frame(b"[" + b" " * 50 + b"]")[0] == 0x81, "too small"
    framed = dialect.frame(b"[" + b" " * 1000 + b"]")
    assert framed[0] == 0xC1
    assert len(framed) < 50
    message = read(framed)
    assert type(message) is PackedMessage
    message.unpack()
    assert message.raw == "[" + " " * 1000 + "]"


@pytest.mark.parametrize("packer", [None, Packer(DeflateRules(minimum=0), 12)])
def test_the_limit(packer: Packer | None) -> None:
    dialect = WebSocketDialect(Raw(), max_message=100, packer=packer)
    assert dialect.frame(b"x" * 100)
    with pytest.raises(ValueError, match="a message of 101 bytes cannot be sent, at most 100 are allowed"):
        dialect.frame(b"x" * 101)


def test_the_same_in_another_payload() -> None:
    packer = Packer(DeflateRules(minimum=0), 12)
    dialect = WebSocketDialect(Json(), max_message=10, packer=packer)
    other = dialect.speaking(Raw())
    assert other.kind is dialect.kind is packer
    assert other.frame(b"x")[0] & 0x0F == 2
    with pytest.raises(ValueError, match="11 bytes"):
        other.frame(b"x" * 11)
