"""The layer that gives requests their sessions."""

from __future__ import annotations

import logging
from random import random
from typing import TYPE_CHECKING, Any

from greenimi.cookies import render_cookie, render_deletion
from greenimi.errors import ConfigError
from greenimi.interfaces import ISessionStore
from greenimi.message import Request
from greenimi.web.late import add_late_field
from greenimi.web.session import Session, Sessions
from greenimi.web.settings import SessionSettings

if TYPE_CHECKING:
    from greenimi.container.onion import Proceed

log = logging.getLogger("greenimi.web")

_SECURE = {"auto": (True, False), "always": (True,), "never": (False,)}
_COLLECTED = 100
"""Sessions that are removed at a time."""


class SessionLayer:
    """``request.extra["session"]``, written when the handler is done, also when it failed.

    A body that is made while it is sent comes after that: what it changes is lost.
    """

    def __init__(self, store: ISessionStore, settings: SessionSettings) -> None:
        """Raises ConfigError for a cookie that no browser would take."""
        if not settings.lifetime > 0 or settings.idle < 0:
            raise ConfigError("session.lifetime must be above 0, and session.idle not below")
        self._sessions = Sessions(store, settings)
        self._settings = settings
        for secure in _SECURE[settings.secure]:
            try:
                self._cookie("x", secure=secure)
            except ValueError as error:
                raise ConfigError(f"session: {error}", hint="" if secure else 'write secure = "always"') from None

    def __call__(self, request: Request, proceed: Proceed) -> Any:
        session = Session(self._sessions, request.cookies.get(self._settings.cookie, ""))
        request.extra["session"] = session
        try:
            result = proceed(request)
        except Exception:
            try:
                self._finish(session, request)
            except Exception:  # it must not hide the handler's own
                log.exception("a session was not written")
            raise
        self._finish(session, request)
        return result

    def _finish(self, session: Session, request: Request) -> None:
        if not session.is_used:
            return
        settings = self._settings
        session.commit()
        add_late_field(request, "Vary", "Cookie")
        secure = settings.secure == "always" or (settings.secure == "auto" and request.scheme == "https")
        if session.fresh:
            add_late_field(request, "Cache-Control", "private")  # a shared cache would hand the cookie to others
            add_late_field(request, "Set-Cookie", self._cookie(session.id, secure=secure))
        elif session.ended:
            gone = render_deletion(settings.cookie, domain=settings.domain, path=settings.path, secure=secure)
            add_late_field(request, "Set-Cookie", gone)
        if settings.collect and random() < settings.collect:  # noqa: S311 - a matter of tidiness
            self._sessions.store.collect(_COLLECTED)

    def _cookie(self, id: str, *, secure: bool) -> str:
        settings = self._settings
        return render_cookie(
            settings.cookie,
            id,
            max_age=settings.lifetime if settings.persistent else None,
            domain=settings.domain,
            path=settings.path,
            secure=secure,
            http_only=settings.http_only,
            same_site=settings.same_site,
        )
