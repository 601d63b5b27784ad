"""Cross-origin requests (the CORS protocol of the Fetch standard): which other sites' pages may use a server, and read its answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from greenimi.container.onion import Proceed
from greenimi.errors import ConfigError
from greenimi.message import Request, Response
from greenimi.web.settings import CorsSettings

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\*\.)?(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?")
_LABELS = r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\."
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
        self._allows = _matcher([origin for origin in settings.origins if origin != "*"])
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


def _matcher(origins: Sequence[str]) -> Any:
    """A function that says whether an origin is one of them."""
    patterns = []
    for origin in origins:
        if len(origin) > 1 and origin.startswith("/") and origin.endswith("/"):
            patterns.append(_compiled(origin[1:-1]))
        elif _ORIGIN.fullmatch(origin):
            patterns.append(re.escape(origin).replace(r"\*\.", _LABELS))
        else:
            hint = "write https://shop.example, https://*.shop.example or a regular expression between slashes"
            raise ConfigError(f"{origin!r} is no origin", hint=hint)
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)").fullmatch


def _compiled(pattern: str) -> str:
    try:
        return re.compile(pattern).pattern
    except re.error as error:
        raise ConfigError(f"the regular expression {pattern!r}: {error}") from None
