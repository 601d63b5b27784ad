"""TCP: packets cut by a framing, messages by a payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenimi.codec.base import Codec
from greenimi.codec.framing import framing_from
from greenimi.codec.packets import PacketCodec, PacketDialect
from greenimi.container.registry import Container
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.servers.base import StreamHost
from greenimi.servers.configured import framing_table
from greenimi.servers.deadlines import Silence
from greenimi.servers.messages import MessageEndpoint
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings
from greenimi.servers.stream import StreamConnection

if TYPE_CHECKING:
    from greenimi.servers.entrance.tls import TlsFacts


class TcpServer(StreamHost):
    """``kind = "tcp"``."""

    def __init__(self, name: str, settings: ServerSettings, container: Container, runtime: Runtime, pipeline: MessagePipeline) -> None:
        super().__init__(name, "tcp", settings, container, runtime)
        self.pipeline = pipeline
        self._endpoint = MessageEndpoint(container, pipeline)
        self._framing = framing_from(framing_table(settings))
        self._dialect = PacketDialect(self._framing, pipeline.payload)
        if settings.half_close:
            self.half_closed = Silence(settings.half_close, runtime.now)

    def _move_deadlines(self, now: float) -> None:
        super()._move_deadlines(now)
        if self.half_closed is not None:
            self.half_closed.move(now)

    def new_codec(self) -> Codec:
        return PacketCodec(self._framing)

    def new_connection(self, sock: Any, address: Any, endpoint: Any, tls: TlsFacts | None) -> StreamConnection:
        connection = super().new_connection(sock, address, endpoint, tls)
        connection.join(self._dialect)
        return connection

    def new_endpoint(self) -> MessageEndpoint:
        return self._endpoint
