"""Messages that are made while they are sent, or handled while they arrive: WebSockets only, on which a message may be many frames."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any

from gevent import getcurrent

from greenimi.codec.deflate import PackedMessage
from greenimi.errors import ConnectionClosed, ProtocolError

if TYPE_CHECKING:
    from greenimi.servers.stream import StreamConnection

log = logging.getLogger("greenimi.servers")


def prepare(connection: StreamConnection, message: Any) -> bool:
    """Make a message ready that is more than a plain one; False when there is nothing to handle, because the peer broke the protocol."""
    try:
        if type(message) is ProtocolError:
            raise message
        if type(message) is PackedMessage:
            message.unpack()
        return True
    except ProtocolError as error:
        log.info("%r: %s", connection, error.text)
        connection.codec.fail(error)
        return False


def send_parts(connection: StreamConnection, parts: Iterable[bytes | str]) -> None:
    """Send one message, a fragment for each of its parts, as they are made: at most the high-water mark ahead of the client.

    To be called in the handler of one of the connection's messages.  What others send to the connection meanwhile goes out behind it.
    The first part says whether it is text (str) or binary.  When the connection is lost, the maker of the parts is closed and that is all;
    when the maker fails, the error goes on, and after the first part the connection is closed with 1011, as nothing else could tell the
    client.  TypeError for parts of two kinds, and on connections of other protocols.
    """
    codec: Any = connection.codec
    if not hasattr(codec, "begin_parts"):
        raise TypeError("only a WebSocket sends messages in parts")
    if connection.handler is not getcurrent():
        raise RuntimeError("only the handler of a message sends one in parts")
    made = iter(parts)
    try:
        first = next(made, "")  # when this fails, nothing was said yet
        with connection.holding():
            codec.begin_parts(text=isinstance(first, str))
            try:
                for part in chain((first,), made):
                    _send_part(connection, part, type(first))
            except ConnectionClosed:
                if connection.is_open:
                    connection.close(1011, "the message cannot be completed")
                    raise
                return
            except BaseException:
                connection.close(1011, "the message cannot be completed")
                raise
            codec.finish_parts()
    finally:
        close = getattr(made, "close", None)
        if close is not None:
            close()


def _send_part(connection: StreamConnection, part: Any, kind: type) -> None:
    if type(part) is not kind or kind not in (str, bytes):
        raise TypeError(f"a part of a message is a {type(part).__name__}: all must be str, or all bytes")
    if not part:
        return
    connection.codec.part(part.encode() if kind is str else part)  # type: ignore[attr-defined]  # a WebSocket codec
    connection.wait_drained()
    if not connection.is_open:
        raise ConnectionClosed("the connection is closing")
