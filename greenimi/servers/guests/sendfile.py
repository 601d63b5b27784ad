"""Files straight from the page cache to a socket, without a copy through this process."""

from __future__ import annotations

import io
import os
import stat
from typing import Any

from gevent import get_hub

from greenimi.errors import ConnectionClosed
from greenimi.servers.outbox import OPEN
from greenimi.servers.stream import StreamConnection

_PIECE = 1 << 19
"""Bytes a turn: what a slow disk may keep everybody else waiting for."""


def sendable(file: Any) -> tuple[int, int, int] | None:
    """Descriptor, position and number of bytes left of an open regular file; None for everything else.

    Only for what reads the file's very bytes: others, such as gzip's, have a descriptor, too.
    """
    if not isinstance(getattr(file, "raw", file), io.FileIO):
        return None
    try:
        descriptor = file.fileno()
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not found.st_size:  # files of the kernel have no size, but something in them
            return None
        offset = file.tell()
    except (OSError, ValueError):  # closed
        return None
    return descriptor, offset, max(0, found.st_size - offset)


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
        while count:
            connection._park(lambda: writer.start(wake))  # also after a piece went out: others have their turn
            if connection._state != OPEN:
                raise ConnectionClosed("the client left")
            writer.stop()
            try:
                sent = os.sendfile(target, source, offset, min(count, _PIECE))
            except BlockingIOError:
                continue
            except OSError:
                connection.shut()
                raise ConnectionClosed("the client left") from None
            if not sent:
                raise EOFError(f"the file ends {count} bytes before what was promised")
            offset += sent
            count -= sent
            connection.went_out(sent)
    finally:
        connection.end_outgoing()
        if connection._writer is not None:
            writer.stop()
