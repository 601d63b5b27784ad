"""Which sites' pages may open WebSockets."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from greenimi.errors import Refused
from greenimi.message import Request
from greenimi.web.origins import origin_matcher


class Origins:
    """A browser tells the site of the page that opens a WebSocket; sites other than the server's own must be among ``patterns``."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """As :func:`greenimi.web.origins.origin_matcher` takes them, or ``*`` for any.  ConfigError."""
        self._any = "*" in patterns
        self._allows = origin_matcher([pattern for pattern in patterns if pattern != "*"])

    def check(self, request: Request) -> None:
        """Raises Refused (403)."""
        origin = request.headers.get("origin")
        if origin is None or self._any or self._allows(origin):
            return
        try:
            site = urlsplit(origin).netloc.lower()
        except ValueError:
            site = ""
        told = request.told
        own = told.host if told is not None and told.host else request.headers.get("host", "")
        if site != own.lower():
            raise Refused(f"the origin {origin[:100]} may not open WebSockets here")
