"""Which sites' pages may open WebSockets."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from greenimi.errors import Refused
from greenimi.message import Request


def check_origin(request: Request, allowed: Collection[str]) -> None:
    """A browser tells the site of the page that opens a WebSocket; sites other than the server's own must be allowed by name, or ``*``.

    Raises Refused (403).
    """
    origin = request.headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return
    try:
        site = urlsplit(origin).netloc.lower()
    except ValueError:
        site = ""
    told = request.told
    own = told.host if told is not None and told.host else request.headers.get("host", "")
    if site != own.lower():
        raise Refused(f"the origin {origin[:100]} may not open WebSockets here")
