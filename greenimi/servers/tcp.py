"""TCP: packets cut by a framing, messages by a payload."""

from __future__ import annotations

from greenimi.codec.base import Codec
from greenimi.codec.framing import PacketCodec, framing_from
from greenimi.container.registry import Container
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.servers.base import StreamHost
from greenimi.servers.configured import framing_table
from greenimi.servers.messages import MessageEndpoint
from greenimi.servers.runtime import Runtime
from greenimi.servers.settings import ServerSettings


class TcpServer(StreamHost):
    """``kind = "tcp"``."""

    def __init__(self, name: str, settings: ServerSettings, container: Container, runtime: Runtime, pipeline: MessagePipeline) -> None:
        super().__init__(name, "tcp", settings, container, runtime)
        self.pipeline = pipeline
        self._endpoint = MessageEndpoint(container, pipeline)
        self._framing = framing_from(framing_table(settings))

    def new_codec(self) -> Codec:
        return PacketCodec(self._framing)

    def new_endpoint(self) -> MessageEndpoint:
        return self._endpoint
