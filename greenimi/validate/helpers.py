"""Questions about single values, each answered by yes or no and never by an exception; within rules: ``Condition(helpers.email)``."""

from __future__ import annotations

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_EMAIL = re.compile(rf"{_LOCAL}@{_LABEL}(?:\.{_LABEL})+")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_CN_MOBILE = re.compile(r"(?:\+?86)?1[3-9][0-9]{9}")
_CN_LANDLINE = re.compile(r"(?:0[0-9]{2,3}-?)?[2-9][0-9]{6,7}(?:-[0-9]{1,6})?")
_CN_POSTCODE = re.compile(r"[0-9]{6}")
_QQ = re.compile(r"[1-9][0-9]{4,10}")


def _is(pattern: re.Pattern[str], value: Any, most: int = 100) -> bool:
    return isinstance(value, str) and len(value) <= most and pattern.fullmatch(value) is not None


def email(value: Any) -> bool:
    """A mail address as people write it: ``name@example.org``, in ASCII, at most 254 characters.  Whether it exists is another matter."""
    return _is(_EMAIL, value, 254) and len(value.partition("@")[0]) <= 64


def url(value: Any, schemes: tuple[str, ...] = ("http", "https")) -> bool:
    """An absolute URL with a host, of one of ``schemes``."""
    if not isinstance(value, str) or len(value) > 2048 or not value.isprintable() or " " in value or "\\" in value:
        return False
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises for what is none
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme in schemes and (ip(host) or (len(host) <= 253 and _HOST.fullmatch(host) is not None))


def ip(value: Any) -> bool:
    return ipv4(value) or ipv6(value)


def ipv4(value: Any) -> bool:
    """Four numbers without zeros in front."""
    return isinstance(value, str) and _address(ipaddress.IPv4Address, value)


def ipv6(value: Any) -> bool:
    """Without a zone."""
    return isinstance(value, str) and "%" not in value and _address(ipaddress.IPv6Address, value)


def _address(kind: Any, value: str) -> bool:
    try:
        kind(value)
    except ValueError:
        return False
    return True


def phone(value: Any) -> bool:
    """An international number: ``+`` and 7 to 15 digits (E.164)."""
    return _is(_PHONE, value)


def cn_mobile(value: Any) -> bool:
    """A mobile number of China, with or without its country code."""
    return _is(_CN_MOBILE, value)


def cn_landline(value: Any) -> bool:
    """A landline number of China: area code and extension may be missing."""
    return _is(_CN_LANDLINE, value)


def cn_phone(value: Any) -> bool:
    return cn_mobile(value) or cn_landline(value)


def cn_postcode(value: Any) -> bool:
    return _is(_CN_POSTCODE, value)


def qq(value: Any) -> bool:
    """A QQ number."""
    return _is(_QQ, value)


def between(value: Any, least: Any, most: Any, *, inclusive: bool = True) -> bool:
    """``least <= value <= most``, or ``<`` on both sides."""
    try:
        return bool(least <= value <= most if inclusive else least < value < most)
    except TypeError:
        return False


def length(value: Any, least: int = 0, most: int | None = None) -> bool:
    """So many characters of text, items of a list, keys of a mapping."""
    try:
        count = len(value)
    except TypeError:
        return False
    return count >= least and (most is None or count <= most)


def byte_length(value: Any, least: int = 0, most: int | None = None) -> bool:
    """So many bytes; of text in UTF-8."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return isinstance(value, bytes) and length(value, least, most)


def empty(value: Any) -> bool:
    """None, or text of nothing but blanks."""
    return value is None or (isinstance(value, str) and not value.strip())
