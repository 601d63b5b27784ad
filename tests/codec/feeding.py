"""Bytes for packet codecs, in pieces, and what they made of them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from greenimi.codec.packets import PacketCodec
from greenimi.errors import ProtocolError
from greenimi.message import Message


def shown(found: Iterable[Message | ProtocolError]) -> list[bytes | str]:
    return [item.text if isinstance(item, ProtocolError) else item.raw for item in found]


def feed(codec: PacketCodec, *pieces: bytes) -> list[bytes | str]:
    return [item for piece in pieces for item in shown(codec.receive(piece))]


def one_by_one(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def split_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [piece for start, stop in pairwise(edges) if (piece := data[start:stop])]
