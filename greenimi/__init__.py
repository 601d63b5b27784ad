"""greenimi: long-connection, distributed services in plain blocking style.

What an application imports to mark its classes and functions.  Importing this pulls in no gevent, no driver and touches no registry.
"""

from __future__ import annotations

from greenimi.cache.advice import cache_evict, cache_put, cacheable
from greenimi.interfaces import IConnection
from greenimi.lock.advice import locked
from greenimi.marks import (
    after,
    after_returning,
    after_throwing,
    around,
    authenticator,
    bean,
    before,
    closed,
    command,
    csrf_exempt,
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
    public,
    put,
    requires,
    resource,
    route,
    tcp,
    udp,
    view,
    websocket,
)
from greenimi.message import Body, Datagram, Headers, Identity, Message, Reply, Request, Response
from greenimi.message_stream import MessageStream
from greenimi.pool.advice import transactional

__version__ = "0.1.0"

__all__ = [
    "Body",
    "Datagram",
    "Headers",
    "IConnection",
    "Identity",
    "Message",
    "MessageStream",
    "Reply",
    "Request",
    "Response",
    "after",
    "after_returning",
    "after_throwing",
    "around",
    "authenticator",
    "bean",
    "before",
    "cache_evict",
    "cache_put",
    "cacheable",
    "closed",
    "command",
    "csrf_exempt",
    "delete",
    "get",
    "health_check",
    "http",
    "inherit",
    "layers",
    "listener",
    "locked",
    "on",
    "on_error",
    "on_missing",
    "opened",
    "partial",
    "patch",
    "post",
    "public",
    "put",
    "requires",
    "resource",
    "route",
    "tcp",
    "transactional",
    "udp",
    "view",
    "websocket",
]
