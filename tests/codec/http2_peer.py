"""The other end of an HTTP/2 connection, on hyperframe and hpack: says anything, right or wrong, and reads what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Fields = Sequence[tuple[str, str]]


def request(method: str = "GET", path: str = "/", *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path), *more]


def raw(kind: int, flags: int, stream: int, payload: bytes, length: int | None = None) -> bytes:
    """Any frame, whatever its payload."""
    size = len(payload) if length is None else length
    return size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def plain(fields: Fields) -> bytes:
    """A block that does not touch the table: the same on any connection."""
    return b"".join(b"\x10" + _text(name.encode("latin-1")) + _text(value.encode("latin-1")) for name, value in fields)


def _text(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest = len(value) - 127
    return bytes([127]) + (bytes([rest]) if rest < 128 else bytes([rest & 127 | 128, rest >> 7])) + value


def headers(stream: int, fields: Fields = (), *flags: str, block: bytes | None = None, **more: Any) -> bytes:
    """HEADERS; END_HEADERS and END_STREAM unless flags are named."""
    frame = HeadersFrame(stream, plain(fields) if block is None else block, flags=flags or ("END_HEADERS", "END_STREAM"), **more)
    return frame.serialize()


def continuation(stream: int, block: bytes, *flags: str) -> bytes:
    return ContinuationFrame(stream, block, flags=flags).serialize()


def data(stream: int, payload: bytes, *flags: str, **more: Any) -> bytes:
    return DataFrame(stream, payload, flags=flags, **more).serialize()


def settings(values: dict[int, int] | None = None, *, ack: bool = False) -> bytes:
    return SettingsFrame(0, values or {}, flags=["ACK"] if ack else []).serialize()


def ping(payload: bytes = b"12345678", *, ack: bool = False) -> bytes:
    return PingFrame(0, payload, flags=["ACK"] if ack else []).serialize()


def priority(stream: int, depends_on: int) -> bytes:
    return PriorityFrame(stream, depends_on=depends_on).serialize()


def reset(stream: int, code: int = 8) -> bytes:
    return RstStreamFrame(stream, code).serialize()


def window_update(stream: int, increment: int) -> bytes:
    return raw(8, 0, stream, increment.to_bytes(4, "big"))


def goaway(last: int = 0, code: int = 0) -> bytes:
    return GoAwayFrame(0, last, code).serialize()


def push_promise(stream: int, promised: int) -> bytes:
    return PushPromiseFrame(stream, promised, plain(request()), flags=["END_HEADERS"]).serialize()


@dataclass
class Said:
    """What a server said, frame by frame, and put together."""

    frames: list[Frame] = field(default_factory=list)
    heads: dict[int, list[dict[str, str]]] = field(default_factory=dict)
    bodies: dict[int, bytes] = field(default_factory=dict)
    resets: dict[int, int] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    gone: int | None = None
    last: int | None = None
    pongs: list[bytes] = field(default_factory=list)
    acks: int = 0
    settings: dict[int, int] = field(default_factory=dict)
    windows: dict[int, int] = field(default_factory=dict)

    def status(self, stream: int) -> int | None:
        heads = self.heads.get(stream)
        return int(heads[-1][":status"]) if heads else None


class Peer:
    """Reads what a server says."""

    def __init__(self) -> None:
        self.decoder = Decoder()
        self.encoder = Encoder()
        self.said = Said()
        self._rest = b""
        self._block: list[bytes] = []

    def read(self, data: bytes) -> Said:
        """Take more bytes of the server; everything that it has said so far."""
        self._rest += data
        while len(self._rest) >= 9:
            frame, size = Frame.parse_frame_header(memoryview(self._rest[:9]))
            if len(self._rest) < 9 + size:
                break
            frame.parse_body(memoryview(self._rest[9 : 9 + size]))
            self._rest = self._rest[9 + size :]
            self.said.frames.append(frame)
            self._take(frame)
        return self.said

    def _take(self, frame: Any) -> None:
        said = self.said
        if isinstance(frame, HeadersFrame | ContinuationFrame):
            self._block.append(frame.data)
            if "END_HEADERS" in frame.flags:
                found = self.decoder.decode(b"".join(self._block), raw=True)
                self._block = []
                said.heads.setdefault(frame.stream_id, []).append({name.decode(): value.decode("latin-1") for name, value in found})
        elif isinstance(frame, DataFrame):
            said.bodies[frame.stream_id] = said.bodies.get(frame.stream_id, b"") + frame.data
        elif isinstance(frame, RstStreamFrame):
            said.resets[frame.stream_id] = frame.error_code
        elif isinstance(frame, GoAwayFrame):
            said.gone, said.last = frame.error_code, frame.last_stream_id
        elif isinstance(frame, PingFrame) and "ACK" in frame.flags:
            said.pongs.append(frame.opaque_data)
        elif isinstance(frame, SettingsFrame):
            if "ACK" in frame.flags:
                said.acks += 1
            said.settings.update(frame.settings)
        elif isinstance(frame, WindowUpdateFrame):
            said.windows[frame.stream_id] = said.windows.get(frame.stream_id, 0) + frame.window_increment
        if isinstance(frame, HeadersFrame | DataFrame) and "END_STREAM" in frame.flags:
            said.ended.add(frame.stream_id)


def names(frames: Iterable[Frame]) -> list[str]:
    return [type(frame).__name__.removesuffix("Frame") for frame in frames]
