"""What HTTP means to an application: bodies in, values out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from greenimi.web.sources import Body, Cookie, Field, Form, FromSession, Header, Query, Source

if TYPE_CHECKING:
    from greenimi.container.setup import Setup
    from greenimi.web.authenticators import Account, ApiKey, Basic, Bearer, SessionIdentity, log_in, log_out
    from greenimi.web.conditional import check_conditions, entity_tag, validators
    from greenimi.web.csrf import csrf_token
    from greenimi.web.downloads import FileResponse
    from greenimi.web.passwords import hash_key, hash_password, new_key, verify_password
    from greenimi.web.redirects import redirect
    from greenimi.web.response import respond
    from greenimi.web.security import csp_nonce
    from greenimi.web.session import Session
    from greenimi.web.signing import Signer
    from greenimi.web.sse import Event, EventStream, last_event_id
    from greenimi.web.templates import Templates, TemplatesCreated, render_template
    from greenimi.web.uploads import UploadedFile
    from greenimi.web.urls import Urls, url_for

_LAZY = {
    "Account": "greenimi.web.authenticators",
    "ApiKey": "greenimi.web.authenticators",
    "Basic": "greenimi.web.authenticators",
    "Bearer": "greenimi.web.authenticators",
    "Event": "greenimi.web.sse",
    "EventStream": "greenimi.web.sse",
    "FileResponse": "greenimi.web.downloads",
    "Session": "greenimi.web.session",
    "SessionIdentity": "greenimi.web.authenticators",
    "Signer": "greenimi.web.signing",
    "Templates": "greenimi.web.templates",
    "TemplatesCreated": "greenimi.web.templates",
    "UploadedFile": "greenimi.web.uploads",
    "Urls": "greenimi.web.urls",
    "check_conditions": "greenimi.web.conditional",
    "csp_nonce": "greenimi.web.security",
    "csrf_token": "greenimi.web.csrf",
    "entity_tag": "greenimi.web.conditional",
    "hash_key": "greenimi.web.passwords",
    "hash_password": "greenimi.web.passwords",
    "last_event_id": "greenimi.web.sse",
    "log_in": "greenimi.web.authenticators",
    "log_out": "greenimi.web.authenticators",
    "new_key": "greenimi.web.passwords",
    "redirect": "greenimi.web.redirects",
    "render_template": "greenimi.web.templates",
    "respond": "greenimi.web.response",
    "url_for": "greenimi.web.urls",
    "validators": "greenimi.web.conditional",
    "verify_password": "greenimi.web.passwords",
}
"""Imported when asked for: whoever reads settings alone must not pay for them."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(_LAZY[name]), name)


def includeme(setup: Setup) -> None:
    """The stores of sessions, and the application's signer.  They are the core's own: no listing of an application's beans shows them."""
    from greenimi.container.beans import BeanBinding, Definition
    from greenimi.interfaces import ISessionStore
    from greenimi.marks import here
    from greenimi.web.session_stores import FileStore, MemoryStore
    from greenimi.web.signing import configured_signer

    for definition in (
        Definition(MemoryStore, provides=(ISessionStore,), driver="memory", where=here(1)),
        Definition(FileStore, provides=(ISessionStore,), driver="file", where=here(1)),
        Definition(configured_signer, where=here(1)),
    ):
        setup.container.bind(BeanBinding(setup.container, definition))


__all__ = [
    "Account",
    "ApiKey",
    "Basic",
    "Bearer",
    "Body",
    "Cookie",
    "Event",
    "EventStream",
    "Field",
    "FileResponse",
    "Form",
    "FromSession",
    "Header",
    "Query",
    "Session",
    "SessionIdentity",
    "Signer",
    "Source",
    "Templates",
    "TemplatesCreated",
    "UploadedFile",
    "Urls",
    "check_conditions",
    "csp_nonce",
    "csrf_token",
    "entity_tag",
    "hash_key",
    "hash_password",
    "includeme",
    "last_event_id",
    "log_in",
    "log_out",
    "new_key",
    "redirect",
    "render_template",
    "respond",
    "url_for",
    "validators",
    "verify_password",
]
