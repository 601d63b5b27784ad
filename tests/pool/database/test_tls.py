"""How connections are encrypted."""

from __future__ import annotations

import ssl

from greenimi.pool.database.settings import TlsSettings
from greenimi.pool.database.tls import context_for, mode_of
from tests.certificates import certificates


def test_what_auto_means() -> None:
    assert mode_of(TlsSettings(), local=True) == "off"
    assert mode_of(TlsSettings(), local=False) == "preferred"
    assert mode_of(TlsSettings(ca="ca.pem"), local=True) == "identity"
    assert mode_of(TlsSettings(mode="required"), local=True) == "required"


def test_what_is_checked() -> None:
    files = certificates()
    assert context_for(TlsSettings(mode="off"), local=False) is None
    found = {
        mode: context_for(
            TlsSettings(mode=mode, ca=files.file("ca.pem"), certificate=files.file("client.pem"), key=files.file("client.key")), local=True
        )
        for mode in ("required", "chain", "identity")
    }
    checked = {mode: (context.verify_mode, context.check_hostname) for mode, context in found.items() if context is not None}
    assert checked == {
        "required": (ssl.CERT_NONE, False),
        "chain": (ssl.CERT_REQUIRED, False),
        "identity": (ssl.CERT_REQUIRED, True),
    }
