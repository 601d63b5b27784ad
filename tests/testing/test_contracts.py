"""Our own drivers keep the contracts that everybody's drivers are held to, and the contracts notice those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import zope.event

from greenimi.codec.framing import Delimiter, Fixed, LengthPrefix, Line
from greenimi.codec.heads import ResponseHeads
from greenimi.codec.http1 import Http1Codec, Http1Limits
from greenimi.codec.packets import PacketCodec
from greenimi.codec.payload import Json, MsgPack, Raw, Text
from greenimi.codec.websocket import ClientCodec, WebSocketCodec
from greenimi.codec.websocket_frames import frame, masked_frame
from greenimi.config import Config
from greenimi.container import Tier
from greenimi.event import Bridge, Events
from greenimi.interfaces import ICodec, IConfig, IFraming, IPayload, IService
from greenimi.servers.doors import Doors, Plan
from greenimi.servers.settings import WorkerSettings
from greenimi.testing.contracts import CodecContract, ConfigContract, FramingContract, PayloadContract, ServiceContract
from greenimi.testing.contracts.split import splits


class TestJson(PayloadContract):
    garbage = (b"", b"{", b"\xff", b"NaN", "nope", b"[1,]")

    def make(self) -> IPayload:
        return Json()


class TestMsgPack(PayloadContract):
    values = (*PayloadContract.values, b"\x00\xff")
    garbage = (b"", b"\xc1", b"\x82\x01", "text")

    def make(self) -> IPayload:
        return MsgPack()


class TestText(PayloadContract):
    values = ("", "äöü €", "{}")
    garbage = (b"\xff\xfe",)
    unencodable = (1, b"x", None, {})

    def make(self) -> IPayload:
        return Text()


class TestRaw(PayloadContract):
    values = (b"", b"\x00\xff")
    garbage = ()
    unencodable = ("x", 1, None)

    def make(self) -> IPayload:
        return Raw()


class TestLine(FramingContract):
    packets = (b"one", b"", b"x" * 100)
    too_large = b"x" * 110

    def make(self) -> IFraming:
        return Line(limit=100)


class TestDelimiter(FramingContract):
    packets = (b"one", b"", b"\r", b"x" * 100)
    too_large = b"x" * 110

    def make(self) -> IFraming:
        return Delimiter(b"\r\n\r\n", limit=100)


class TestLengthPrefix(FramingContract):
    packets = (b"one", b"", b"\x00" * 100)
    too_large = b"\x00\x65"

    def make(self) -> IFraming:
        return LengthPrefix(bits=16, limit=100)


class TestFixed(FramingContract):
    packets = (b"one", b"two")

    def make(self) -> IFraming:
        return Fixed(3)

    test_a_packet_over_the_limit_is_refused = None  # type: ignore[assignment]  # there is none
    test_what_is_over_the_limit_is_refused_however_it_comes = None  # type: ignore[assignment]


class TestPacketCodec(CodecContract):
    stream = b"one\ntwo\r\n\nfour\n"
    messages = 4
    broken = b"x" * 200 + b"\n"

    def make(self) -> ICodec:
        return PacketCodec(Line(limit=100))


class TestHttp1Codec(CodecContract):
    stream = (
        b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"
        b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    messages = 4
    broken = b"GET /\x00 HTTP/1.1\r\n\r\n"

    def make(self) -> ICodec:
        return Http1Codec(Http1Limits(), ResponseHeads(0.0))

    def facts(self, message: Any) -> Any:
        return message.method, message.target, b"".join(message.stream.chunks) if message.stream else b""


class TestWebSocketCodec(CodecContract):
    stream = masked_frame("one") + masked_frame(b"ping", 9) + masked_frame(b"\x00two") + masked_frame("x" * 70000)
    messages = 3
    broken = frame("without a mask")

    def make(self) -> ICodec:
        return WebSocketCodec()


class TestClientCodec(CodecContract):
    stream = frame("one") + frame(b"two") + frame("x" * 300)
    messages = 3
    broken = masked_frame("with a mask")

    def make(self) -> ICodec:
        return ClientCodec()


class TestConfig(ConfigContract):
    def make(self, tree: Mapping[str, Any]) -> IConfig:
        return Config(tree)


class TestBridge(ServiceContract):
    def make(self) -> IService:
        return Bridge(Events())

    def is_running(self, service: IService) -> bool:
        assert isinstance(service, Bridge)
        return service._hear in zope.event.subscribers


class TestDoors(ServiceContract):
    plans: tuple[Plan, ...] = ()

    def make(self) -> IService:
        return Doors(self.plans, WorkerSettings(), Events(), debug=False)

    def is_running(self, service: IService) -> bool:
        assert isinstance(service, Doors)
        return service.runtime._timer is not None


def test_splits_keep_every_byte() -> None:
    for data in (b"x", b"0123456789"):
        found = list(splits(data))
        assert all(b"".join(pieces) == data for pieces in found)
        assert [data[:1], data[1:]] in found or len(data) == 1


class _Sloppy(Json):
    def decode(self, raw: bytes | str) -> Any:
        return None if raw in (b"", b"{") else super().decode(raw)


class _Forgetful(PacketCodec):
    """Only sees packets that come whole."""

    def receive(self, data: bytes) -> Any:
        found = super().receive(data)
        self._rest.clear()
        return found


class _Unstoppable:
    tier = Tier.WORK
    running = False

    def start(self) -> None:
        self.running = True

    def drain(self) -> None: ...

    def stop(self) -> None: ...


def test_contracts_notice_what_is_wrong() -> None:
    class Sloppy(PayloadContract):
        def make(self) -> IPayload:
            return _Sloppy()

    class Forgetful(TestPacketCodec):
        def make(self) -> ICodec:
            return _Forgetful(Line(limit=100))

    class Unstoppable(ServiceContract):
        def make(self) -> IService:
            return _Unstoppable()

        def is_running(self, service: Any) -> bool:
            return bool(service.running)

    with pytest.raises(pytest.fail.Exception):
        Sloppy().test_garbage_is_a_bad_message()
    with pytest.raises(AssertionError):
        Forgetful().test_any_split_gives_the_same_messages()
    with pytest.raises(AssertionError):
        Unstoppable().test_runs_from_start_to_stop()
