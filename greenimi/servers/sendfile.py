"""Files straight from the page cache to a socket, without a copy through this process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gevent import get_hub

from greenimi.dispatch.failure import report
from greenimi.errors import ConnectionClosed
from greenimi.message import Request, Response
from greenimi.servers.outbox import OPEN

if TYPE_CHECKING:
    from greenimi.codec.http1_answers import Http1Answers
    from greenimi.servers.stream import StreamConnection

_PIECE = 1 << 19
"""Bytes a turn: what a slow disk may keep everybody else waiting for."""


def send_file(connection: StreamConnection, source: int, offset: int, count: int) -> None:
    """Send ``count`` bytes of the file ``source`` from ``offset``, after everything that is queued.  Not for a connection with TLS.

    Blocks the calling handler; a turn of the loop sends half a MiB at most.  Raises ConnectionClosed when the client leaves or reads too
    slowly, EOFError when the file has become shorter.
    """
    connection.wait_drained()
    while connection._outbox is not None:
        connection._park(None)
    if connection._state != OPEN:
        raise ConnectionClosed("the client left")
    target = connection._sock.fileno()
    writer = connection._writer
    if writer is None:  # the connection's, so that it is stopped before the socket is closed: libev ends the process otherwise
        writer = connection._writer = get_hub().loop.io(target, 2)

    def wake() -> None:
        writer.stop()
        connection._drained.set()  # type: ignore[union-attr]  # whoever parks makes it first

    connection.begin_outgoing()
    try:
        while True:
            try:
                sent = os.sendfile(target, source, offset, min(count, _PIECE))
            except BlockingIOError:
                sent = 0
            except OSError:
                connection.shut()
                raise ConnectionClosed("the client left") from None
            else:
                if not sent and count:
                    raise EOFError(f"the file ends {count} bytes before what was promised")
            offset += sent
            count -= sent
            connection.went_out(sent)
            if not count:
                return
            connection._park(lambda: writer.start(wake))  # also when the socket takes more: others have their turn
            if connection._state != OPEN:
                raise ConnectionClosed("the client left")
            writer.stop()
    finally:
        connection.end_outgoing()
        if connection._writer is not None:
            writer.stop()


def answer_from_file(
    connection: StreamConnection, codec: Http1Answers, request: Request, response: Response, source: int, offset: int, count: int
) -> None:
    """Send a response whose body are ``count`` bytes of the file ``source`` from ``offset``, and whose Content-Length says so.

    The client notices a file that has become shorter: its connection ends.  Raises ConnectionClosed.
    """
    if codec.begin(request, response):
        try:
            send_file(connection, source, offset, count)
        except ConnectionClosed:
            raise
        except Exception as error:  # too late for another status: an unfinished body tells the client
            report(error, request)
            request.keep_alive = False
        except BaseException:
            codec.closing = True
            raise
    if not request.keep_alive:
        codec.closing = True
