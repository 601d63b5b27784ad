"""How connections to a database server are encrypted."""

from __future__ import annotations

import ssl

from greenimi.pool.database.settings import TlsSettings


def mode_of(settings: TlsSettings, *, local: bool) -> str:
    """What ``auto`` means."""
    if settings.mode != "auto":
        return settings.mode
    if settings.ca:
        return "identity"
    return "off" if local else "preferred"


def context_for(settings: TlsSettings, *, local: bool) -> ssl.SSLContext | None:
    """None: no encryption."""
    mode = mode_of(settings, local=local)
    if mode == "off":
        return None
    context = ssl.create_default_context(cafile=settings.ca or None)
    # certificates that the servers make for themselves lack what the strict check wants
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.check_hostname = mode == "identity"
    context.verify_mode = ssl.CERT_REQUIRED if mode in ("chain", "identity") else ssl.CERT_NONE
    if settings.certificate:
        context.load_cert_chain(settings.certificate, settings.key or None)
    return context
