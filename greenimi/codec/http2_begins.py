"""How a connection that began with HTTP/1.1 goes on in HTTP/2."""

from __future__ import annotations

from base64 import b64decode

from greenimi.message import Message, Request


class Http2Begins(Message):
    """The peer goes on in HTTP/2: with its preface, or after the 101 that ``request`` asks for.  ``Http1Codec.give_up`` has what came.

    settings  the payload of the field HTTP2-Settings
    """

    __slots__ = ("request", "settings")

    def __init__(self, request: Request | None = None, settings: bytes = b"") -> None:
        super().__init__(b"")
        self.request = request
        self.settings = settings


def h2c_settings(request: Request) -> bytes | None:
    """What HTTP2-Settings holds when ``request`` asks for HTTP/2 as RFC 7540 section 3.2 wants it; None: it does not, or in another way."""
    fields = request.headers
    wanted = [name.strip(" \t").lower() for name in fields.get("upgrade", "").split(",")]
    options = [name.strip(" \t").lower() for name in fields.get("connection", "").split(",")]
    settings = fields.get_all("http2-settings")
    if "h2c" not in wanted or "http2-settings" not in options or len(settings) != 1:
        return None
    try:
        found = b64decode(settings[0] + "=" * (-len(settings[0]) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return None if len(found) % 6 else found
