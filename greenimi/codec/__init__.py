"""Bytes to messages and back, without any I/O."""

from __future__ import annotations

from greenimi.codec.base import Codec
from greenimi.codec.datagram import DatagramCodec, DatagramDialect
from greenimi.codec.framing import Delimiter, Fixed, Framing, LengthPrefix, Line, framing_from
from greenimi.codec.handshake import Handshake, accept_key, check_upgrade
from greenimi.codec.packets import PacketCodec, PacketDialect
from greenimi.codec.payload import Json, MsgPack, Raw, Text, payload_from
from greenimi.codec.websocket import ClientCodec, WebSocketCodec
from greenimi.codec.websocket_frames import frame

__all__ = [
    "ClientCodec",
    "Codec",
    "DatagramCodec",
    "DatagramDialect",
    "Delimiter",
    "Fixed",
    "Framing",
    "Handshake",
    "Json",
    "LengthPrefix",
    "Line",
    "MsgPack",
    "PacketCodec",
    "PacketDialect",
    "Raw",
    "Text",
    "WebSocketCodec",
    "WebSocketDialect",
    "accept_key",
    "check_upgrade",
    "frame",
    "framing_from",
    "payload_from",
]
