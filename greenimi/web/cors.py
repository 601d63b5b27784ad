"""Cross-origin requests (the CORS protocol of the Fetch standard): which other sites' pages may use a server, and read its answers."""

from __future__ import annotations

import re
from typing import Any

from greenimi.container.onion import Proceed
from greenimi.errors import ConfigError
from greenimi.message import Request, Response
from greenimi.web.origins import origin_matcher
from greenimi.web.settings import CorsSettings

_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_ALLOW = "Access-Control-Allow-Origin"
_ASKED = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Cors:
    """The outer layer.  Preflights for pages that are let in are answered here; pages of other origins get no field, so browsers refuse.

    It keeps nobody out who is no browser: that is what guards are for.
    """

    def __init__(self, settings: CorsSettings) -> None:
        """Raises ConfigError for origins that cannot be meant."""
        self._any = "*" in settings.origins
        if self._any and settings.credentials:
            raise ConfigError("credentials are not for any origin", hint="name the origins that may send them")
        self._allows = origin_matcher([origin for origin in settings.origins if origin != "*"])
        self._methods = ", ".join(settings.methods)
        self._any_field = "*" in settings.headers
        self._fields = ", ".join(settings.headers)
        self._max_age = str(settings.max_age)
        self._private_network = settings.private_network
        self._more = (("Access-Control-Allow-Credentials", "true"),) if settings.credentials else ()
        exposed = (("Access-Control-Expose-Headers", ", ".join(settings.expose)),) if settings.expose else ()
        self._answer_more = (*self._more, *exposed)

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        origin = request.headers.get("origin")
        asks = origin is not None and request.method == "OPTIONS" and "access-control-request-method" in request.headers
        allowed = "*" if self._any else origin if origin is not None and self._allows(origin) else None  # *: to all, since caches keep it
        if asks and allowed is not None:
            return self._preflight(request, allowed)
        response: Response = proceed(request)
        fields: tuple[tuple[str, str], ...] = () if self._any else (("Vary", "Origin"),)
        if allowed is not None and not any(name.lower() == "access-control-allow-origin" for name, _ in response.headers):
            fields += ((_ALLOW, allowed), *self._answer_more)
        response.headers += fields
        return response

    def _preflight(self, request: Request, allowed: str) -> Response:
        asked = request.headers.get("access-control-request-headers", "")
        fields = [(_ALLOW, allowed), *self._more, ("Access-Control-Allow-Methods", self._methods), ("Vary", _ASKED)]
        if not self._any_field:
            fields.append(("Access-Control-Allow-Headers", self._fields))
        elif _NAMES.fullmatch(asked):  # * would not stand for Authorization
            fields.append(("Access-Control-Allow-Headers", asked))
        if self._private_network and request.headers.get("access-control-request-private-network") == "true":
            fields.append(("Access-Control-Allow-Private-Network", "true"))
        return Response(b"", 204, "", [*fields, ("Access-Control-Max-Age", self._max_age)])
