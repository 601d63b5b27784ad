"""Header fields that tell browsers to be careful with what they get."""

from __future__ import annotations

import secrets
from typing import Any

from greenimi.codec.heads import check_value
from greenimi.container.onion import Proceed
from greenimi.errors import ConfigError
from greenimi.message import Request, Response
from greenimi.web.settings import SecuritySettings

_NONCE = "csp_nonce"
_SWITCHING = 101


def csp_nonce(request: Request) -> str:
    """The ``nonce`` of scripts and styles, for a Content-Security-Policy with ``'nonce-{nonce}'``.

    Another one for each request, the same for all that ask within one.
    """
    nonce: str = request.extra.get(_NONCE) or request.extra.setdefault(_NONCE, secrets.token_urlsafe(18))
    return nonce


class SecurityHeaders:
    """The outer layer.  A field that the answer has already stands."""

    def __init__(self, settings: SecuritySettings) -> None:
        """Raises ConfigError for what cannot stand in a field."""
        policy = settings.content.strip().rstrip(";")
        if settings.frames and "frame-ancestors" not in policy:
            policy = f"{policy}; frame-ancestors {settings.frames}".removeprefix("; ")
        old = {"'none'": "DENY", "'self'": "SAMEORIGIN"}.get(settings.frames, "")
        told = (
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", old),
            ("Referrer-Policy", settings.referrer),
            ("Cross-Origin-Opener-Policy", settings.opener),
            ("Cross-Origin-Resource-Policy", settings.resource),
            ("Permissions-Policy", settings.permissions),
            ("Content-Security-Policy", policy),
        )
        self._fields = [field for field in told if field[1]]
        hsts = f"max-age={settings.hsts}{'; includeSubDomains' if settings.hsts_subdomains else ''}"
        self._encrypted = [*self._fields, ("Strict-Transport-Security", hsts)] if settings.hsts else self._fields
        self._has_nonce = "{nonce}" in policy
        for name, value in self._encrypted:
            try:
                check_value(name, value)
            except ValueError as error:
                raise ConfigError(str(error)) from None

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        response: Response = proceed(request)
        if response.status == _SWITCHING:
            return response
        fields = self._encrypted if request.scheme == "https" else self._fields
        own = {name.lower() for name, _ in response.headers}
        added = tuple(field for field in fields if field[0].lower() not in own)
        if self._has_nonce and response.status == 304:  # the page that the client keeps has its own nonce, and keeps its policy with it
            added = tuple(field for field in added if "{nonce}" not in field[1])
        elif self._has_nonce:
            nonce = csp_nonce(request)
            added = tuple((name, value.replace("{nonce}", nonce)) for name, value in added)
        response.headers += added
        return response
