"""Bytes to messages and back, without any I/O."""

from __future__ import annotations

from greenimi.codec.base import Codec
from greenimi.codec.datagram import DatagramCodec
from greenimi.codec.framing import Delimiter, Fixed, Framing, LengthPrefix, Line, PacketCodec, framing_from
from greenimi.codec.handshake import Handshake, accept_key, check_upgrade
from greenimi.codec.payload import Json, MsgPack, Raw, Text, payload_from
from greenimi.codec.websocket import ClientCodec, WebSocketCodec, frame

__all__ = [
    "ClientCodec",
    "Codec",
    "DatagramCodec",
    "Delimiter",
    "Fixed",
    "Framing",
    "Handshake",
    "Json",
    "LengthPrefix",
    "Line",
    "MsgPack",
    "PacketCodec",
    "Raw",
    "Text",
    "WebSocketCodec",
    "accept_key",
    "check_upgrade",
    "frame",
    "framing_from",
    "payload_from",
]
