"""The endpoint of message protocols: WebSocket after its handshake, and TCP."""

from __future__ import annotations

import logging
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from greenimi.codec.payload import PAYLOADS, payload_from
from greenimi.container.context import Scope, enter
from greenimi.container.registry import Container
from greenimi.dispatch.failure import describe, report
from greenimi.dispatch.pipeline import MessagePipeline
from greenimi.errors import HandlerTimeout, Overloaded
from greenimi.message import Message, Reply
from greenimi.message_stream import StreamedMessage
from greenimi.servers.parts import prepare
from greenimi.servers.stream import StreamConnection

if TYPE_CHECKING:
    from greenimi.interfaces import IDialect, IPayload
    from greenimi.servers.peers import UdpPeer

log = logging.getLogger("greenimi.servers")


class MessageEndpoint:
    """Hands messages to a pipeline and sends its replies.  One a server, or one a WebSocket path."""

    def __init__(self, container: Container, pipeline: MessagePipeline) -> None:
        self._container = container
        self.pipeline = pipeline
        self._encode = pipeline.payload.encode
        self._others: WeakValueDictionary[str | int, MessageEndpoint] = WeakValueDictionary()  # with other payloads, by name or id
        self._others[pipeline.payload.name] = self
        self._dialects: dict[Any, IDialect] = {}  # of connections that changed their payload, by what their kind is

    @property
    def has_opened(self) -> bool:
        return self.pipeline.has_opened

    @property
    def has_closed(self) -> bool:
        return self.pipeline.has_closed

    def process(self, connection: StreamConnection, message: Any) -> None:
        if type(message) is not Message and not prepare(connection, message):
            return
        message.connection = connection
        message.params = connection.params
        try:
            raw = Context().run(enter, Scope(self._container, connection, message), self.pipeline.handle, message)
        except HandlerTimeout as error:
            raw = Context().run(enter, Scope(self._container, connection, message), partial(too_late, self.pipeline, error), message)
        if raw is not None:
            if connection.endpoint is not self:  # it has changed the payload; this answer is still in the old one
                raw = self._as_it_is(raw)
            try:
                if type(raw) is bytes:
                    connection.codec.send(raw)
                else:
                    self.reply(connection, raw)
            except (TypeError, ValueError) as error:  # the framing cannot carry it
                self._reply_failed(connection, error, message)
        links = connection.links
        if links is not None and links.after is not None:
            after, links.after = links.after, None
            after()

    def _reply_failed(self, connection: StreamConnection, error: Exception, message: Message) -> None:
        """Send that the answer could not be sent, if that can be."""
        try:
            self.reply(connection, self.pipeline.failed(error, message))
        except (TypeError, ValueError) as second:
            log.error("%r: not even the error can be answered: %s", connection, second)

    def _as_it_is(self, raw: bytes | Reply) -> Reply:
        if isinstance(raw, Reply):
            return raw
        return Reply(raw.decode() if self.pipeline.payload.text else raw)

    def change_payload(self, connection: StreamConnection, payload: str | IPayload) -> None:
        """See IConnection.payload."""
        other = self._speaking(payload)
        dialect: Any = connection.dialect
        if dialect is not None:
            self._dialects.setdefault(dialect.kind, dialect)
            if dialect.kind not in other._dialects:
                other._dialects[dialect.kind] = dialect.speaking(other.pipeline.payload)
            connection.dialect = other._dialects[dialect.kind]
        connection.endpoint = other
        connection.codec.change_payload(text=other.pipeline.payload.text)

    def _speaking(self, payload: str | IPayload) -> MessageEndpoint:
        """The endpoint that is the same but for the payload.  Raises ValueError for a name that is none."""
        key = payload if isinstance(payload, str) else id(payload)
        found = self._others.get(key)
        if found is None:
            if isinstance(payload, str) and payload not in PAYLOADS:  # it may be the client who says it
                raise ValueError(f"{payload[:40]!r} is none of {', '.join(PAYLOADS)}; a payload of your own is given as an object")
            meaning = payload_from(payload) if isinstance(payload, str) else payload
            found = self._others[key] = MessageEndpoint(self._container, self.pipeline.speaking(meaning))
            found._others = self._others
        return found

    @staticmethod
    def reply(connection: Any, raw: bytes | Reply | None) -> None:
        """Queue what a pipeline made for a connection of streams."""
        if type(raw) is Reply:
            connection.codec.send_raw(raw.raw)
        elif raw is not None:
            connection.codec.send(raw)

    def opened(self, connection: StreamConnection | UdpPeer, message: Message) -> None:
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

    def closed(self, connection: StreamConnection | UdpPeer) -> None:
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


class StreamedEndpoint(MessageEndpoint):
    """The same where messages are handled while they arrive."""

    def process(self, connection: StreamConnection, message: Any) -> None:
        if type(message) is not StreamedMessage:
            super().process(connection, message)
            return
        message.stream.pull = connection.wait_for_data
        try:
            super().process(connection, message)
        finally:
            message.stream.leave()


def too_late(pipeline: MessagePipeline, error: HandlerTimeout, message: Message) -> bytes | Reply | None:
    """The reply to a message whose handler was stopped by ``error``."""
    report(error, message)
    return pipeline.failed(Overloaded("the handler took too long"), message)
