"""Requests that another site's page makes in the name of its visitor (CSRF): told from our own, and refused."""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from greenimi.container.context import scope
from greenimi.cookies import render_cookie
from greenimi.errors import ConfigError, Refused
from greenimi.message import Request
from greenimi.web.late import add_late_field
from greenimi.web.request import payload_of
from greenimi.web.session import Session
from greenimi.web.settings import CsrfSettings

if TYPE_CHECKING:
    from greenimi.container.onion import Proceed

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_SECRET_BYTES = 18
_is_secret = re.compile(r"[A-Za-z0-9_-]{24}").fullmatch  # what 18 bytes look like
_NAME = "@._csrf"  # of the session's value
_ORIGIN = re.compile(r"https?://[^/?#@]+")


class CsrfLayer:
    """Around the handlers of a server's routes.

    What a browser says decides: Sec-Fetch-Site, else Origin.  Where it says neither, or ``token`` is set, and the request brings cookies,
    it must show the token that :func:`csrf_token` gave to our own page.  A request with a bearer token passes: no page of another site
    can send that field.
    """

    def __init__(self, settings: CsrfSettings) -> None:
        for origin in settings.origins:
            if not _ORIGIN.fullmatch(origin):
                raise ConfigError(f"csrf.origins: {origin!r} is no origin", hint="write it as https://shop.example, without a path")
        try:
            render_cookie(settings.cookie, "")
        except ValueError as error:
            raise ConfigError(f"csrf.cookie: {error}") from None
        self._settings = settings
        self._origins = frozenset(origin.lower() for origin in settings.origins)
        self._exempt = tuple(path.removesuffix("*") for path in settings.exempt if path.endswith("*"))
        self._exempt_paths = frozenset(path for path in settings.exempt if not path.endswith("*"))

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        request.extra["csrf"] = self
        if request.method not in _SAFE and not self._passes(request):
            self._check(request)
        return proceed(request)

    def _passes(self, request: Request) -> bool:
        if request.path in self._exempt_paths or request.path.startswith(self._exempt or ("\0",)):
            return True
        return request.headers.get("authorization", "").lower().startswith("bearer ")

    def _check(self, request: Request) -> None:
        headers = request.headers
        origin = headers.get("origin", "").lower()
        if origin and origin in self._origins:
            return
        site = headers.get("sec-fetch-site", "").lower()
        ours = site in ("same-origin", "none") if site else not origin or self._is_ours(origin, request)
        if not ours:
            raise Refused("this request comes from the page of another site")
        if "cookie" in headers and (self._settings.token or not (site or origin)) and not self._shows_token(request):
            raise Refused("the token that shows that the request comes from a page of this site is missing or wrong")

    @staticmethod
    def _is_ours(origin: str, request: Request) -> bool:
        """A proxy in front that nobody told us to trust may speak TLS where we do not know of it."""
        try:
            parts = urlsplit(origin)
        except ValueError:  # half an IPv6 address
            return False
        standard = {"http": ":80", "https": ":443"}.get(parts.scheme)
        if standard is None or (request.scheme == "https" and parts.scheme == "http"):
            return False
        return parts.netloc.removesuffix(standard) == request.host.lower().removesuffix(standard)

    def _shows_token(self, request: Request) -> bool:
        shown = request.headers.get(self._settings.header)
        if shown is None and request.headers.get("content-type", "").partition(";")[0].strip().lower() in _FORMS:
            shown = payload_of(request).get(self._settings.field)
        known = self._known(request)
        return isinstance(shown, str) and bool(known) and hmac.compare_digest(_unmask(shown), known.encode())

    # -- the token -------------------------------------------------------------------------------------------------
    def token(self, request: Request) -> str:
        """For a page of ours: the client's secret, another text each time, so that it cannot be guessed from compressed pages."""
        known = self._known(request)
        if not known:
            known = secrets.token_urlsafe(_SECRET_BYTES)
            session: Session | None = request.extra.get("session")
            if session is not None:
                session.set(_NAME, known)
            else:
                request.extra["csrf secret"] = known
                secure = request.scheme == "https"
                add_late_field(request, "Set-Cookie", render_cookie(self._cookie(request), known, secure=secure))
        return _mask(known.encode())

    def _known(self, request: Request) -> str:
        """The client's secret: in its session, or where the server has none in a cookie; "" when it has none yet."""
        session: Session | None = request.extra.get("session")
        if session is not None:
            known = session.get(_NAME, "")
        else:
            known = request.extra.get("csrf secret") or request.cookies.get(self._cookie(request), "")
        return known if isinstance(known, str) and _is_secret(known) else ""

    def _cookie(self, request: Request) -> str:
        """Over TLS no other host of the domain can set it."""
        return f"__Host-{self._settings.cookie}" if request.scheme == "https" else self._settings.cookie


def csrf_token() -> str:
    """The token for a form or a script of the page that is being made; "" where the server checks none.

    To be sent back as the form field ``csrf_token`` or in the field ``X-CSRF-Token`` (conf may name both otherwise).  Not for bodies that
    are made while they are sent: a cookie cannot be set any more then.
    """
    message = scope().message
    layer: CsrfLayer | None = message.extra.get("csrf") if isinstance(message, Request) else None
    return layer.token(message) if layer is not None else ""  # type: ignore[arg-type]  # there is none without a Request


def _mask(secret: bytes) -> str:
    mask = secrets.token_bytes(len(secret))
    return urlsafe_b64encode(mask + bytes(a ^ b for a, b in zip(mask, secret, strict=True))).decode()


def _unmask(token: str) -> bytes:
    """The secret; ``b""`` for what is no token."""
    try:
        both = urlsafe_b64decode(token.encode())
    except ValueError:
        return b""
    half = len(both) // 2
    return bytes(a ^ b for a, b in zip(both[:half], both[half:], strict=False))
