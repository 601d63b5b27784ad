"""The endpoint of message protocols: WebSocket after its handshake, and TCP."""

from __future__ import annotations

import logging
from contextvars import Context
from functools import partial
from typing import Any

from greenimi.container.context import Scope, enter
from greenimi.container.registry import Container
from greenimi.dispatch.failure import describe, report
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.errors import HandlerTimeout, Overloaded, ProtocolError
from greenimi.message import Message, Reply
from greenimi.servers.stream import StreamConnection

log = logging.getLogger("greenimi.servers")


class MessageEndpoint:
    """Hands messages to a pipeline and sends its replies.  One a server, or one a WebSocket path."""

    def __init__(self, container: Container, pipeline: MessagePipeline) -> None:
        self._container = container
        self.pipeline = pipeline
        self._encode = pipeline.payload.encode

    @property
    def has_opened(self) -> bool:
        return self.pipeline.has_opened

    @property
    def has_closed(self) -> bool:
        return self.pipeline.has_closed

    def process(self, connection: StreamConnection, message: Any) -> None:
        if type(message) is ProtocolError:
            log.info("%r: %s", connection, message.text)
            connection.codec.fail(message)
            return
        message.connection = connection
        message.params = connection.params
        try:
            raw = Context().run(enter, Scope(self._container, connection, message), self.pipeline.handle, message)
        except HandlerTimeout as error:
            raw = Context().run(enter, Scope(self._container, connection, message), partial(too_late, self.pipeline, error), message)
        if raw is not None:
            try:
                if type(raw) is bytes:
                    connection.codec.send(raw)
                else:
                    self.reply(connection, raw)
            except (TypeError, ValueError) as error:  # the framing cannot carry it
                self.reply(connection, self.pipeline.failed(error, message))
        links = connection.links
        if links is not None and links.after is not None:
            after, links.after = links.after, None
            after()

    @staticmethod
    def reply(connection: Any, raw: bytes | Reply | None) -> None:
        """Queue what a pipeline made for a connection of streams."""
        if type(raw) is Reply:
            connection.codec.send_raw(raw.raw)
        elif raw is not None:
            connection.codec.send(raw)

    def opened(self, connection: StreamConnection, message: Message) -> None:
        """Run the ``opened`` handlers; an error closes the connection before any message is handled."""
        try:
            Context().run(enter, Scope(self._container, connection, message), self.pipeline.opened, message)
        except Exception as error:
            report(error, connection)
            problem = describe(error, debug=False)
            connection.refuse(problem.close_code, problem.text)
        except BaseException as error:  # stopped from outside: whatever it was to check was not checked
            connection.refuse(1011, "")
            if not isinstance(error, HandlerTimeout):
                raise
            report(error, connection)

    def closed(self, connection: StreamConnection) -> None:
        message = Message(b"", connection)
        message.params = connection.params
        try:
            Context().run(enter, Scope(self._container, connection, message), self.pipeline.closed, message)
        except HandlerTimeout as error:
            report(error, connection)

    def send(self, connection: StreamConnection, data: Any) -> None:
        if type(data) is Reply:
            connection.codec.send_raw(data.raw)
        else:
            connection.codec.send(self._encode(data))


def too_late(pipeline: MessagePipeline, error: HandlerTimeout, message: Message) -> bytes | Reply | None:
    """The reply to a message whose handler was stopped by ``error``."""
    report(error, message)
    return pipeline.failed(Overloaded("the handler took too long"), message)
