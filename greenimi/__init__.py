"""greenimi: long-connection, distributed services in plain blocking style.

What an application imports to mark its classes and functions.  Importing this pulls in no gevent, no driver and touches no registry.
"""

from __future__ import annotations

from greenimi.interfaces import IConnection
from greenimi.marks import (
    after,
    after_returning,
    after_throwing,
    around,
    bean,
    before,
    closed,
    command,
    delete,
    get,
    health_check,
    http,
    inherit,
    layers,
    listener,
    on,
    on_error,
    on_missing,
    opened,
    partial,
    patch,
    post,
    put,
    route,
    tcp,
    udp,
    websocket,
)
from greenimi.message import Body, Datagram, Headers, Message, Reply, Request, Response

__version__ = "0.1.0"

__all__ = [
    "Body",
    "Datagram",
    "Headers",
    "IConnection",
    "Message",
    "Reply",
    "Request",
    "Response",
    "after",
    "after_returning",
    "after_throwing",
    "around",
    "bean",
    "before",
    "closed",
    "command",
    "delete",
    "get",
    "health_check",
    "http",
    "inherit",
    "layers",
    "listener",
    "on",
    "on_error",
    "on_missing",
    "opened",
    "partial",
    "patch",
    "post",
    "put",
    "route",
    "tcp",
    "udp",
    "websocket",
]
