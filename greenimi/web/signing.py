"""Texts that a client may keep and cannot forge: signed with HMAC-SHA256 by the secrets of the application."""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Unpack

from greenimi.cookies import CookieAttributes
from greenimi.errors import ConfigError
from greenimi.interfaces import IConfig
from greenimi.message import Request, Response

SHORTEST_SECRET = 32
_SIGNED = re.compile(r"([A-Za-z0-9_-]*)\.([0-9]{1,12})\.([A-Za-z0-9_-]{43})")


class Signer:
    """Signs with the first secret and reads what any of them signed, so that a new one can be put in front of the old.

    What is signed can be read by everybody.  ``purpose`` keeps uses apart: what was signed for one is nothing to another.  A bean: its
    secrets are ``app.secrets`` of conf.
    """

    def __init__(self, secrets: Sequence[str], now: Callable[[], float] = time.time) -> None:
        if not secrets:
            hint = "secrets = [...] in [app], each from `python -c 'import secrets; print(secrets.token_hex(32))'`"
            raise ConfigError("nothing can be signed: app.secrets is empty", hint=hint)
        if any(len(secret) < SHORTEST_SECRET for secret in secrets):
            raise ConfigError(f"a secret in app.secrets has fewer than {SHORTEST_SECRET} characters")
        self._secrets = [secret.encode() for secret in secrets]
        self._now = now

    def sign(self, value: str, purpose: str) -> str:
        """``value``, the time and a signature, in characters that cookies and addresses may have."""
        content = f"{_pack(value.encode())}.{int(self._now())}"
        return f"{content}.{_mac(self._secrets[0], purpose, content)}"

    def read(self, signed: str, purpose: str, max_age: float) -> str | None:
        """The value; None unless it was signed for this purpose, with one of the secrets, in the last ``max_age`` seconds."""
        found = _SIGNED.fullmatch(signed)
        if found is None:
            return None
        value, signed_at, given = found.groups()
        content = f"{value}.{signed_at}"
        if not any(hmac.compare_digest(_mac(secret, purpose, content), given) for secret in self._secrets):
            return None
        if not -_SKEW <= self._now() - int(signed_at) <= max_age:
            return None
        return urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()

    def set_cookie(self, response: Response, name: str, value: str, **attributes: Unpack[CookieAttributes]) -> None:
        """Give the client a signed cookie of any text; else as ``response.set_cookie``."""
        response.set_cookie(name, self.sign(value, f"cookie {name}"), **attributes)

    def cookie(self, request: Request, name: str, max_age: float) -> str | None:
        """The value of a signed cookie; None for none, for a forged one, and for one that was set more than ``max_age`` seconds ago."""
        signed = request.cookies.get(name)
        return None if signed is None else self.read(signed, f"cookie {name}", max_age)


_SKEW = 5.0  # seconds that the clocks of two machines may differ


def _pack(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _mac(secret: bytes, purpose: str, content: str) -> str:
    key = hmac.digest(secret, b"greenimi signing " + purpose.encode(), "sha256")
    return _pack(hmac.digest(key, content.encode(), "sha256"))


def configured_signer(config: IConfig) -> Signer:
    """The application's signer."""
    return Signer(config.get("app.secrets", []))
