"""What stands between a connection and a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from greenimi.servers.stream import StreamConnection


class Endpoint(Protocol):
    """What a connection's messages are for: the server's side of one protocol.  Runs in a handler greenlet."""

    @property
    def has_opened(self) -> bool: ...

    @property
    def has_closed(self) -> bool: ...

    def process(self, connection: StreamConnection, message: Any) -> None:
        """Handle one message, or the ProtocolError that ends the conversation."""

    def opened(self, connection: StreamConnection, message: Any) -> None:
        """Run before the first message.  ``message`` is the handshake, or an empty message."""

    def closed(self, connection: StreamConnection) -> None: ...

    def send(self, connection: StreamConnection, data: Any) -> None:
        """Encode what ``connection.send`` was given and queue it in the connection's codec."""
