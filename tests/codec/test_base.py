from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from greenimi.codec import ClientCodec, Codec, Line, PacketCodec, WebSocketCodec
from greenimi.codec.base import load_class
from greenimi.errors import ConfigError
from greenimi.interfaces import ICodec


@pytest.mark.parametrize("codec", [PacketCodec(Line()), WebSocketCodec(), ClientCodec()])
def test_codecs_keep_the_interface(codec: Codec) -> None:
    assert verifyObject(ICodec, codec)
    assert (codec.out, codec.closing, codec.paused, codec.ended) == ([], False, False, False)


def test_outgoing_takes_everything_once() -> None:
    codec = PacketCodec(Line())
    assert codec.outgoing() == b""
    codec.send(b"one")
    assert codec.outgoing() == b"one\n"
    codec.send(b"two")
    codec.send("three")
    assert codec.outgoing() == b"two\nthree\n"
    assert codec.outgoing() == b""


def test_outgoing_keeps_the_list_the_server_knows() -> None:
    codec = PacketCodec(Line())
    out = codec.out
    codec.send(b"one")
    codec.outgoing()
    codec.send(b"two")
    assert codec.out is out
    assert out == [b"two\n"]


def test_no_timer_by_default() -> None:
    assert PacketCodec(Line()).tick(12.5) is None


def test_slots_keep_connections_small() -> None:
    codec: Any = PacketCodec(Line())
    with pytest.raises(AttributeError):
        codec.anything = 1


@pytest.mark.parametrize("dotted", ["no.such.module:X", "json:Nothing", ":X", "json:"])
def test_load_class_names_what_is_missing(dotted: str) -> None:
    with pytest.raises(ConfigError, match="payload"):
        load_class(dotted, "payload")
