"""Values that must not be shown: what counts as one, and how it prints."""

from __future__ import annotations

import re
from typing import Any

from greenimi.validate import Text

MASK = "***"
_SECRET_KEY = re.compile(r"passw|passphrase|secret|token|(^|_)key$", re.IGNORECASE)
_ADDRESS_KEY = re.compile(r"(^|_)(dsn|url)$", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)([^/@\s]*?):(?!\d+/)\S*(?=@)")  # up to the last @, as passwords that are not escaped may hold any


class Secret(Text):
    """Text that works as any text where it is used, but whose ``repr`` is ``'***'``: in a dataclass, a dict, a list, ``%r``.

    In an address only the password is hidden.  ``str()``, ``format`` and concatenation give the real text, so that a driver can use it.
    """

    __slots__ = ("_whole",)
    _whole: bool

    def __new__(cls, value: str, *, whole: bool = True) -> Secret:
        secret = super().__new__(cls, value)
        secret._whole = whole
        return secret

    @property
    def masked(self) -> str:
        """What may be shown."""
        return MASK if self._whole else _URL_PASSWORD.sub(rf"\1:{MASK}", self)

    def __repr__(self) -> str:
        return repr(self.masked)


def is_secret(key: str) -> bool:
    """Does a key of this name hold a secret?"""
    return _SECRET_KEY.search(key) is not None


def may_be_file(key: str) -> bool:
    """May the value of this key be ``{ file = "..." }``?  Secrets and addresses, which hold passwords."""
    return is_secret(key) or _ADDRESS_KEY.search(key) is not None


def protect(key: str, value: Any) -> Any:
    """``value`` with every secret text in it wrapped, lists and tables copied."""
    if isinstance(value, dict):
        return {name: protect(name, one) for name, one in value.items()}
    if isinstance(value, list):
        return [protect(key, one) for one in value]
    if isinstance(value, str) and not isinstance(value, Secret):
        if is_secret(key):
            return Secret(value)
        if "://" in value and _URL_PASSWORD.search(value):
            return Secret(value, whole=False)
    return value
